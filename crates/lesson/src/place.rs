//! Names of live objects in the place of `{resource:labels}`.

use serde_json::Value;

use crate::view::{self, View};

/// A command line with names in place of `{resource:labels}`. Where there is no such object yet, the
/// place stays as it is. Objects that are ready are preferred; terminating ones are passed over.
pub fn filled(line: &str, view: &dyn View) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}').and_then(|(place, after)| Some((name(place, view)?, after))) {
            Some((name, after)) => {
                out.push_str(&name);
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out + rest
}

/// What a filled line still waits for, if anything: a resource, and the labels that one of its objects must have.
pub fn waiting(line: &str) -> Option<(&str, &str)> {
    line.split('{').skip(1).find_map(|rest| {
        let (resource, labels) = rest.split_once('}')?.0.split_once(':')?;
        view::RESOURCES.iter().any(|(known, _)| *known == resource).then_some((resource, labels))
    })
}

fn name(place: &str, view: &dyn View) -> Option<String> {
    let (resource, labels) = place.split_once(':')?;
    let mut first = None;
    let fits = |object: &&Value| view::matches(object, labels) && !view::terminating(object);
    for object in view.objects(resource).into_iter().filter(fits) {
        if view::condition(object, "Ready") == "True" {
            return Some(view::name(object).to_owned());
        }
        first = first.or(Some(object));
    }
    first.map(|object| view::name(object).to_owned())
}

#[cfg(test)]
mod tests {
    use super::waiting;

    #[test]
    fn a_line_waits_for_what_has_no_name_yet() {
        assert_eq!(waiting("kubectl logs {pods:app=web} -f"), Some(("pods", "app=web")));
        assert_eq!(waiting("kubectl get pods -o jsonpath='{.items}' '{a:b}'"), None);
    }
}
