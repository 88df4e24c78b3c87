//! Commands as data: names, aliases and flags, read out of the help pages.

use machinery::sort::Order;

use crate::pages::pages;

/// A command: a help page and where it hangs in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// `create service clusterip`; empty for `kubectl` itself.
    pub path: &'static str,
    /// What `--help` prints.
    pub page: &'static str,
}

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagKind {
    /// `true` or `false`; the bare flag means `true`.
    Bool,
    /// A whole number.
    Int,
    /// Anything.
    String,
    /// Go's notation: `1m30s`.
    Duration,
    /// May be repeated; each value is split at commas.
    List,
    /// May be repeated; values are taken as they are.
    Array,
}

/// A flag of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    /// One-letter form.
    pub shorthand: Option<char>,
    /// What its value is.
    pub kind: FlagKind,
    /// Its value when not given.
    pub default: &'static str,
    /// Its value when given without one; `None` where it needs one.
    pub bare: Option<&'static str>,
    /// One line of explanation.
    pub usage: &'static str,
}

/// Repeatable flags whose values are not split at commas. The pages do not tell them from others.
const ARRAYS: &[&str] = &[
    "allowlist-entry",
    "annotation",
    "appendarg",
    "as-group",
    "env",
    "exec-env",
    "for",
    "from-literal",
    "option",
    "prependarg",
    "prune-allowlist",
    "resource-name",
    "rule",
];
/// The same, where it depends on the command.
const ARRAYS_OF: &[(&str, &str)] = &[
    ("create rolebinding", "user"),
    ("create rolebinding", "group"),
    ("create rolebinding", "serviceaccount"),
    ("create clusterrolebinding", "user"),
    ("create clusterrolebinding", "group"),
    ("create clusterrolebinding", "serviceaccount"),
    ("create token", "audience"),
];
/// Flags that are not boolean and may stand without a value.
const BARE: &[(&str, &str)] = &[("dry-run", "unchanged"), ("cascade", "background"), ("validate", "strict")];
/// Commands with `--record`, which is deprecated: no page shows it.
const RECORDING: &[&str] = &[
    "annotate",
    "apply",
    "autoscale",
    "create",
    "edit",
    "expose",
    "label",
    "patch",
    "run",
    "scale",
    "set image",
    "set resources",
    "set selector",
    "set serviceaccount",
];
const RECORD: Flag =
    Flag { name: "record", shorthand: None, kind: FlagKind::Bool, default: "false", bare: Some("true"), usage: "" };
/// Of `apply`, where a variable turns it on: no page shows it.
const APPLY_SET: Flag =
    Flag { name: "applyset", shorthand: None, kind: FlagKind::String, default: "", bare: None, usage: "" };
/// Of `kustomize`, which is deprecated: no page shows it.
const REORDER: Flag =
    Flag { name: "reorder", shorthand: None, kind: FlagKind::String, default: "", bare: None, usage: "" };
const HELP: Flag = Flag {
    name: "help",
    shorthand: Some('h'),
    kind: FlagKind::Bool,
    default: "false",
    bare: Some("true"),
    usage: "help for a command",
};

impl Command {
    /// `kubectl` itself.
    pub fn root() -> Self {
        Self::find("").unwrap_or(Self { path: "", page: "" })
    }

    /// The command with a path, such as `create service clusterip`.
    pub fn find(path: &str) -> Option<Self> {
        pages().iter().find(|(known, _)| *known == path).map(|&(path, page)| Self { path, page })
    }

    /// How it is called: `kubectl get`.
    pub fn full_name(&self) -> String {
        if self.path.is_empty() { "kubectl".into() } else { format!("kubectl {}", self.path) }
    }

    /// Its own name: `clusterip`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit(' ').next().unwrap_or_default()
    }

    /// The commands below it, in the order of the pages.
    pub fn subcommands(&self) -> impl Iterator<Item = Command> + use<> {
        let parent = self.path;
        pages().iter().filter_map(move |&(path, page)| {
            let rest = match parent {
                "" => path,
                _ => path.strip_prefix(parent)?.strip_prefix(' ')?,
            };
            (!rest.is_empty() && !rest.contains(' ')).then_some(Command { path, page })
        })
    }

    /// Its other names.
    pub fn aliases(&self) -> Vec<&'static str> {
        let Some((_, rest)) = self.page.split_once("\nAliases:\n") else { return Vec::new() };
        rest.lines().next().unwrap_or_default().split(", ").skip(1).collect()
    }

    /// The command below it with a name or an alias.
    pub fn subcommand(&self, name: &str) -> Option<Command> {
        self.subcommands().find(|command| command.name() == name || command.aliases().contains(&name))
    }

    /// One line about each command below it, as its page lists them.
    pub fn short_of(&self, name: &str) -> &'static str {
        self.page
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split_once("   ").or_else(|| line.split_once("  ")))
            .find(|(known, _)| *known == name)
            .map_or("", |(_, short)| short.trim_start())
    }

    /// Its own flags, then those that every command has.
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = flags_of(self.path, self.page);
        for flag in global_flags() {
            if !flags.iter().any(|own| own.name == flag.name) {
                let taken = flags.iter().any(|own| own.shorthand.is_some() && own.shorthand == flag.shorthand);
                flags.push(Flag { shorthand: if taken { None } else { flag.shorthand }, ..flag });
            }
        }
        if RECORDING.contains(&self.path) {
            flags.push(RECORD);
        }
        if self.path == "apply" {
            flags.push(APPLY_SET);
        }
        if self.path == "kustomize" {
            flags.push(REORDER);
        }
        flags.push(HELP);
        flags
    }

    /// Whether the command has a flag of its own by a name, which then hides the global one.
    pub fn has_own_flag(&self, name: &str) -> bool {
        self.path != "options" && flags_of(self.path, self.page).iter().any(|flag| flag.name == name)
    }

    /// Commands one may have meant: two letters away, or beginning like it.
    pub fn suggestions(&self, typed: &str) -> Vec<&'static str> {
        let typed = typed.to_lowercase();
        let mut meant: Vec<&str> = self
            .subcommands()
            .map(|command| command.name())
            .filter(|name| levenshtein(&typed, name) <= 2 || name.starts_with(&typed))
            .collect();
        // As the page lists them.
        meant.order_by_key(|name| self.page.find(&format!("\n  {name} ")).unwrap_or(usize::MAX));
        meant
    }
}

/// Flags that every command has: those of `kubectl options`.
pub fn global_flags() -> Vec<Flag> {
    Command::find("options").map_or_else(Vec::new, |options| flags_of("", options.page))
}

fn flags_of(path: &str, page: &'static str) -> Vec<Flag> {
    let mut flags = Vec::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let usage = lines.peek().and_then(|next| next.strip_prefix('\t')).unwrap_or_default();
        if let Some(flag) = flag_of(path, line, usage) {
            flags.push(flag);
        }
    }
    flags
}

/// Reads `    -o, --output='':`, the line above a flag's explanation.
fn flag_of(path: &str, line: &'static str, usage: &'static str) -> Option<Flag> {
    let line = line.strip_prefix("    -")?.strip_suffix(':')?;
    let (shorthand, long) = match line.split_once(", --") {
        Some((letter, long)) => (letter.chars().next(), long),
        None => (None, line.strip_prefix('-')?),
    };
    let (name, default) = long.split_once('=')?;
    let kind = match default {
        "true" | "false" => FlagKind::Bool,
        "[]" if ARRAYS.contains(&name) || ARRAYS_OF.contains(&(path, name)) => FlagKind::Array,
        _ if default.starts_with('[') => FlagKind::List,
        _ if default.parse::<i64>().is_ok() => FlagKind::Int,
        _ if default.ends_with('s') && default.starts_with(|c: char| c.is_ascii_digit()) => FlagKind::Duration,
        _ => FlagKind::String,
    };
    let bare = match kind {
        FlagKind::Bool => Some("true"),
        FlagKind::String => BARE.iter().find(|(flag, _)| *flag == name).map(|&(_, value)| value),
        _ => None,
    };
    let default = default.trim_matches('\'');
    Some(Flag { name, shorthand, kind, default, bare, usage })
}

/// Edits needed to turn one word into another.
fn levenshtein(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(&b) {
            let change = diagonal + usize::from(from != *to);
            diagonal = *cell;
            *cell = change.min(left + 1).min(diagonal + 1);
            left = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_and_flags_from_pages() {
        let get = Command::root().subcommand("get").unwrap();
        let flags = get.flags();
        let by_name = |name: &str| *flags.iter().find(|flag| flag.name == name).unwrap();
        assert_eq!(by_name("output").shorthand, Some('o'));
        assert_eq!(by_name("chunk-size").kind, FlagKind::Int);
        assert_eq!(by_name("filename").kind, FlagKind::List);
        assert_eq!(by_name("watch").bare, Some("true"));
        assert_eq!(by_name("namespace").shorthand, Some('n'));
        let create = Command::root().subcommand("create").unwrap();
        assert_eq!(create.subcommand("deploy").unwrap().path, "create deployment");
        assert_eq!(create.subcommand("svc").unwrap().subcommand("nodeport").unwrap().name(), "nodeport");
        assert_eq!(Command::root().suggestions("gte"), ["get"]);
        assert_eq!(Command::root().short_of("get"), "Display one or many resources");
    }

    #[test]
    fn every_command_is_listed_by_its_parent() {
        // `convert` is a plugin of the original's, `kuberc` younger than the pages.
        let unlisted = ["", "convert", "help", "kuberc", "options"];
        for (path, _) in pages().iter().filter(|(path, _)| !unlisted.contains(path)) {
            let (parent, name) = path.rsplit_once(' ').unwrap_or(("", path));
            assert_ne!(Command::find(parent).unwrap().short_of(name), "", "{path}");
        }
    }
}
