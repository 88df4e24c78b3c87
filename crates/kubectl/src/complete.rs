//! Completion of the word under the cursor.

use crate::args::Invocation;
use crate::command::{Command, FlagKind};
use crate::host::Host;
use crate::resources::{Mapper, items, text};
use crate::session::Session;
use crate::{Completion, api};
use machinery::sort::Order;

/// Commands whose first argument is a resource type, and then names of it.
const BY_TYPE: &[&str] = &[
    "annotate",
    "autoscale",
    "delete",
    "describe",
    "edit",
    "events",
    "expose",
    "get",
    "label",
    "patch",
    "scale",
    "taint",
    "wait",
    "rollout history",
    "rollout pause",
    "rollout restart",
    "rollout resume",
    "rollout status",
    "rollout undo",
    "set env",
    "set image",
    "set resources",
    "set selector",
    "set serviceaccount",
    "set subject",
    "explain",
];
/// Commands whose arguments are objects of one type.
const OF_ONE: &[(&str, &str)] = &[
    ("attach", "pods"),
    ("cordon", "nodes"),
    ("debug", "pods"),
    ("drain", "nodes"),
    ("exec", "pods"),
    ("logs", "pods"),
    ("port-forward", "pods"),
    ("top node", "nodes"),
    ("top pod", "pods"),
    ("uncordon", "nodes"),
    ("certificate approve", "certificatesigningrequests"),
    ("certificate deny", "certificatesigningrequests"),
];
/// Flags whose values are among a few.
const VALUES: &[(&str, &[&str])] = &[
    ("cascade", &["background", "foreground", "orphan"]),
    ("dry-run", &["client", "none", "server"]),
    (
        "output",
        &[
            "custom-columns=",
            "custom-columns-file=",
            "go-template=",
            "go-template-file=",
            "json",
            "jsonpath=",
            "jsonpath-as-json=",
            "jsonpath-file=",
            "name",
            "template=",
            "templatefile=",
            "wide",
            "yaml",
        ],
    ),
    ("restart", &["Always", "Never", "OnFailure"]),
    ("type", &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort", "json", "merge", "strategic"]),
    ("validate", &["ignore", "strict", "warn"]),
];

/// Completes the word at `cursor` of a line that starts with the program's name.
pub(crate) async fn complete(line: &str, cursor: usize, host: &dyn Host) -> Completion {
    let before = line.get(..cursor).unwrap_or(line);
    let start = before.rfind([' ', '\t']).map_or(0, |at| at + 1);
    let (lead, word) = before.split_at(start);
    let mut words: Vec<String> = lead.split_whitespace().skip(1).map(str::to_owned).collect();
    let pending = words.last().and_then(|last| flag_waiting(&words, last));
    if pending.is_some() {
        words.pop();
    }
    // A line that is not finished may not parse: then only its command is known.
    let (command, invocation) = understand(&words);
    let none = Completion { start, candidates: Vec::new() };
    if lead.trim().is_empty() {
        return none;
    }
    let (prefix, stem, found) = if let Some(flag) = pending {
        (String::new(), word, flag_values(&flag, invocation, host).await)
    } else if let Some((flag, value)) = word.strip_prefix("--").and_then(|word| word.split_once('=')) {
        (format!("--{flag}="), value, flag_values(flag, invocation, host).await)
    } else if word.starts_with('-') {
        (String::new(), word, flags(&command))
    } else {
        arguments(&command, invocation, word, host).await
    };
    let mut candidates: Vec<String> =
        found.into_iter().filter(|name| name.starts_with(stem)).map(|name| format!("{prefix}{name}")).collect();
    candidates.order();
    candidates.dedup();
    Completion { start, candidates }
}

/// What a completion script does with the candidates (cobra's `ShellCompDirective…`).
const DEFAULT: (u8, &str) = (0, "ShellCompDirectiveDefault");
const NO_FILES: (u8, &str) = (4, "ShellCompDirectiveNoFileComp");
const NO_SPACE: (u8, &str) = (6, "ShellCompDirectiveNoSpace, ShellCompDirectiveNoFileComp");
/// Commands of which `logs`, `exec` and the like know the pods, as they offer them.
const WITH_PODS: [&str; 8] = [
    "daemonsets/",
    "deployments/",
    "pods/",
    "jobs/",
    "replicasets/",
    "replicationcontrollers/",
    "services/",
    "statefulsets/",
];

/// `kubectl __complete WORD…`, which the scripts of `kubectl completion` ask: a candidate a line, with what
/// it means behind a tab, and what the script is to do with them. The last word is the one to complete.
pub(crate) async fn for_scripts(words: &[String], described: bool, host: &dyn Host) -> i32 {
    let (word, before) = words.split_last().map_or(("", &[][..]), |(word, before)| (word.as_str(), before));
    let pending = before.last().and_then(|last| flag_waiting(before, last));
    let lead = if pending.is_some() { before.get(..before.len() - 1).unwrap_or_default() } else { before };
    let (command, invocation) = understand(lead);
    let mut directive = NO_FILES;
    let mut found: Vec<(String, &str)> = Vec::new();
    if let Some(flag) = pending.as_deref() {
        let values = flag_values(flag, invocation, host).await;
        // The scripts are told the names alone, in the order of the page.
        found = match flag {
            "output" => formats(&command),
            _ => values.into_iter().map(|value| (value, "")).collect(),
        };
        let known = matches!(flag, "namespace" | "context" | "cluster" | "user" | "output");
        directive = if known { NO_FILES } else { DEFAULT };
    } else if word.starts_with('-') {
        let mut flags = command.flags();
        flags.retain(|flag| !flag.usage.is_empty());
        flags.order_by_key(|flag| flag.name);
        for flag in &flags {
            found.push((format!("--{}", flag.name), flag.usage));
            found.extend(flag.shorthand.map(|letter| (format!("-{letter}"), flag.usage)));
        }
    } else {
        let invoked = invocation.as_ref().is_some_and(|invocation| !invocation.args.is_empty());
        if command.path == "scale" && invoked {
            let required = command.flags().into_iter().find(|flag| flag.name == "replicas");
            found.extend(required.map(|flag| ("--replicas".to_owned(), flag.usage)));
        }
        if command.path == "logs" && !invoked && !word.contains('/') {
            directive = NO_SPACE;
        } else if matches!(command.path, "explain" | "wait") {
            directive = DEFAULT;
        }
        let (prefix, _, names) = arguments(&command, invocation, word, host).await;
        if directive != DEFAULT {
            found.extend(names.into_iter().map(|name| {
                let about = if invoked { "" } else { command.short_of(&name) };
                (format!("{prefix}{name}"), about)
            }));
        }
        if directive == NO_SPACE {
            found.extend(WITH_PODS.map(|kind| (kind.to_owned(), "")));
        }
    }
    for (name, about) in found.iter().filter(|(name, _)| name.starts_with(word)) {
        let about = if described && !about.is_empty() { format!("\t{about}") } else { String::new() };
        host.stdout(format!("{name}{about}\n").as_bytes());
    }
    host.stdout(format!(":{}\n", directive.0).as_bytes());
    host.stderr(format!("Completion ended with directive: {}\n", directive.1).as_bytes());
    0
}

/// The values of `-o`, as the command's page names them.
fn formats(command: &Command) -> Vec<(String, &'static str)> {
    let flag = command.flags().into_iter().find(|flag| flag.name == "output");
    let named = flag.and_then(|flag| flag.usage.split_once('(')?.1.split_once(')')).map_or("", |(named, _)| named);
    named.split(", ").filter(|name| !name.is_empty()).map(|name| (name.to_owned(), "")).collect()
}

/// The command of some words, and all of them if they make sense so far.
fn understand(words: &[String]) -> (Command, Option<Invocation>) {
    for end in (0..=words.len()).rev() {
        if let Ok(invocation) = Invocation::parse(words.get(..end).unwrap_or_default()) {
            return (invocation.command, Some(invocation));
        }
    }
    (Command::root(), None)
}

/// The flag that the last word is, if it wants a value in the next one.
fn flag_waiting(words: &[String], last: &str) -> Option<String> {
    let (command, _) = understand(words.get(..words.len().saturating_sub(1)).unwrap_or_default());
    let flags = command.flags();
    let found = match last.strip_prefix("--") {
        Some(name) => flags.iter().find(|flag| flag.name == name),
        None => {
            let letter = last.strip_prefix('-')?.chars().last()?;
            flags.iter().find(|flag| flag.shorthand == Some(letter))
        }
    };
    found.filter(|flag| flag.bare.is_none() && flag.kind != FlagKind::Bool).map(|flag| flag.name.to_owned())
}

fn flags(command: &Command) -> Vec<String> {
    let mut flags = command.flags();
    flags.retain(|flag| !flag.usage.is_empty());
    let long = flags.iter().map(|flag| format!("--{}{}", flag.name, if flag.bare.is_none() { "=" } else { "" }));
    let short = flags.iter().filter_map(|flag| flag.shorthand).map(|letter| format!("-{letter}"));
    long.chain(short).collect()
}

async fn flag_values(flag: &str, invocation: Option<Invocation>, host: &dyn Host) -> Vec<String> {
    if let Some((_, values)) = VALUES.iter().find(|(name, _)| *name == flag) {
        return values.iter().map(|value| (*value).to_owned()).collect();
    }
    let Some(invocation) = invocation else { return Vec::new() };
    match flag {
        "namespace" => {
            let session = Session::new(host, invocation);
            names(&session, "namespaces").await
        }
        "context" | "cluster" | "user" => config_names(&invocation, host, &format!("{flag}s")).await,
        "filename" | "kustomize" | "kubeconfig" => Vec::new(),
        _ => Vec::new(),
    }
}

async fn config_names(invocation: &Invocation, host: &dyn Host, section: &str) -> Vec<String> {
    let config = crate::kubeconfig::Kubeconfig::load(host, invocation).await;
    config.map(|config| items(&config.merged[section]).map(|entry| text(&entry["name"])).collect()).unwrap_or_default()
}

/// What may stand where an argument stands: what goes before it, what of the word is to match, candidates.
async fn arguments<'w>(
    command: &Command,
    invocation: Option<Invocation>,
    word: &'w str,
    host: &dyn Host,
) -> (String, &'w str, Vec<String>) {
    let subcommands: Vec<String> = command
        .subcommands()
        .filter(|below| !command.short_of(below.name()).is_empty() || matches!(below.path, "help" | "options"))
        .map(|below| below.name().to_owned())
        .collect();
    let plain = |found| (String::new(), word, found);
    let Some(invocation) = invocation else { return plain(subcommands) };
    if !subcommands.is_empty() && invocation.args.is_empty() {
        return plain(subcommands);
    }
    let args = invocation.args.clone();
    match command.path {
        "config use-context"
        | "config delete-context"
        | "config rename-context"
        | "config get-contexts"
        | "config set-context" => return plain(config_names(&invocation, host, "contexts").await),
        "config delete-cluster" | "config set-cluster" => {
            return plain(config_names(&invocation, host, "clusters").await);
        }
        "config delete-user" | "config set-credentials" => {
            return plain(config_names(&invocation, host, "users").await);
        }
        "completion" => return plain(["bash", "fish", "powershell", "zsh"].map(str::to_owned).to_vec()),
        _ => {}
    }
    let session = Session::new(host, invocation);
    if let Some((kind, name)) = word.split_once('/') {
        return (format!("{kind}/"), name, names(&session, kind).await);
    }
    if let Some((_, kind)) = OF_ONE.iter().find(|(path, _)| *path == command.path) {
        if command.path == "logs" && args.len() == 1 || command.path == "exec" && !args.is_empty() {
            return plain(Vec::new());
        }
        return plain(names(&session, kind).await);
    }
    if !BY_TYPE.contains(&command.path) {
        return plain(Vec::new());
    }
    let Some(kind) = args.first() else {
        let found = session.mapper().await.map(types).unwrap_or_default();
        return match word.rsplit_once(',') {
            Some((before, last)) => (format!("{before},"), last, found),
            None => plain(found),
        };
    };
    if kind.contains('/') || command.path == "explain" {
        return plain(Vec::new());
    }
    let found = names(&session, kind).await.into_iter().filter(|name| !args.contains(name)).collect();
    plain(found)
}

/// Plurals; with their group where another group has the same.
fn types(mapper: &Mapper) -> Vec<String> {
    let mut found = Vec::new();
    for resource in &mapper.resources {
        let taken = mapper.find(&resource.name).is_ok_and(|first| first.group != resource.group);
        if resource.can("get") || resource.can("list") {
            found.push(if taken { resource.qualified() } else { resource.name.clone() });
        }
    }
    found
}

/// The names of the objects of a type in the namespace at hand.
async fn names(session: &Session<'_>, kind: &str) -> Vec<String> {
    let Ok(mapper) = session.mapper().await else { return Vec::new() };
    let (Ok(resource), Ok((namespace, _)), Ok(client)) =
        (mapper.find(kind), session.namespace().await, session.client().await)
    else {
        return Vec::new();
    };
    let url = api::Url::new(resource.path(&namespace, ""));
    match client.get(url).await {
        Ok(list) => items(&list["items"]).map(|object| text(&object["metadata"]["name"])).collect(),
        Err(_) => Vec::new(),
    }
}
