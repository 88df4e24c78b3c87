//! `--sort-by`.

use std::cmp::Ordering;

use machinery::Quantity;
use machinery::sort::Order;
use serde_json::Value;

use crate::error::Error;
use crate::jsonpath::JsonPath;
use crate::print::columns::braced;

/// Sorts by the value at a path in the object that `of` finds in each element. Elements without the field
/// come first.
///
/// # Errors
/// Bad paths, and paths that no element has.
pub fn sort_by<T>(elements: &mut [T], path: &str, of: impl Fn(&T) -> &Value) -> Result<(), Error> {
    let parsed = JsonPath::parse(&braced(path)?).map_err(Error::message)?;
    let mut keys: Vec<Option<Value>> = Vec::new();
    for element in elements.iter() {
        keys.push(parsed.find(of(element), true).unwrap_or_default().into_iter().next());
    }
    if !elements.is_empty() && keys.iter().all(Option::is_none) {
        let field = path.trim_start_matches('{').trim_end_matches('}').trim_start_matches('.');
        return Err(Error::message(format!(
            "couldn't find any field with path \"{{.{field}}}\" in the list of objects"
        )));
    }
    // One alone is compared with nothing.
    let mut found = keys.iter().flatten();
    if let (Some(found @ (Value::Object(_) | Value::Array(_))), Some(_)) = (found.next(), found.next()) {
        let kind = if found.is_object() { "map[string]interface {}" } else { "[]interface {}" };
        let field = path.trim_start_matches('{').trim_end_matches('}').trim_start_matches('.');
        return Err(Error::Fatal {
            place: "sorter.go:375",
            text: format!(
                "Field {{.{field}}} in [][][]reflect.Value is an unsortable type: interface, err: unsortable type: {kind}"
            ),
            code: 1,
        });
    }
    let mut order: Vec<usize> = (0..elements.len()).collect();
    let key = |index: &usize| keys.get(*index).and_then(Option::as_ref);
    order.order_by(|a, b| compare(key(a), key(b)));
    let mut place = vec![0; order.len()];
    for (to, from) in order.iter().enumerate() {
        if let Some(slot) = place.get_mut(*from) {
            *slot = to;
        }
    }
    for index in 0..place.len() {
        while let Some(to) = place.get(index).copied().filter(|to| *to != index) {
            elements.swap(index, to);
            place.swap(index, to);
        }
    }
    Ok(())
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(Value::String(a)), Some(Value::String(b))) => match (Quantity::parse(a), Quantity::parse(b)) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => natural(a, b),
        },
        (Some(a), Some(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => a.to_string().cmp(&b.to_string()),
        },
    }
}

/// Text in which runs of digits count as numbers: `pod-2` before `pod-10`.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (run_a, run_b) = (digits(a), digits(b));
        if run_a > 0 && run_b > 0 {
            let (number_a, rest_a) = a.split_at(run_a);
            let (number_b, rest_b) = b.split_at(run_b);
            let (trimmed_a, trimmed_b) = (number_a.trim_start_matches('0'), number_b.trim_start_matches('0'));
            let order = trimmed_a.len().cmp(&trimmed_b.len()).then_with(|| trimmed_a.cmp(trimmed_b));
            let order = order.then_with(|| run_a.cmp(&run_b));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest_a, rest_b);
            continue;
        }
        let (mut chars_a, mut chars_b) = (a.chars(), b.chars());
        match (chars_a.next(), chars_b.next()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(x), Some(y)) if x != y => return x.cmp(&y),
            _ => (a, b) = (chars_a.as_str(), chars_b.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        assert_eq!(natural("pod-2", "pod-10"), Ordering::Less);
        assert_eq!(natural("a", "b"), Ordering::Less);
        assert_eq!(natural("web", "web-1"), Ordering::Less);
    }
}
