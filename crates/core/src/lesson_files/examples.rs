//! The examples of Kubernetes' documentation. The native transcripts take them from here too
//! (`tests/tests/transcripts.rs`).

/// Where the documentation's examples are, by their paths.
const EXAMPLES_AT: [&str; 3] = [
    "https://k8s.io/examples/",
    "https://kubernetes.io/examples/",
    "https://raw.githubusercontent.com/kubernetes/website/main/content/en/examples/",
];

/// The example at an address. Each stands after `### path`; `#= path|text|other|…` is the same with other texts in the
/// place of some.
pub fn example(examples: &str, url: &str) -> Option<String> {
    let path = EXAMPLES_AT.iter().find_map(|root| url.strip_prefix(root))?;
    for section in examples.split("### ").skip(1) {
        let (name, mut text) = section.split_once('\n')?;
        let mut change = None;
        while let Some((variant, rest)) = text.strip_prefix("#= ").and_then(|rest| rest.split_once('\n')) {
            let mut parts = variant.split('|').map(|part| part.replace("\\n", "\n"));
            if parts.next().as_deref() == Some(path) {
                change = Some(parts.collect::<Vec<_>>());
            }
            text = rest;
        }
        match change {
            Some(changes) => {
                let changed = changes.chunks_exact(2).fold(text.to_owned(), |text, pair| match pair {
                    [old, new] => text.replace(old, new),
                    _ => text,
                });
                return Some(changed);
            }
            None if name == path => return Some(text.to_owned()),
            None => {}
        }
    }
    None
}
