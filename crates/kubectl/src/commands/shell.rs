//! `kubectl completion`, `kubectl plugin` and `kubectl kustomize`.

use crate::command::Command;
use crate::error::Error;
use crate::host::DirEntry;
use crate::resources::text;
use crate::session::Session;
use crate::{kustomize, yaml};

/// The scripts that teach shells to ask `kubectl __complete`, as cobra makes them.
#[cfg(not(target_arch = "wasm32"))]
const SCRIPTS: [(&str, &str); 4] = [
    ("bash", include_str!("../completion/bash.txt")),
    ("fish", include_str!("../completion/fish.txt")),
    ("powershell", include_str!("../completion/powershell.txt")),
    ("zsh", include_str!("../completion/zsh.txt")),
];
/// In the tab these bytes would be for nothing.
#[cfg(target_arch = "wasm32")]
const SCRIPTS: [(&str, &str); 4] = [("bash", ""), ("fish", ""), ("powershell", ""), ("zsh", "")];
/// What a shell gets that completes by itself.
const NATIVE: &str = "# This shell completes the words of kubectl by itself.\n";

/// `kubectl completion`: shells ask `kubectl __complete`.
pub(super) fn completion(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    match args.args.as_slice() {
        [] => Err(args.usage_error("Shell not specified.")),
        [shell] => match SCRIPTS.iter().find(|(known, _)| known == shell) {
            Some((_, script)) => {
                session.out(if session.host.completes_words() { NATIVE } else { script });
                Ok(())
            }
            None => Err(args.usage_error(format!("Unsupported shell type {shell:?}."))),
        },
        _ => Err(args.usage_error("Too many arguments. Expected only the shell type.")),
    }
}

/// `kubectl plugin list`: programs of this machine whose names begin with `kubectl-`.
pub(super) async fn plugin(session: &Session<'_>) -> Result<(), Error> {
    let path = session.host.env("PATH").unwrap_or_default();
    let mut plugins: Vec<(String, DirEntry)> = Vec::new();
    for folder in path.split(':').filter(|folder| !folder.trim().is_empty()) {
        let entries = match session.host.read_dir(folder).await {
            Ok(entries) => entries,
            Err(error) => {
                let reason = error.as_str();
                session.errln(format!(
                    "Unable to read directory {folder:?} from your PATH: open {folder}: {reason}. Skipping..."
                ));
                continue;
            }
        };
        let named = entries.into_iter().filter(|entry| !entry.is_dir && entry.name.starts_with("kubectl-"));
        plugins.extend(named.map(|entry| (format!("{folder}/{}", entry.name), entry)));
    }
    if plugins.is_empty() {
        return Err(Error::message("unable to find any kubectl plugins in your PATH"));
    }
    session.outln("The following compatible plugins are available:\n");
    let mut warnings = 0;
    for (at, (path, entry)) in plugins.iter().enumerate() {
        session.outln(if session.args.bool("name-only") { &entry.name } else { path });
        let first = plugins.iter().take(at).find(|(_, other)| other.name == entry.name);
        let problems = [
            (!entry.is_executable).then(|| format!("{path} identified as a kubectl plugin, but it is not executable")),
            first.map(|(first, _)| format!("{path} is overshadowed by a similarly named plugin: {first}")),
            overwritten(&entry.name)
                .map(|command| format!("{} overwrites existing command: \"kubectl {command}\"", entry.name)),
        ];
        for problem in problems.into_iter().flatten() {
            session.errln(format!("  - warning: {problem}"));
            warnings += 1;
        }
    }
    match warnings {
        0 => Ok(()),
        1 => Err(Error::message("one plugin warning was found")),
        _ => Err(Error::message(format!("{warnings} plugin warnings were found"))),
    }
}

/// The command that stands in the way of a plugin: the longest whose words its name begins with.
fn overwritten(plugin: &str) -> Option<String> {
    let words: Vec<&str> = plugin.trim_start_matches("kubectl-").split('-').collect();
    let paths = (1..=words.len()).rev().filter_map(|count| Some(words.get(..count)?.join(" ")));
    paths.into_iter().find(|path| Command::find(path).is_some_and(|command| !command.path.is_empty()))
}

/// `kubectl kustomize`
pub(super) async fn kustomize(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let folder = match args.args.as_slice() {
        [] => ".",
        [folder] => folder,
        _ => return Err(Error::message("specify one path to kustomization.yaml")),
    };
    let restricted = match args.string("load-restrictor") {
        "" | "LoadRestrictionsRootOnly" => true,
        "LoadRestrictionsNone" => false,
        other => {
            return Err(Error::message(format!(
                "illegal flag value --load-restrictor {other}; legal values: [LoadRestrictionsRootOnly \
                 LoadRestrictionsNone]"
            )));
        }
    };
    let reorder = match args.string("reorder") {
        "" => None,
        "legacy" => Some(true),
        "none" => Some(false),
        other => {
            return Err(Error::message(format!("illegal flag value --reorder {other}; legal values: [legacy none]")));
        }
    };
    let objects = kustomize::build(session.host, folder, restricted, reorder).await?;
    let target = args.string("output");
    let write = async |path: String, text: String| {
        let written = session.host.write_file(&path, text.into()).await;
        written.map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))
    };
    if !target.is_empty() && session.host.read_dir(target).await.is_ok() {
        for object in &objects {
            let version = text(&object["apiVersion"]).replace('/', "_");
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let file = format!("{version}_{kind}_{name}.yaml").to_lowercase();
            write(format!("{}/{file}", target.trim_end_matches('/')), yaml::to_string(object)).await?;
        }
        return Ok(());
    }
    let documents: Vec<String> = objects.iter().map(yaml::to_string).collect();
    let documents = documents.join("---\n");
    match target {
        "" => session.out(documents),
        target => write(target.to_owned(), documents).await?,
    }
    Ok(())
}
