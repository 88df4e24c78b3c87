//! What a command line means.

use std::rc::Rc;

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Assignments, words and redirections: `A=1 ls -l >out`.
    Simple(Simple),
    /// Commands joined by pipes; the status may be negated by `!`.
    Pipeline {
        /// Whether `!` stands before it.
        negated: bool,
        /// At least two, or one that is negated.
        commands: Vec<Rc<Command>>,
    },
    /// `left && right`.
    And(Rc<Command>, Rc<Command>),
    /// `left || right`.
    Or(Rc<Command>, Rc<Command>),
    /// One after another.
    Sequence(Vec<Rc<Command>>),
    /// `command &`.
    Background(Rc<Command>),
    /// `( … )`.
    Subshell(Rc<Command>),
    /// `if`, `elif` …: conditions with their branches, then the `else` branch.
    If(Vec<(Rc<Command>, Rc<Command>)>, Option<Rc<Command>>),
    /// `while` or `until`.
    Loop {
        /// Whether it runs until the condition holds.
        until: bool,
        /// The condition.
        condition: Rc<Command>,
        /// What is repeated.
        body: Rc<Command>,
    },
    /// `for name in words`; without `in`, over the positional parameters.
    For {
        /// The variable.
        name: String,
        /// The words.
        words: Option<Vec<Word>>,
        /// What is repeated.
        body: Rc<Command>,
    },
    /// `case`.
    Case {
        /// What is matched.
        word: Word,
        /// Patterns with what they lead to.
        arms: Vec<(Vec<Word>, Rc<Command>)>,
    },
    /// `name() { … }`.
    Function(String, Rc<Command>),
    /// A compound command with redirections.
    Redirected(Rc<Command>, Vec<Redirect>),
}

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simple {
    /// `NAME=word` before the words.
    pub assignments: Vec<(String, Word)>,
    /// The command's name and arguments.
    pub words: Vec<Word>,
    /// Redirections, in order.
    pub redirects: Vec<Redirect>,
}

/// A redirection.
#[derive(Clone, Debug, PartialEq)]
pub struct Redirect {
    /// The descriptor that changes.
    pub fd: u32,
    /// What it becomes.
    pub target: Target,
}

/// What a descriptor becomes.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// `<file`
    Read(Word),
    /// `>file`
    Write(Word),
    /// `>>file`
    Append(Word),
    /// `>&n`, `<&n`, and `&-`, which closes.
    Duplicate(Word),
    /// A here-document or here-string.
    Text(Word),
}

/// A word, before expansion.
pub type Word = Vec<Piece>;

/// A part of a word.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// As it stands, subject to pathname expansion.
    Literal(String),
    /// As it stands.
    Quoted(String),
    /// `~` or `~user` at a word's start.
    Tilde(String),
    /// `$name`, `${name…}`.
    Parameter {
        /// Variable, number, or one of `@*#?-$!`.
        name: String,
        /// What is done with it.
        operation: Operation,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
    /// `$(…)`.
    Substitution {
        /// The command.
        command: Rc<Command>,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
    /// `$((…))`.
    Arithmetic {
        /// The expression, before expansion.
        expression: Word,
        /// Whether it stands in double quotes.
        quoted: bool,
    },
}

/// What `${…}` does with a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Its value.
    Value,
    /// `${#name}`
    Length,
    /// `-`, `=`, `?`, `+`, each with `:` treating empty as unset.
    Conditional {
        /// `-`, `=`, `?` or `+`.
        kind: char,
        /// Whether empty counts as unset.
        colon: bool,
        /// The word after it.
        word: Word,
    },
    /// `#`, `##`, `%`, `%%`: cut off what matches.
    Trim {
        /// From the end (`%`), not the start.
        suffix: bool,
        /// The longest match.
        longest: bool,
        /// What matches.
        pattern: Word,
    },
    /// `${name:offset:length}`
    Substring(Word, Option<Word>),
    /// `${name/pattern/text}`, `${name//pattern/text}`
    Replace {
        /// Every match.
        all: bool,
        /// What matches.
        pattern: Word,
        /// What takes its place.
        text: Word,
    },
}
