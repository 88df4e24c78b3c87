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
    /// `command &`, with the command's text.
    Background(Rc<Command>, Rc<str>),
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
    /// `for ((first; condition; step))`.
    Count {
        /// The three expressions; an empty condition holds.
        expressions: [Word; 3],
        /// What is repeated.
        body: Rc<Command>,
    },
    /// `select name in words`.
    Select {
        /// The variable.
        name: String,
        /// The words.
        words: Vec<Word>,
        /// What is repeated.
        body: Rc<Command>,
    },
    /// `(( expression ))`.
    Arithmetic(Word),
    /// `[[ condition ]]`.
    Condition(Condition),
    /// `time command`; nothing by itself.
    Time(Rc<Command>),
    /// `name() { … }`.
    Function(String, Rc<Command>),
    /// A compound command with redirections.
    Redirected(Rc<Command>, Vec<Redirect>),
}

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simple {
    /// `NAME=word` before the words.
    pub assignments: Vec<Assignment>,
    /// The command's name and arguments.
    pub words: Vec<Word>,
    /// Redirections, in order.
    pub redirects: Vec<Redirect>,
    /// `NAME=( … )` among the arguments of `declare` and its like: done after it.
    pub arrays: Vec<Assignment>,
}

/// An assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// An element of it.
    pub index: Option<Word>,
    /// `+=`
    pub append: bool,
    /// What it gets.
    pub value: Assigned,
}

/// What a variable gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Assigned {
    /// A text.
    One(Word),
    /// An array's elements, some with their index.
    Many(Vec<(Option<Word>, Word)>),
}

/// A condition of `[[ … ]]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `!`
    Not(Box<Condition>),
    /// `&&`
    And(Box<Condition>, Box<Condition>),
    /// `||`
    Or(Box<Condition>, Box<Condition>),
    /// `-f word`
    Unary(String, Word),
    /// `word == word`, the second a pattern; `=~`, a regular expression; `-eq` and the like.
    Binary(Word, String, Word),
    /// A word that is not empty.
    Word(Word),
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
        /// `[…]` after the name.
        index: Option<Subscript>,
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
    /// `<(…)` or `>(…)`: the name of a pipe from or to a command.
    Process {
        /// The command.
        command: Rc<Command>,
        /// Whether what is written to the pipe is the command's input.
        input: bool,
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
    /// `${!name}`: the value of the variable that this one names; with `[@]`, its indices.
    Indirect,
    /// `^`, `^^`, `,`, `,,`: to upper or lower case.
    Case {
        /// Upper, not lower.
        upper: bool,
        /// Every character, not the first alone.
        all: bool,
    },
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

/// Which elements of an array.
#[derive(Clone, Debug, PartialEq)]
pub enum Subscript {
    /// `[@]`, or `[*]` with true.
    All(bool),
    /// One.
    At(Word),
}
