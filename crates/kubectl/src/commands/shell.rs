//! `kubectl completion`, `kubectl plugin` and `kubectl kustomize`.

use crate::error::Error;
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

/// `kubectl plugin list`: there are none on this machine.
pub(super) fn plugin() -> Result<(), Error> {
    Err(Error::message("unable to find any kubectl plugins in your PATH"))
}

/// `kubectl kustomize`
pub(super) async fn kustomize(session: &Session<'_>) -> Result<(), Error> {
    let folder = session.args.args.first().map_or(".", String::as_str);
    let objects = kustomize::build(session.host, folder).await?;
    let documents: Vec<String> = objects.iter().map(yaml::to_string).collect();
    session.out(documents.join("---\n"));
    Ok(())
}
