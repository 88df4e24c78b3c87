//! Which editor `kubectl edit` runs, and what it says of it (upstream's cmd/util/editor).

/// A command line for an editor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Editor {
    /// The program and its arguments, the file last.
    pub words: Vec<String>,
}

impl Editor {
    /// `$KUBE_EDITOR`, `$EDITOR` or `vi` with a file. What has quotes is for `$SHELL` to read.
    pub fn new(env: impl Fn(&str) -> Option<String>, file: &str) -> Self {
        let named = |name: &str| env(name).filter(|value| !value.is_empty());
        let editor = named("KUBE_EDITOR").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".into());
        let words = if editor.contains(' ') && editor.contains(['"', '\'', '\\']) {
            let shell = named("SHELL").unwrap_or_else(|| "/bin/bash".into());
            vec![shell, "-c".into(), format!("{editor} {file:?}")]
        } else {
            editor.split(' ').chain([file]).map(str::to_owned).collect()
        };
        Self { words }
    }

    /// What is said when there is no such program, or, with `found`, when it failed.
    pub fn problem(&self, found: bool, file: &str) -> String {
        let quoted = format!(" {file:?}");
        let shown: Vec<&str> = match self.words.as_slice() {
            [shell, flag, line] if line.ends_with(&quoted) => {
                vec![shell, flag, line.strip_suffix(&quoted).unwrap_or(line)]
            }
            words => words.iter().rev().skip(1).rev().map(String::as_str).collect(),
        };
        let shown = shown.join(" ");
        match found {
            true => format!("there was a problem with the editor {shown:?}"),
            false => format!("unable to launch the editor {shown:?}"),
        }
    }
}

/// The name of a temporary file: `kubectl-edit-1234.yaml`.
pub fn file_name(random: u64, name: &str) -> String {
    let ending = name.rsplit_once('.').map_or("yaml", |(_, ending)| ending);
    format!("kubectl-edit-{}.{ending}", random % 10_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_editor() {
        let editor =
            |value: &'static str| Editor::new(move |name| (name == "EDITOR").then(|| value.to_owned()), "/tmp/x.yaml");
        let shown = |value| (editor(value).words.join("|"), editor(value).problem(true, "/tmp/x.yaml"));
        let problem = |shown: &str| format!("there was a problem with the editor {shown:?}");
        assert_eq!(shown(""), ("vi|/tmp/x.yaml".into(), problem("vi")));
        assert_eq!(shown("code --wait"), ("code|--wait|/tmp/x.yaml".into(), problem("code --wait")));
        assert_eq!(
            shown("sh -c 'exit 3'"),
            ("/bin/bash|-c|sh -c 'exit 3' \"/tmp/x.yaml\"".into(), problem("/bin/bash -c sh -c 'exit 3'"))
        );
        assert_eq!(editor("nope").problem(false, "/tmp/x.yaml"), "unable to launch the editor \"nope\"");
    }
}
