//! nginx' configuration: directives, blocks of them, and files that include one another.

use std::cell::RefCell;
use std::rc::Rc;

use crate::fs::{self, Fs};
use crate::shell::pattern::matches_text;

/// Where relative names are, and where the configuration begins.
const PREFIX: &str = "/etc/nginx";
pub(super) const MAIN: &str = "/etc/nginx/nginx.conf";
/// How deeply files may include one another.
const INCLUDES_MAX: usize = 10;

/// A directive: its name, its arguments, and its block if it has one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) block: Block,
    /// `file:line`.
    pub(super) place: String,
}

/// Directives, shared by all who read the same.
pub(super) type Block = Rc<[Directive]>;

thread_local! {
    /// What was read last: most servers of a cluster read the same.
    static LAST: RefCell<Rc<Configuration>> = RefCell::default();
}

/// A configuration: what it says, and the files it was read from.
#[derive(Default)]
pub(super) struct Configuration {
    pub(super) directives: Block,
    pub(super) files: Vec<(String, String)>,
    /// What was included, and the files that these were.
    includes: Vec<(String, Vec<String>)>,
}

impl Directive {
    /// An argument; empty where there are not so many.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }
}

/// All directives of a name.
pub(super) fn all<'a>(block: &'a [Directive], name: &'a str) -> impl Iterator<Item = &'a Directive> {
    block.iter().filter(move |directive| directive.name == name)
}

impl Configuration {
    /// Reads a file and what it includes. The error is what follows `[emerg]` in nginx' log.
    pub(super) fn read(fs: &Fs, path: &str) -> Result<Rc<Self>, String> {
        let last = LAST.with_borrow(Rc::clone);
        if last.is_at(fs, path) {
            return Ok(last);
        }
        let mut configuration = Self::default();
        configuration.directives = configuration.file(fs, path, "", 0)?.into();
        let configuration = Rc::new(configuration);
        LAST.set(configuration.clone());
        Ok(configuration)
    }

    /// Whether this is what would be read there.
    fn is_at(&self, fs: &Fs, path: &str) -> bool {
        self.files.first().is_some_and(|(first, _)| first == path)
            && self.includes.iter().all(|(pattern, found)| matching(fs, pattern) == *found)
            && self.files.iter().all(|(path, text)| fs.is_text(path, text))
    }

    fn file(&mut self, fs: &Fs, path: &str, place: &str, depth: usize) -> Result<Vec<Directive>, String> {
        if depth > INCLUDES_MAX {
            return Err(format!("too many nested includes{place}"));
        }
        let text = fs.read_text(path).map_err(|error| format!("open() \"{path}\" failed (2: {error}){place}"))?;
        self.files.push((path.to_owned(), text.clone()));
        let mut tokens = Tokens { path, line: 1, chars: text.chars().peekable() };
        self.block(fs, &mut tokens, false, depth)
    }

    fn block(
        &mut self,
        fs: &Fs,
        tokens: &mut Tokens<'_>,
        nested: bool,
        depth: usize,
    ) -> Result<Vec<Directive>, String> {
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        loop {
            match tokens.next()? {
                Token::Word(word) => words.push(word),
                Token::End if !words.is_empty() => {
                    return Err(tokens.says("unexpected end of file, expecting \";\" or \"}\""));
                }
                Token::End if nested => return Err(tokens.says("unexpected end of file, expecting \"}\"")),
                Token::End => return Ok(directives),
                Token::Close if !words.is_empty() || !nested => return Err(tokens.says("unexpected \"}\"")),
                Token::Close => return Ok(directives),
                Token::Open | Token::Semicolon if words.is_empty() => return Err(tokens.says("unexpected \";\"")),
                token => {
                    let name = words.remove(0);
                    let arguments = std::mem::take(&mut words);
                    let place = tokens.place();
                    if name == "include" && token == Token::Semicolon {
                        let pattern = fs::absolute(PREFIX, arguments.first().map_or("", String::as_str));
                        let found = matching(fs, &pattern);
                        self.includes.push((pattern, found.clone()));
                        for path in found {
                            directives.extend(self.file(fs, &path, &format!(" in {place}"), depth + 1)?);
                        }
                        continue;
                    }
                    let block = match token {
                        Token::Open => self.block(fs, tokens, true, depth)?,
                        _ => Vec::new(),
                    };
                    directives.push(Directive { name, arguments, block: block.into(), place });
                }
            }
        }
    }
}

/// The files that a pattern names, in order; a name without wildcards is itself.
fn matching(fs: &Fs, pattern: &str) -> Vec<String> {
    // Types by name are nginx' own, and known here.
    if pattern == "/etc/nginx/mime.types" && !fs.exists(pattern) {
        return Vec::new();
    }
    let (folder, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    if !name.contains(['*', '?', '[']) {
        return vec![pattern.to_owned()];
    }
    let files = fs.list(folder).unwrap_or_default().into_iter().map(|(name, _)| name);
    files.filter(|file| matches_text(name, file)).map(|file| format!("{folder}/{file}")).collect()
}

#[derive(PartialEq)]
enum Token {
    Word(String),
    Open,
    Close,
    Semicolon,
    End,
}

struct Tokens<'a> {
    path: &'a str,
    line: u32,
    chars: std::iter::Peekable<std::str::Chars<'a>>,
}

impl Tokens<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.path, self.line)
    }

    fn says(&self, what: &str) -> String {
        format!("{what} in {}", self.place())
    }

    fn step(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        self.line += u32::from(c == '\n');
        Some(c)
    }

    fn next(&mut self) -> Result<Token, String> {
        loop {
            let Some(c) = self.step() else { return Ok(Token::End) };
            match c {
                c if c.is_whitespace() => {}
                '#' => while self.step().is_some_and(|c| c != '\n') {},
                '{' => return Ok(Token::Open),
                '}' => return Ok(Token::Close),
                ';' => return Ok(Token::Semicolon),
                quote @ ('"' | '\'') => {
                    let mut word = String::new();
                    loop {
                        match self.step() {
                            None => return Err(self.says("unexpected end of file, expecting \";\" or \"}\"")),
                            Some(c) if c == quote => return Ok(Token::Word(word)),
                            Some('\\') => match self.step() {
                                Some('n') => word.push('\n'),
                                Some('t') => word.push('\t'),
                                Some('r') => word.push('\r'),
                                Some(c) if c == quote || c == '\\' => word.push(c),
                                other => {
                                    word.push('\\');
                                    word.extend(other);
                                }
                            },
                            Some(c) => word.push(c),
                        }
                    }
                }
                c => {
                    let mut word = String::from(c);
                    // Braces belong to a word within `${name}`.
                    while let Some(c) = self.chars.peek().copied() {
                        let variable = word.ends_with('$') && c == '{';
                        if !variable && (c.is_whitespace() || matches!(c, ';' | '{')) {
                            break;
                        }
                        word.push(c);
                        self.step();
                        if variable {
                            while let Some(c) = self.step() {
                                word.push(c);
                                if c == '}' {
                                    break;
                                }
                            }
                        }
                    }
                    return Ok(Token::Word(word));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use machinery::Timestamp;

    use super::*;
    use crate::fs::Tree;

    fn parse(text: &str) -> Result<Vec<Directive>, String> {
        let mut tokens = Tokens { path: "x.conf", line: 1, chars: text.chars().peekable() };
        let fs = Fs::new(Tree::new(Timestamp::UNIX_EPOCH).share(), false);
        Configuration::default().block(&fs, &mut tokens, false, 0)
    }

    #[test]
    fn blocks_quotes_and_comments() {
        let parsed = parse("# c\nserver { listen 80; location ~ \\.php$ { return 200 \"a; {b}\\n\"; } }\n").unwrap();
        let server = &parsed[0];
        assert_eq!((server.name.as_str(), server.block[0].argument(0)), ("server", "80"));
        let location = &server.block[1];
        assert_eq!(location.arguments, ["~", "\\.php$"]);
        assert_eq!(location.block[0].arguments, ["200", "a; {b}\n"]);
        assert_eq!(parse("set $a ${host}x;").unwrap()[0].arguments, ["$a", "${host}x"]);
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(parse("a {\n b;").unwrap_err(), "unexpected end of file, expecting \"}\" in x.conf:2");
        assert_eq!(parse("a;\n}").unwrap_err(), "unexpected \"}\" in x.conf:2");
        assert_eq!(parse("a b").unwrap_err(), "unexpected end of file, expecting \";\" or \"}\" in x.conf:1");
        assert_eq!(parse("a\n{ b }").unwrap_err(), "unexpected \"}\" in x.conf:2");
    }
}
