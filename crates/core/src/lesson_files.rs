//! The files in the learner's home: the manifests of the lessons.

/// Names and contents, for [`crate::Options::files`].
pub fn lesson_files() -> Vec<(String, String)> {
    macro_rules! files {
        ($($name:literal),* $(,)?) => {
            [$(($name, include_str!(concat!("../../../www/lessons/files/", $name)))),*]
        };
    }
    let files =
        files!["deployment.yaml", "hellodep.yaml", "helloservice.yaml", "nginx.yaml", "service.yaml", "tutorial.yaml",];
    files.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}
