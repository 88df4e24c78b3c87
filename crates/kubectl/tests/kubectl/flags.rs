//! Every flag on every help page is read by the code of its command.
//!
//! The sources are looked at, not run: from a command's row in the table of commands along the names of the functions
//! it calls, leaving out the arms of a `match` that are for its sister commands. A flag is read where one
//! of [`READERS`] is called with its name, or where its name stands in an item that calls one with a variable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The methods of an `Invocation` that give a flag's value.
const READERS: [&str; 7] = ["bool", "changed", "duration", "global", "int", "list", "string"];

/// Flags that make no difference here, and why. `options` stands for the flags that all commands have.
const WITHOUT_EFFECT: &[(&str, &str, &str)] = &[
    ("api-resources", "cached", "what the server has is asked each time"),
    ("apply", "openapi-patch", "the schemas are built in"),
    ("apply", "wait", "the original reads it nowhere"),
    ("cluster-info dump", "pod-running-timeout", "the pods are there"),
    ("convert", "local", "no conversion needs a server"),
    ("convert", "validate", "no conversion needs a server"),
    ("diff", "concurrency", "one after the other"),
    ("kustomize", "as-current-user", "no functions are run"),
    ("kustomize", "enable-alpha-plugins", "no functions are run"),
    ("kustomize", "enable-helm", "no charts are inflated"),
    ("kustomize", "env", "no functions are run"),
    ("kustomize", "helm-api-versions", "no charts are inflated"),
    ("kustomize", "helm-command", "no charts are inflated"),
    ("kustomize", "helm-debug", "no charts are inflated"),
    ("kustomize", "helm-kube-version", "no charts are inflated"),
    ("kustomize", "mount", "no functions are run"),
    ("kustomize", "network", "no functions are run"),
    ("kustomize", "network-name", "no functions are run"),
    ("options", "cache-dir", "nothing is cached"),
    ("options", "disable-compression", "nothing is compressed"),
    ("options", "log-flush-frequency", "logs are written at once"),
    ("options", "profile-output", "there are no profiles"),
    ("options", "vmodule", "there are no modules of Go"),
    ("proxy", "keepalive", "a connection carries one request"),
    ("replace", "wait", "the original waits in any case"),
    ("run", "filename", "the original has it from delete, and reads it nowhere"),
    ("run", "force", "the original deletes with a grace period of the pod's own"),
    ("run", "grace-period", "the original deletes with a grace period of the pod's own"),
    ("run", "kustomize", "the original has it from delete, and reads it nowhere"),
    ("run", "recursive", "the original has it from delete, and reads it nowhere"),
    ("run", "timeout", "the original does not wait"),
    ("run", "wait", "the original does not wait"),
    ("top node", "use-protocol-buffers", "JSON says the same"),
    ("top pod", "use-protocol-buffers", "JSON says the same"),
    ("wait", "local", "the original reads it nowhere"),
];

/// A function, constant or static: what it says and whom it calls.
struct Item {
    module: String,
    name: String,
    /// Of a method: the type that has it.
    of: Option<String>,
    tokens: Vec<TokenTree>,
}

struct Sources {
    items: Vec<Item>,
    /// Modules and names that a module's `use` lines mention.
    imports: BTreeMap<String, BTreeSet<String>>,
}

/// The names in what an item says.
#[derive(Default)]
struct Mentions {
    /// `a::b` as `("a", "b")`, `b` as `("", "b")`, `.b(` as `(".", "b")`.
    names: BTreeSet<(String, String)>,
    literals: BTreeSet<String>,
    read: BTreeSet<String>,
    /// Whether a reader is called with a variable.
    reads_by_variable: bool,
    /// The arms of a `match` on strings, by their patterns.
    arms: Vec<(String, Mentions)>,
}

impl Sources {
    fn read() -> Self {
        let mut sources = Self { items: Vec::new(), imports: BTreeMap::new() };
        sources.folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "");
        sources
    }

    fn folder(&mut self, folder: &Path, module: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                self.folder(&path, &name);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = if name == "mod" { module.to_owned() } else { name };
                let tokens: TokenStream = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                self.items_of(&name, None, &tokens.into_iter().collect::<Vec<_>>());
            }
        }
    }

    fn items_of(&mut self, module: &str, of: Option<&str>, tokens: &[TokenTree]) {
        let mut rest = tokens;
        while let Some((token, after)) = rest.split_first() {
            rest = after;
            let TokenTree::Ident(word) = token else { continue };
            let ends_with =
                |end: &dyn Fn(&TokenTree) -> bool| after.iter().position(end).map_or(after.len(), |at| at + 1);
            let is_block =
                |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            let is_semicolon = |token: &TokenTree| matches!(token, TokenTree::Punct(end) if end.as_char() == ';');
            let end = match word.to_string().as_str() {
                "use" | "const" | "static" if !matches!(after.first(), Some(TokenTree::Ident(next)) if next == "fn") => {
                    ends_with(&is_semicolon)
                }
                "fn" | "impl" | "trait" | "mod" => ends_with(&|token| is_block(token) || is_semicolon(token)),
                _ => continue,
            };
            let (inside, after) = after.split_at(end);
            rest = after;
            let name = inside.first().map(ToString::to_string).unwrap_or_default();
            match word.to_string().as_str() {
                "use" => {
                    self.imports.entry(module.to_owned()).or_default().extend(words(inside));
                }
                "impl" | "trait" => {
                    if let Some(TokenTree::Group(block)) = inside.last() {
                        self.items_of(
                            module,
                            Some(&self_type(inside)),
                            &block.stream().into_iter().collect::<Vec<_>>(),
                        );
                    }
                }
                // Tests read nothing for anybody.
                "mod" => {}
                _ => {
                    let tokens = inside.to_vec();
                    let of = of.map(str::to_owned);
                    self.items.push(Item { module: module.to_owned(), name, of, tokens });
                }
            }
        }
    }

    /// The items that a name in a module may mean; `named` are those of that name.
    fn meant(&self, module: &str, path: &str, name: &str, named: &[usize]) -> Vec<usize> {
        let imports = self.imports.get(module);
        let here = |item: &Item| match path {
            "." => item.of.is_some(),
            "Self" => item.of.is_some() && item.module == module,
            path if path.starts_with(char::is_uppercase) => item.of.as_deref() == Some(path),
            _ if item.of.is_some() => false,
            "" => {
                item.module == module
                    || imports.is_some_and(|imports| imports.contains(name) && imports.contains(&item.module))
            }
            "self" => item.module == module,
            path => item.module == path,
        };
        named.iter().copied().filter(|at| here(&self.items[*at])).collect()
    }

    /// The flags read from here on, without what is for commands to skip. `all` is what each item mentions.
    fn flags_read(
        &self,
        module: &str,
        start: &Mentions,
        all: &[Mentions],
        skip: &dyn Fn(&str) -> bool,
    ) -> BTreeSet<String> {
        let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, item) in self.items.iter().enumerate() {
            by_name.entry(&item.name).or_default().push(at);
        }
        let mut seen = BTreeSet::new();
        let mut read = BTreeSet::new();
        let mut waiting = vec![(module, start)];
        while let Some((module, mentions)) = waiting.pop() {
            waiting.extend(mentions.arms.iter().filter(|(of, _)| !skip(of)).map(|(_, arm)| (module, arm)));
            let called: Vec<usize> = mentions
                .names
                .iter()
                .filter(|(_, name)| name != "COMMANDS")
                .filter_map(|(path, name)| Some((path, name, by_name.get(name.as_str())?)))
                .flat_map(|(path, name, named)| self.meant(module, path, name, named))
                .collect();
            read.extend(mentions.read.iter().cloned());
            let by_variable = |item: &usize| all[*item].reads_by_variable && self.items[*item].module != "args";
            if mentions.reads_by_variable || called.iter().any(by_variable) {
                let is_constant = |item: &&usize| self.items[**item].name.starts_with(char::is_uppercase);
                let constants = called.iter().filter(is_constant).map(|item| &all[*item]);
                read.extend(constants.chain([mentions]).flat_map(|mentions| mentions.literals.iter().cloned()));
            }
            for item in called {
                if seen.insert(item) {
                    waiting.push((self.items[item].module.as_str(), &all[item]));
                }
            }
        }
        read
    }
}

impl Mentions {
    fn of(tokens: &[TokenTree]) -> Self {
        let mut mentions = Self::default();
        mentions.look(tokens);
        mentions
    }

    fn look(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => {
                    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.look(&inside);
                }
                TokenTree::Literal(literal) => {
                    let Some(text) = text_of(&literal.to_string()) else { continue };
                    if is(tokens, at, "=") && is(tokens, at + 1, ">") {
                        let start = at + 2;
                        let is_block = matches!(tokens.get(start), Some(TokenTree::Group(_)));
                        at = start + usize::from(is_block);
                        while !is_block && at < tokens.len() && !is(tokens, at, ",") {
                            at += 1;
                        }
                        self.arms.push((text.clone(), Self::of(&tokens[start..at])));
                    }
                    self.literals.insert(text);
                }
                TokenTree::Ident(name) => {
                    let name = name.to_string();
                    let before = at.checked_sub(2).map(|before| tokens[before].to_string()).unwrap_or_default();
                    let path = match (before.as_str(), at.checked_sub(4).and_then(|path| tokens.get(path))) {
                        (".", _) => ".".to_owned(),
                        (":", Some(TokenTree::Ident(path))) => path.to_string(),
                        _ => String::new(),
                    };
                    if path == "."
                        && READERS.contains(&name.as_str())
                        && let Some(TokenTree::Group(argument)) = tokens.get(at)
                    {
                        match text_of(&argument.stream().to_string()) {
                            Some(flag) => _ = self.read.insert(flag),
                            None => self.reads_by_variable |= !argument.stream().is_empty(),
                        }
                    }
                    let is_called = matches!(tokens.get(at), Some(TokenTree::Group(_)));
                    if is_called || !path.is_empty() || name.starts_with(char::is_uppercase) {
                        self.names.insert((path, name));
                    }
                }
                TokenTree::Punct(_) => {}
            }
        }
    }
}

/// The type that an `impl` is for: the last name that is no parameter of another.
fn self_type(head: &[TokenTree]) -> String {
    let mut depth = 0;
    let mut name = String::new();
    for token in head {
        match token.to_string().as_str() {
            "<" => depth += 1,
            ">" => depth -= 1,
            word if depth == 0 && matches!(token, TokenTree::Ident(_)) => name = word.to_owned(),
            _ => {}
        }
    }
    name
}

fn is(tokens: &[TokenTree], at: usize, sign: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.to_string() == sign)
}

fn text_of(literal: &str) -> Option<String> {
    Some(literal.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

fn words(tokens: &[TokenTree]) -> Vec<String> {
    tokens
        .iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => words(&group.stream().into_iter().collect::<Vec<_>>()),
            token => vec![token.to_string()],
        })
        .collect()
}

/// `(command, its flags)`, as the pages have them.
fn pages() -> Vec<(String, Vec<String>)> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages")).unwrap() {
        let path = entry.unwrap().path();
        let command = path.file_stem().unwrap().to_str().unwrap().replace('_', " ");
        let text = std::fs::read_to_string(&path).unwrap();
        let flag = |line: &str| {
            let line = line.strip_prefix("    -")?.strip_suffix(':')?;
            let (_, long) = line.split_once("--").or_else(|| line.split_once('-'))?;
            Some(long.split_once('=')?.0.to_owned())
        };
        pages.push((command, text.lines().filter_map(flag).collect()));
    }
    pages.sort();
    pages
}

#[test]
fn every_flag_is_read() {
    let sources = Sources::read();
    let pages = pages();
    assert!(pages.iter().any(|(command, flags)| command == "get" && flags.iter().any(|flag| flag == "output")));
    let table = sources.items.iter().find(|item| item.name == "COMMANDS").expect("a table of commands");
    let rows: Vec<TokenTree> = table.tokens.clone();
    let Some(TokenTree::Group(rows)) = rows.iter().rev().find(|token| matches!(token, TokenTree::Group(_))) else {
        panic!("the table of commands has no rows");
    };
    let mut rows_of: BTreeMap<String, Vec<TokenTree>> = BTreeMap::new();
    for row in rows.stream() {
        let TokenTree::Group(row) = row else { continue };
        let tokens: Vec<TokenTree> = row.stream().into_iter().collect();
        rows_of.insert(text_of(&tokens[0].to_string()).expect("a command's name"), tokens);
    }
    let all: Vec<Mentions> = sources.items.iter().map(|item| Mentions::of(&item.tokens)).collect();
    let always = {
        let start = sources.items.iter().position(|item| item.module == "lib" && item.name == "run").unwrap();
        sources.flags_read("lib", &all[start], &all, &|_| false)
    };
    let mut unread = Vec::new();
    let mut excepted = BTreeSet::new();
    for (command, flags) in &pages {
        let (parent, _) = command.rsplit_once(' ').unwrap_or(("", command));
        let sisters: BTreeSet<&str> = pages
            .iter()
            .map(|(other, _)| other.as_str())
            .filter(|other| *other != command.as_str() && !command.starts_with(&format!("{other} ")))
            .filter(|other| {
                !parent.is_empty() && other.starts_with(&format!("{parent} ")) || {
                    // The sisters of a command that is its group's own.
                    parent.is_empty() && other.starts_with(&format!("{command} "))
                }
            })
            .flat_map(|other| [other, other.rsplit(' ').next().unwrap_or(other)])
            .collect();
        let first = command.split(' ').next().unwrap_or_default();
        let mut read = always.clone();
        if let Some(row) = rows_of.get(first) {
            read.extend(sources.flags_read("commands", &Mentions::of(row), &all, &|text| sisters.contains(text)));
        }
        for flag in flags {
            let exception = WITHOUT_EFFECT.iter().position(|(of, name, _)| of == command && name == flag);
            match (read.contains(flag), exception) {
                (true, None) => {}
                (false, Some(at)) => _ = excepted.insert(at),
                (true, Some(_)) => unread.push(format!("{command} --{flag} is no exception")),
                (false, None) => unread.push(format!("{command} --{flag}")),
            }
        }
    }
    for (at, (command, flag, _)) in WITHOUT_EFFECT.iter().enumerate() {
        if !excepted.contains(&at) && !unread.contains(&format!("{command} --{flag} is no exception")) {
            unread.push(format!("{command} --{flag}: there is no such flag"));
        }
    }
    assert_eq!(unread.len(), 0, "flags that nothing reads:\n{}", unread.join("\n"));
}
