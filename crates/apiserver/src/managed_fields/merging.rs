//! Applied configurations into live values.

use machinery::schema::{Schema, Schemas};
use serde_json::Value;

use super::lists::{ListKind, at_key, by_key, is_atomic_map, item_key, list_kind};

/// See [`super::merge`].
pub(super) fn merge(schemas: &Schemas, schema: Option<&Schema>, target: &mut Value, config: &Value) {
    match (target, config) {
        (Value::Object(target), Value::Object(config)) if !is_atomic_map(schemas, schema) => {
            for (name, value) in config {
                let schema = schema.and_then(|schema| schemas.field(schema, name));
                match target.get_mut(name) {
                    Some(field) => merge(schemas, schema, field, value),
                    None => {
                        target.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(target), Value::Array(config)) => match schema.map(list_kind) {
            Some(ListKind::Keyed(keys)) => {
                let schema = schema.and_then(|schema| schemas.items(schema));
                interleave(target, config, &|item| item_key(&keys, item), &|known, item| {
                    merge(schemas, schema, known, item);
                });
            }
            Some(ListKind::Set) => interleave(target, config, &Value::to_string, &|_, _| {}),
            _ => target.clone_from(config),
        },
        (target, config) => target.clone_from(config),
    }
}

/// Puts a list's applied items into it, in the order of structured-merge-diff (`visitListItems`): items
/// of others stay before the shared item that comes next, and shared items come as applied.
fn interleave(
    target: &mut Vec<Value>,
    config: &[Value],
    key: &dyn Fn(&Value) -> String,
    merge: &dyn Fn(&mut Value, &Value),
) {
    let live = std::mem::take(target);
    let (live_keys, config_keys) = (by_key(&live, key), by_key(config, key));
    // Of each item, the other list's item with its key.
    let in_config: Vec<_> = live.iter().map(|item| at_key(&config_keys, &key(item))).collect();
    let in_live: Vec<_> = config.iter().map(|item| at_key(&live_keys, &key(item))).collect();
    let mut shared = (0..config.len()).filter(|at| in_live.get(*at).is_some_and(Option::is_some)).peekable();
    let mut next = 0;
    let mut put = |until: usize, target: &mut Vec<Value>| {
        while next < until {
            if let (Some(item), Some(place)) = (config.get(next), in_live.get(next)) {
                let mut value = place.and_then(|at| live.get(at)).unwrap_or(item).clone();
                merge(&mut value, item);
                target.push(value);
            }
            next += 1;
        }
    };
    for (item, place) in live.iter().zip(&in_config) {
        match place {
            // Items of others come before what is applied next.
            None => target.push(item.clone()),
            // A shared item out of the applied order comes where the applied order has it.
            Some(place) if shared.peek().is_some_and(|wanted| wanted != place) => {}
            Some(place) => {
                put(place + 1, target);
                _ = shared.next_if_eq(place);
            }
        }
    }
    put(config.len(), target);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applied_items_come_in_their_order_among_those_of_others() {
        for (live, applied, expected) in [
            ("b", "ab", "ab"),
            ("ab", "c", "abc"),
            ("ab", "bc", "abc"),
            ("xaybz", "ba", "xybza"),
            ("axb", "ba", "xba"),
            ("axb", "cbda", "xcbda"),
            ("", "ab", "ab"),
            ("ab", "", "ab"),
        ] {
            let list = |text: &str| text.chars().map(|c| Value::from(c.to_string())).collect::<Vec<_>>();
            let mut target = list(live);
            interleave(&mut target, &list(applied), &Value::to_string, &|_, _| {});
            assert_eq!(target, list(expected), "{live} {applied}");
        }
    }
}
