//! `kubectl completion`, `kubectl plugin` and `kubectl kustomize`.

use crate::error::Error;
use crate::resources::text;
use crate::session::Session;
use crate::{kustomize, yaml};

/// `kubectl completion`: shells ask `kubectl __complete`.
pub(super) fn completion(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    match args.args.as_slice() {
        [] => Err(args.usage_error("Shell not specified.")),
        [shell] => {
            let script = match shell.as_str() {
                "bash" => {
                    "_kubectl() {\n    mapfile -t COMPREPLY < <(kubectl __complete \"${COMP_LINE:0:COMP_POINT}\" \
                     2>/dev/null)\n}\ncomplete -o default -F _kubectl kubectl\n"
                }
                "zsh" => {
                    "#compdef kubectl\ncompdef _kubectl kubectl\n_kubectl() {\n    local -a \
                     found\n    found=(\"${(@f)$(kubectl __complete \"${words[1,CURRENT]}\" 2>/dev/null)}\")\n    \
                     compadd -a found\n}\n"
                }
                "fish" => "complete -c kubectl -f -a '(kubectl __complete (commandline -cp) 2>/dev/null)'\n",
                "powershell" => {
                    "Register-ArgumentCompleter -Native -CommandName kubectl -ScriptBlock {\n    param($word, $line, \
                     $cursor)\n    kubectl __complete $line.ToString().Substring(0, $cursor)\n}\n"
                }
                other => return Err(args.usage_error(format!("Unsupported shell type {other:?}."))),
            };
            session.out(script);
            Ok(())
        }
        _ => Err(args.usage_error("Too many arguments. Expected only the shell type.")),
    }
}

/// `kubectl plugin list`: programs of this machine whose names begin with `kubectl-`.
pub(super) async fn plugin(session: &Session<'_>) -> Result<(), Error> {
    let path = session.host.env("PATH").unwrap_or_default();
    let mut found = false;
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
        for entry in entries.iter().filter(|entry| !entry.is_dir && entry.name.starts_with("kubectl-")) {
            if !found {
                session.outln("The following compatible plugins are available:\n");
                found = true;
            }
            session.outln(match session.args.bool("name-only") {
                true => entry.name.clone(),
                false => format!("{folder}/{}", entry.name),
            });
        }
    }
    match found {
        true => Ok(()),
        false => Err(Error::message("unable to find any kubectl plugins in your PATH")),
    }
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
    let objects = kustomize::build(session.host, folder, restricted).await?;
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
