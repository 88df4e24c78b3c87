//! What a step did to its object: the lines that went and came, under the fields that they belong to.

use serde_json::Value;

use crate::api::{Api, ApiError, Call};
use crate::inspect::{diff, yaml_text};
use crate::ui::kinds::Kind;
use crate::world::items;

/// A line of a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `+`, `-`, or a space for a field that the changed ones belong to.
    pub sign: char,
    /// The line.
    pub text: String,
}

/// What a revision made of an object, from the list API at the exact revisions. Without rows where nothing that a
/// person looks at has changed.
///
/// # Errors
/// When the API does not answer, or has forgotten the revision.
pub async fn of(api: &Api, kind: &Kind, key: &str, revision: u64) -> Result<Vec<Row>, ApiError> {
    let before = at(api, kind, key, revision.saturating_sub(1)).await?;
    let after = at(api, kind, key, revision).await?;
    Ok(rows(&before, &after))
}

/// An object's lines at a revision; none where it was not there.
async fn at(api: &Api, kind: &Kind, key: &str, revision: u64) -> Result<Vec<String>, ApiError> {
    if revision == 0 {
        return Ok(Vec::new());
    }
    let path = format!("{}&resourceVersion={revision}&resourceVersionMatch=Exact", kind.single_path(key));
    let list = api.json(Call::get(path)).await?;
    let Some(found) = items(&list, "/items").first() else { return Ok(Vec::new()) };
    let mut found = found.clone();
    if let Some(metadata) = found.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        // They change with every write, and say nothing.
        metadata.retain(|field, _| !matches!(field.as_str(), "managedFields" | "resourceVersion"));
    }
    kind.complete(&mut found);
    Ok(yaml_text(&found))
}

fn rows(before: &[String], after: &[String]) -> Vec<Row> {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.iter().map(String::as_str).collect(), after.iter().map(String::as_str).collect());
    let mut rows: Vec<Row> = Vec::new();
    // The fields that the last row stood under, and that row.
    let mut path: Vec<&str> = Vec::new();
    for (sign, at, line) in diff(&old, &new) {
        let above = ancestors(if sign == '-' { &old } else { &new }, at);
        let known = above.iter().zip(&path).take_while(|(a, b)| a == b).count();
        rows.extend(above[known..].iter().map(|line| Row { sign: ' ', text: (*line).to_owned() }));
        rows.push(Row { sign, text: line.to_owned() });
        path = above;
        path.push(line);
    }
    rows
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '-']).len()
}

/// The lines under which a line stands, outermost first.
fn ancestors<'a>(lines: &[&'a str], at: usize) -> Vec<&'a str> {
    let mut least = indent(lines[at]);
    let mut found = Vec::new();
    for line in lines[..at].iter().rev() {
        if indent(line) < least {
            least = indent(line);
            found.push(*line);
        }
        if least == 0 {
            break;
        }
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn changes_stand_under_their_fields() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let before = lines("kind: Pod\nspec:\n  containers:\n  - name: a\nstatus:\n  phase: Pending");
        let after = lines("kind: Pod\nspec:\n  containers:\n  - name: a\n  nodeName: n1\nstatus:\n  phase: Running");
        let shown: Vec<String> = rows(&before, &after).iter().map(|row| format!("{}{}", row.sign, row.text)).collect();
        assert_eq!(shown, [" spec:", "+  nodeName: n1", " status:", "-  phase: Pending", "+  phase: Running"]);
        assert!(rows(&before, &before).is_empty());
    }
}
