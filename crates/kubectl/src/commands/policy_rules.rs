//! The table of policy rules that `describe role` and `auth can-i --list` show.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::resources::{items, qualify, text};

/// A rule for one resource, of one name or of all, or for one URL.
#[derive(Default)]
struct Rule {
    verbs: Vec<String>,
    group: Option<String>,
    resource: Option<String>,
    name: Option<String>,
    url: Option<String>,
}

/// The rules' lines: resource, URLs, names and verbs with tabs between. Rules about the same resource are one
/// (upstream: `rbac.BreakdownRule`, `CompactRules`, `SortableRuleSlice`).
pub(super) fn lines<'a>(rules: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut compact: Vec<Rule> = Vec::new();
    let mut places: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
    for rule in rules {
        let verbs: Vec<_> = items(&rule["verbs"]).map(text).collect();
        let mut names: Vec<_> = items(&rule["resourceNames"]).map(|name| Some(text(name))).collect();
        if names.is_empty() {
            names.push(None);
        }
        for group in items(&rule["apiGroups"]).map(text) {
            for resource in items(&rule["resources"]).map(text) {
                for name in &names {
                    let place = *places.entry((group.clone(), resource.clone(), name.clone())).or_insert_with(|| {
                        let (group, resource) = (Some(group.clone()), Some(resource.clone()));
                        compact.push(Rule { group, resource, name: name.clone(), ..Rule::default() });
                        compact.len() - 1
                    });
                    compact[place].verbs.extend_from_slice(&verbs);
                }
            }
        }
        for url in items(&rule["nonResourceURLs"]).map(text) {
            let url_rule =
                |verb: &String| Rule { verbs: vec![verb.clone()], url: Some(url.clone()), ..Rule::default() };
            compact.extend(verbs.iter().map(url_rule));
        }
    }
    compact.sort_by_cached_key(Rule::printed);
    compact.iter().map(Rule::line).collect()
}

impl Rule {
    /// What upstream sorts by: the fields in the order in which it prints them.
    fn printed(&self) -> [String; 5] {
        let [group, resource, name, url] = [&self.group, &self.resource, &self.name, &self.url].map(list);
        [list(&self.verbs), group, resource, name, url]
    }

    fn line(&self) -> String {
        let resource = self.resource.as_deref().unwrap_or_default();
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let mut target = qualify(resource, self.group.as_deref().unwrap_or_default());
        if !subresource.is_empty() {
            target.push_str(&format!("/{subresource}"));
        }
        format!("{target}\t{}\t{}\t{}", list(&self.url), list(&self.name), list(&self.verbs))
    }
}

fn list<'a>(words: impl IntoIterator<Item = &'a String>) -> String {
    format!("[{}]", words.into_iter().map(String::as_str).collect::<Vec<_>>().join(" "))
}
