//! The files in the learner's home: the manifests of the lessons.

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

/// A file by its address.
pub(crate) fn web_file(url: &str) -> Option<&'static str> {
    WEB.iter().find(|(known, _)| *known == url).map(|(_, text)| *text)
}
