//! What `kubectl get -o yaml` prints, made fit to be applied to another cluster.
//!
//! The dump's form is known (block style, two spaces, a `List` or one object), so it is read by its
//! indentation, as `kubectl neat` and its like do it, and no parser is linked.

/// Kinds that a cluster makes for itself.
const MADE: [&str; 7] = ["Event", "Endpoints", "EndpointSlice", "Node", "Lease", "ControllerRevision", "PodMetrics"];
/// Objects that every namespace has of its own, by kind and name.
const EVERYWHERE: [(&str, &str); 3] =
    [("Service", "kubernetes"), ("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")];
/// What the server has written into metadata.
const METADATA: [&str; 7] =
    ["uid", "resourceVersion", "creationTimestamp", "generation", "selfLink", "managedFields", "ownerReferences"];
/// What a cluster has given to an object, in its spec.
const SPEC: [(&str, &[&str]); 2] = [("Service", &["clusterIP", "clusterIPs"]), ("Pod", &["nodeName"])];

/// Whether a text is what a live cluster says of its objects.
pub fn is_dump(text: &str) -> bool {
    let marks = ["resourceVersion:", "uid:"];
    marks.iter().all(|mark| text.lines().any(|line| line.trim_start().starts_with(mark)))
}

/// A dump's objects as documents to apply: those that nothing else makes, without what the server adds.
pub fn cleaned(dump: &str) -> String {
    let documents: Vec<String> = objects(dump).iter().filter_map(|object| clean(object)).collect();
    documents.join("---\n")
}

/// The objects' lines, each object at indentation 0.
fn objects(dump: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for document in dump.split("\n---").map(|document| document.trim_start_matches('-')) {
        let lines: Vec<&str> = document.lines().collect();
        let Some(start) = lines.iter().position(|line| line.trim_end() == "items:") else {
            found.push(lines.iter().map(|line| (*line).to_owned()).collect());
            continue;
        };
        // A list's items stand at `- `, indented or not; what follows at two more.
        let item = |line: &str| line.strip_prefix("- ").or_else(|| line.strip_prefix("  - ")).map(str::to_owned);
        let deep = lines.get(start + 1).map_or(2, |first| if first.starts_with("  - ") { 4 } else { 2 });
        for line in &lines[start + 1..] {
            let begins = if deep == 4 { line.starts_with("  - ") } else { line.starts_with("- ") };
            match (begins, found.last_mut()) {
                (true, _) => found.push(vec![item(line).unwrap_or_default()]),
                (false, Some(object)) if line.len() >= deep && line[..deep].trim().is_empty() => {
                    object.push(line[deep..].to_owned());
                }
                (false, Some(object)) if line.trim().is_empty() => object.push(String::new()),
                _ => break,
            }
        }
    }
    found.retain(|object: &Vec<String>| object.iter().any(|line| line.starts_with("kind:")));
    found
}

/// One object without what the server adds; none for what a cluster makes for itself.
fn clean(object: &[String]) -> Option<String> {
    let kind = object.iter().find_map(|line| line.strip_prefix("kind:"))?.trim();
    let name = object.iter().find_map(|line| line.strip_prefix("  name:")).unwrap_or_default().trim();
    let owned = object.iter().any(|line| line.starts_with("  ownerReferences:"));
    if owned || MADE.contains(&kind) || EVERYWHERE.contains(&(kind, name)) {
        return None;
    }
    let in_spec = SPEC.iter().find(|(of, _)| *of == kind).map_or(&[][..], |(_, fields)| fields);
    let (mut section, mut dropping) = ("", None::<usize>);
    let mut out = String::new();
    for line in object {
        let depth = line.len() - line.trim_start().len();
        let field = line.trim_start().split(':').next().unwrap_or_default();
        let goes_on = |from: usize| {
            line.trim().is_empty() || depth > from || (depth == from && line.trim_start().starts_with("- "))
        };
        if dropping.is_some_and(goes_on) {
            continue;
        }
        dropping = None;
        if depth == 0 && !line.is_empty() {
            section = field;
        }
        let headless = field == "clusterIP" && line.ends_with("None");
        let server_side = match (depth, section) {
            (0, "status") => true,
            (2, "metadata") => METADATA.contains(&field),
            (2, "spec") => in_spec.contains(&field) && !headless,
            _ => false,
        };
        if server_side {
            dropping = Some(depth);
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    const DUMP: &str = "apiVersion: v1
items:
- apiVersion: v1
  kind: Service
  metadata:
    creationTimestamp: \"2026-01-01T00:00:00Z\"
    labels:
      uid: mine
    name: web
    namespace: default
    resourceVersion: \"12\"
    uid: 3
  spec:
    clusterIP: 10.3.0.9
    clusterIPs:
    - 10.3.0.9
    ports:
    - port: 80
    selector:
      status: on
  status:
    loadBalancer: {}
- apiVersion: v1
  kind: Pod
  metadata:
    name: web-1
    ownerReferences:
    - kind: ReplicaSet
    uid: 4
  spec: {}
- apiVersion: v1
  data:
    text: |
      status: kept
  kind: ConfigMap
  metadata:
    name: words
    resourceVersion: \"13\"
    uid: 5
kind: List
metadata:
  resourceVersion: \"\"
";

    #[wasm_bindgen_test]
    fn a_dump_becomes_what_was_once_applied() {
        assert!(is_dump(DUMP));
        let text = cleaned(DUMP);
        assert_eq!(
            text,
            "apiVersion: v1\nkind: Service\nmetadata:\n  labels:\n    uid: mine\n  name: web\n  namespace: default\n\
             spec:\n  ports:\n  - port: 80\n  selector:\n    status: on\n---\napiVersion: v1\ndata:\n  text: |\n    \
             status: kept\nkind: ConfigMap\nmetadata:\n  name: words\n"
        );
        assert!(!is_dump(&text));
    }

    #[wasm_bindgen_test]
    fn one_object_needs_no_list() {
        let text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: db\n  uid: 7\n  resourceVersion: \"1\"\nspec:\n  clusterIP: None\nstatus: {}\n";
        assert_eq!(cleaned(text), "apiVersion: v1\nkind: Service\nmetadata:\n  name: db\nspec:\n  clusterIP: None\n");
    }
}
