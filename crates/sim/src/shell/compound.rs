//! Compound commands: `{`, `if`, `while`, `for`, `case`, functions.

use std::rc::Rc;

use super::ast::{Command, Condition, Word};
use super::parser::{Parse, Parser, is_break};

impl Parser {
    pub(super) fn compound(&mut self, word: &str) -> Parse<Command> {
        match word {
            "{" => {
                let inner = self.body(&["}"])?;
                self.expect("}")?;
                Ok(Command::Sequence(vec![inner]))
            }
            "if" => {
                let mut branches = Vec::new();
                loop {
                    let condition = self.body(&["then"])?;
                    self.expect("then")?;
                    branches.push((condition, self.body(&["elif", "else", "fi"])?));
                    self.skip_lines()?;
                    match self.reserved() {
                        Some("elif") => self.at += 4,
                        Some("else") => {
                            self.at += 4;
                            let otherwise = self.body(&["fi"])?;
                            self.expect("fi")?;
                            return Ok(Command::If(branches, Some(otherwise)));
                        }
                        _ => {
                            self.expect("fi")?;
                            return Ok(Command::If(branches, None));
                        }
                    }
                }
            }
            "while" | "until" => {
                let condition = self.body(&["do"])?;
                Ok(Command::Loop { until: word == "until", condition, body: self.do_body()? })
            }
            "[[" => {
                let condition = self.condition()?;
                self.skip_lines()?;
                if self.eat_word("]]") { Ok(Command::Condition(condition)) } else { Err(self.unexpected()) }
            }
            "function" => {
                self.skip_blanks();
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| !is_break(*c)) {
                    name.push(c);
                    self.at += 1;
                }
                self.skip_blanks();
                if self.eat("(") {
                    self.skip_blanks();
                    if !self.eat(")") {
                        return Err(self.unexpected());
                    }
                }
                self.skip_lines()?;
                Ok(Command::Function(name, self.command()?))
            }
            "time" => {
                self.skip_blanks();
                self.eat_word("-p");
                Ok(Command::Time(self.pipeline()?))
            }
            "for"
                if {
                    self.skip_blanks();
                    self.eat("((")
                } =>
            {
                let whole = self.expression()?;
                let expressions = three(whole).ok_or_else(|| self.unexpected())?;
                self.skip_blanks();
                self.eat(";");
                Ok(Command::Count { expressions, body: self.do_body()? })
            }
            "for" | "select" => {
                self.skip_blanks();
                let name = self.name();
                if name.is_empty() {
                    return Err(self.unexpected());
                }
                self.skip_lines()?;
                let mut words = None;
                if self.eat_word("in") {
                    let mut list = Vec::new();
                    self.skip_blanks();
                    while self.peek().is_some_and(|c| !is_break(c)) {
                        list.push(self.word()?);
                        self.skip_blanks();
                    }
                    words = Some(list);
                }
                self.skip_blanks();
                self.eat(";");
                let body = self.do_body()?;
                Ok(match word {
                    "select" => Command::Select { name, words: words.unwrap_or_default(), body },
                    _ => Command::For { name, words, body },
                })
            }
            _ => self.case(),
        }
    }

    /// A condition of `[[ … ]]`.
    fn condition(&mut self) -> Parse<Condition> {
        let mut left = self.condition_and()?;
        loop {
            self.skip_lines()?;
            if !self.eat("||") {
                return Ok(left);
            }
            left = Condition::Or(Box::new(left), Box::new(self.condition_and()?));
        }
    }

    fn condition_and(&mut self) -> Parse<Condition> {
        let mut left = self.condition_primary()?;
        loop {
            self.skip_lines()?;
            if !self.eat("&&") {
                return Ok(left);
            }
            left = Condition::And(Box::new(left), Box::new(self.condition_primary()?));
        }
    }

    fn condition_primary(&mut self) -> Parse<Condition> {
        const DEPTH_MAX: usize = 60;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.unexpected());
        }
        self.skip_lines()?;
        let primary = if self.eat_word("!") {
            Condition::Not(Box::new(self.condition_primary()?))
        } else if self.peek() == Some('(') {
            self.at += 1;
            let inner = self.condition()?;
            self.skip_lines()?;
            if !self.eat(")") {
                return Err(self.unexpected());
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(primary)
    }

    fn comparison(&mut self) -> Parse<Condition> {
        const BINARY: [&str; 16] =
            ["==", "=~", "=", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef", "<=", "<", ">"];
        if self.peek().is_none_or(is_break) || self.eat_word("]]") {
            return Err(self.unexpected());
        }
        let is_unary = self.peek() == Some('-')
            && self.peek_at(1).is_some_and(|c| c.is_ascii_alphabetic())
            && self.peek_at(2).is_some_and(|c| c == ' ' || c == '\t');
        if is_unary {
            let operator: String = self.text.iter().skip(self.at).take(2).collect();
            self.at += 2;
            self.skip_blanks();
            return Ok(Condition::Unary(operator, self.word()?));
        }
        let left = self.word()?;
        self.skip_blanks();
        let Some(operator) = BINARY.into_iter().find(|operator| self.eat(operator)) else {
            return Ok(Condition::Word(left));
        };
        self.skip_blanks();
        let right = if operator == "=~" { self.regex_word()? } else { self.word()? };
        Ok(Condition::Binary(left, operator.to_owned(), right))
    }

    /// A regular expression: a word in which parentheses and bars are no operators.
    fn regex_word(&mut self) -> Parse<Word> {
        let mut word = Word::new();
        let mut open = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' if open == 0 => break,
                '(' => open += 1,
                ')' => open = open.saturating_sub(1),
                _ => {}
            }
            self.piece(&mut word, c)?;
        }
        Ok(word)
    }

    fn do_body(&mut self) -> Parse<Rc<Command>> {
        self.expect("do")?;
        let body = self.body(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn case(&mut self) -> Parse<Command> {
        self.skip_blanks();
        let word = self.word()?;
        self.skip_lines()?;
        if !self.eat_word("in") {
            return Err(self.unexpected());
        }
        let mut arms = Vec::new();
        loop {
            self.skip_lines()?;
            if self.eat_word("esac") {
                return Ok(Command::Case { word, arms });
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                if self.peek().is_none_or(is_break) {
                    return Err(self.unexpected());
                }
                patterns.push(self.word()?);
                self.skip_blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                return Err(self.unexpected());
            }
            arms.push((patterns, self.list(&["esac"])?));
            self.skip_lines()?;
            // `;;&` and `;&` go on to other arms in bash; here they end theirs as `;;` does.
            if self.eat(";;") {
                self.eat("&");
            }
        }
    }

    pub(super) fn function(&mut self, name: String) -> Parse<Rc<Command>> {
        self.at += 1;
        self.skip_blanks();
        if !self.eat(")") {
            return Err(self.unexpected());
        }
        self.skip_lines()?;
        Ok(Rc::new(Command::Function(name, self.command()?)))
    }
}

/// The three expressions of `for ((…))`.
fn three(whole: Word) -> Option<[Word; 3]> {
    use super::ast::Piece;
    let mut parts = vec![Word::new()];
    for piece in whole {
        match piece {
            Piece::Quoted(text) => {
                for (index, part) in text.split(';').enumerate() {
                    if index > 0 {
                        parts.push(Word::new());
                    }
                    parts.last_mut()?.push(Piece::Quoted(part.to_owned()));
                }
            }
            piece => parts.last_mut()?.push(piece),
        }
    }
    parts.try_into().ok()
}
