//! Compound commands: `{`, `if`, `while`, `for`, `case`, functions.

use std::rc::Rc;

use super::ast::Command;
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
            "for" => {
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
                Ok(Command::For { name, words, body: self.do_body()? })
            }
            _ => self.case(),
        }
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
            self.eat(";;");
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
