//! The files in the learner's home: the manifests of the lessons.

mod examples;

use machinery::split;

/// Names and contents, for [`crate::Options::files`].
pub fn lesson_files() -> Vec<(String, String)> {
    macro_rules! files {
        ($($name:literal),* $(,)?) => {
            [$(($name, include_str!(concat!("../../../www/lessons/files/", $name)))),*]
        };
    }
    let files = files![
        "deployment.yaml",
        "hellodep.yaml",
        "hellokind.yaml",
        "helloservice.yaml",
        "kind-config.yaml",
        "nginx-deployment-dev.yaml",
        "nginx.yaml",
        "nginx/nginx-service.yaml",
        "service.yaml",
        "tutorial.yaml",
    ];
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

/// Files of the world outside that documents name by address, where there is no such world.
const WEB: &[(&str, &str)] = &[(
    "https://raw.githubusercontent.com/kubernetes/dashboard/v2.6.1/aio/deploy/recommended.yaml",
    include_str!("world/learner/addons/dashboard-recommended.yaml"),
)];

/// The examples of Kubernetes' documentation, each after `### path`; `#= path|text|other|…` is the same with other texts
/// in the place of some.
static EXAMPLES: pack::Text = include!(concat!(env!("OUT_DIR"), "/documentation.rs"));

split! {
    kubectl,
    /// A file by its address, for whoever has not loaded kubectl, which these files come with.
    fn file_with_kubectl(url: String) -> Option<String> {
        web_file(&url)
    }
}

/// A file by its address, for those who may be the first to ask.
pub(crate) async fn fetch(url: String) -> Option<String> {
    file_with_kubectl(url).await.ok().flatten()
}

/// A file by its address.
pub(crate) fn web_file(url: &str) -> Option<String> {
    let known = WEB.iter().find(|(known, _)| *known == url).map(|(_, text)| (*text).to_owned());
    known.or_else(|| examples::example(EXAMPLES.get(), url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentations_examples_are_manifests() {
        let headers = EXAMPLES.get().lines().filter_map(|line| line.strip_prefix("### ").or(line.strip_prefix("#= ")));
        let mut count = 0;
        for path in headers.map(|header| header.split('|').next().unwrap_or_default()) {
            let text = web_file(&format!("https://k8s.io/examples/{path}")).unwrap_or_default();
            let manifest = text.contains("apiVersion:") && !text.lines().any(|line| line.starts_with('#'));
            assert!(manifest || !path.ends_with(".yaml") && !text.is_empty(), "{path}:\n{text}");
            count += 1;
        }
        assert!(count > 40);
        assert!(
            web_file("https://k8s.io/examples/controllers/nginx-deployment.yaml")
                .is_some_and(|text| text.contains("replicas: 3"))
        );
        assert_eq!(web_file("https://k8s.io/examples/nope.yaml"), None);
    }
}
