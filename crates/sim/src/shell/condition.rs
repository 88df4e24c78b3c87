//! `[[ … ]]`.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::ast::{Condition, Word};
use super::pattern;
use super::{Flow, Shell, arith};
use crate::process::Process;
use crate::programs::conditions;

impl Shell {
    /// Whether a condition holds; an error in it is told, and is exit code 2.
    pub(super) async fn test(&mut self, condition: &Condition) -> Result<i32, Flow> {
        match self.holds(condition).await? {
            Ok(holds) => Ok(i32::from(!holds)),
            Err(message) => {
                self.error(&format!("[[: {message}")).await;
                Ok(2)
            }
        }
    }

    fn holds<'a>(&'a mut self, condition: &'a Condition) -> LocalBoxFuture<'a, Result<Result<bool, String>, Flow>> {
        async move {
            Ok(match condition {
                Condition::Not(inner) => self.holds(inner).await?.map(|holds| !holds),
                Condition::And(left, right) => match self.holds(left).await? {
                    Ok(true) => self.holds(right).await?,
                    other => other,
                },
                Condition::Or(left, right) => match self.holds(left).await? {
                    Ok(false) => self.holds(right).await?,
                    other => other,
                },
                Condition::Word(word) => Ok(!self.expand_one(word).await?.is_empty()),
                Condition::Unary(operator, word) => {
                    let operand = self.expand_one(word).await?;
                    match operator.as_str() {
                        "-v" => Ok(self.get(&operand).is_some()),
                        operator => conditions::unary(&self.tester(), operator, &operand),
                    }
                }
                Condition::Binary(left, operator, right) => self.compare(left, operator, right).await?,
            })
        }
        .boxed_local()
    }

    fn tester(&self) -> Process {
        Process { args: vec!["[[".into()], ..self.process() }
    }

    async fn compare(&mut self, left: &Word, operator: &str, right: &Word) -> Result<Result<bool, String>, Flow> {
        let left = self.expand_one(left).await?;
        Ok(match operator {
            "=" | "==" | "!=" => {
                let pattern = self.expand_pattern(right).await?;
                let text: Vec<char> = left.chars().collect();
                Ok(pattern::matches(&pattern, &text) == (operator != "!="))
            }
            "=~" => {
                let pattern = self.expand_pattern(right).await?;
                let text: String = pattern
                    .into_iter()
                    .map(|(c, quoted)| if quoted { regex_lite::escape(&c.to_string()) } else { c.to_string() })
                    .collect();
                match regex_lite::Regex::new(&text) {
                    Ok(regex) => {
                        let found = regex.captures(&left);
                        let groups = found.iter().flat_map(|found| found.iter());
                        let groups: Vec<String> = groups
                            .map(|group| group.map_or(String::new(), |group| group.as_str().to_owned()))
                            .collect();
                        self.set_list("BASH_REMATCH", groups);
                        Ok(found.is_some())
                    }
                    Err(_) => Err(format!("invalid regular expression `{text}'")),
                }
            }
            "-eq" | "-ne" | "-lt" | "-le" | "-gt" | "-ge" => {
                let right = self.expand_one(right).await?;
                let numbers = arith::evaluate(&left, self).and_then(|left| Ok((left, arith::evaluate(&right, self)?)));
                match numbers {
                    Ok((left, right)) => Ok(match operator {
                        "-eq" => left == right,
                        "-ne" => left != right,
                        "-lt" => left < right,
                        "-le" => left <= right,
                        "-gt" => left > right,
                        _ => left >= right,
                    }),
                    Err(message) => Err(message.to_owned()),
                }
            }
            operator => {
                let right = self.expand_one(right).await?;
                conditions::binary(&self.tester(), &left, operator, &right)
            }
        })
    }
}
