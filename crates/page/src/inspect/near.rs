//! Pods that a Service's selector nearly matches: where it leads nowhere, a slip of the keyboard is the usual reason.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::findings::{Finding, Sign};
use crate::text::{ELSEWHERE, LOOK_AT_LABELS, MAKE_LABELS_AGREE, NEAR_MATCH, NEAR_WITHOUT};
use crate::world::{Object, Snapshot};

/// How many kinds of near misses are told.
const TOLD_MAX: usize = 3;

/// How near a pod is, the nearest first: how many labels are not as they are asked for, and what the worst of them is
/// like.
type Distance = (usize, Miss);

/// How a label differs from what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    /// A slip of the keyboard, or of the shift key.
    Slip,
    /// Another value.
    Value,
    /// It is not there.
    Absent,
}

/// What is near to a selector that matches no pod of its namespace, and what to look at next.
pub(super) fn near(namespace: &str, selector: &Map<String, Value>, snapshot: &Snapshot) -> Vec<Finding> {
    let (here, elsewhere): (Vec<&Object>, Vec<&Object>) =
        snapshot.list("pods").map(AsRef::as_ref).partition(|pod: &&Object| pod.namespace() == namespace);
    // What is asked for, what is there instead: on how many pods, and the first of them.
    let mut misses: BTreeMap<(Distance, String, String), (usize, String)> = BTreeMap::new();
    for pod in &here {
        if let Some((distance, wanted, have)) = miss(pod, selector) {
            misses.entry((distance, wanted, have)).or_insert_with(|| (0, pod.key())).0 += 1;
        }
    }
    let nearest = misses.keys().next().map(|(distance, ..)| *distance);
    let total = here.len().to_string();
    let told = misses.into_iter().filter(|((distance, ..), _)| Some(*distance) == nearest).take(TOLD_MAX);
    let mut found: Vec<Finding> = told
        .map(|((_, wanted, have), (count, key))| {
            let count = count.to_string();
            let text = match have.as_str() {
                "" => NEAR_WITHOUT.with(&[&count, &total, &wanted]),
                have => NEAR_MATCH.with(&[&wanted, have, &count, &total]),
            };
            Finding { sign: Sign::Bad, text, link: format!("pods/{key}") }
        })
        .collect();
    let matching = |pod: &&&Object| selector.iter().all(|(label, value)| pod.label(label) == value.as_str());
    if let Some(pod) = elsewhere.iter().find(matching) {
        let text = ELSEWHERE.with(&[pod.namespace()]);
        found.push(Finding { sign: Sign::Bad, text, link: format!("pods/{}", pod.key()) });
    }
    let next = if nearest.is_some() { MAKE_LABELS_AGREE } else { LOOK_AT_LABELS };
    found.push(Finding { sign: Sign::Next, text: next.with(&[namespace]), link: String::new() });
    found
}

/// By how much a pod is missed, what is asked of it, and what it has instead, which is empty where it has nothing.
/// Nothing for a pod with which the selector has nothing in common.
fn miss(pod: &Object, selector: &Map<String, Value>) -> Option<(Distance, String, String)> {
    let none = Map::new();
    let labels = pod.0.pointer("/metadata/labels").and_then(Value::as_object).unwrap_or(&none);
    let (mut wanted, mut have, mut worst) = (Vec::new(), Vec::new(), Miss::Slip);
    for (label, value) in selector.iter().filter(|(label, value)| labels.get(*label) != Some(*value)) {
        let value = value.as_str()?;
        wanted.push(format!("{label}={value}"));
        let key_slip = || labels.iter().find(|(key, other)| is_slip(key, label) && other.as_str() == Some(value));
        let miss = match (labels.get(label).and_then(Value::as_str), key_slip()) {
            (Some(other), _) => {
                have.push(format!("{label}={other}"));
                if is_slip(other, value) { Miss::Slip } else { Miss::Value }
            }
            (None, Some((key, _))) => {
                have.push(format!("{key}={value}"));
                Miss::Slip
            }
            (None, None) => Miss::Absent,
        };
        worst = worst.max(miss);
    }
    let common = have.len() + selector.len() - wanted.len();
    (common > 0 && !wanted.is_empty()).then(|| ((wanted.len(), worst), wanted.join(","), have.join(",")))
}

/// Whether two words differ in case alone, or in a letter or two next to each other.
fn is_slip(a: &str, b: &str) -> bool {
    let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let tail = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    let longer = a.len().max(b.len());
    let slips = if longer < 6 { 1 } else { 2 };
    a != b && (a.eq_ignore_ascii_case(b) || common + tail + slips >= longer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// What is told of pods with these labels, each in a namespace.
    fn told(pods: &[(&str, Value)], selector: Value) -> Vec<String> {
        let mut snapshot = Snapshot::default();
        for (index, (namespace, labels)) in pods.iter().enumerate() {
            let metadata = json!({"namespace": namespace, "name": format!("p{index}"), "labels": labels});
            snapshot.put("pods", Object(json!({ "metadata": metadata })));
        }
        let selector = selector.as_object().cloned().unwrap_or_default();
        near("default", &selector, &snapshot).into_iter().map(|finding| finding.text).collect()
    }

    #[wasm_bindgen_test]
    fn slips_come_before_other_values() {
        let pods = [
            ("default", json!({"app": "db"})),
            ("default", json!({"app": "Web"})),
            ("default", json!({"app": "wep"})),
            ("default", json!({"app": "wep"})),
            ("default", json!({"App": "web"})),
            ("default", json!({"other": "thing"})),
        ];
        let found = told(&pods, json!({"app": "web"}));
        for have in ["App=web is here, on 1 of 6", "app=Web is here, on 1 of 6", "app=wep is here, on 2 of 6"] {
            assert!(found.iter().any(|text| text.contains(have)), "{have}: {found:?}");
        }
        assert_eq!(found.len(), 4, "{found:?}");
        let found = told(&pods[..1], json!({"app": "web"}));
        assert!(found[0].contains("It asks for app=web; app=db is here"), "{found:?}");
    }

    #[wasm_bindgen_test]
    fn what_holds_but_for_one_label_is_near() {
        let pods = [("default", json!({"app": "web"})), ("default", json!({"app": "db", "tier": "back"}))];
        let found = told(&pods, json!({"app": "web", "tier": "front"}));
        assert!(found[0].starts_with("1 of 2 pods") && found[0].contains("tier=front"), "{found:?}");
    }

    #[wasm_bindgen_test]
    fn pods_of_other_namespaces_are_told_of() {
        let found = told(&[("prod", json!({"app": "web"}))], json!({"app": "web"}));
        assert!(found[0].contains("namespace prod") && found[1].contains("--show-labels"), "{found:?}");
    }

    #[wasm_bindgen_test]
    fn slips_are_short() {
        for (a, b, slip) in
            [("web", "wep", true), ("db", "web", false), ("my-app", "myapp", true), ("frontend", "backend", false)]
        {
            assert_eq!(is_slip(a, b), slip, "{a} {b}");
        }
    }
}
