//! `rediswq.py`, the work queue on Redis of the documentation's "Fine Parallel Processing Using a Work Queue": a module
//! of classes, which this interpreter has not, so that what it does is done here for programs that come with it.

use super::super::servers::redis::{Reply, call};
use super::eval::{Done, World, error, unknown};
use super::value::Value;

/// A queue, as `rediswq.RedisWQ(name=…, host=…)` makes it.
pub(super) struct Queue {
    name: String,
    host: String,
    port: u16,
    session: String,
}

impl World<'_> {
    /// A method of the module or of one of its queues: `rediswq.RedisWQ`, `rediswq.0.lease`.
    pub(super) async fn rediswq(&mut self, name: &str, first: &[Value], named: &[(String, Value)]) -> Done<Value> {
        let heap = self.heap.clone();
        let option = |wanted: &str| named.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        let text = |value: Option<&Value>, other: &str| value.map_or(Ok(other.to_owned()), |value| heap.shown(value));
        if name == "RedisWQ" {
            let random = self.process.machine.random();
            let queue = Queue {
                name: text(option("name").or(first.first()), "")?,
                host: text(option("host"), "localhost")?,
                port: text(option("port"), "6379")?.parse().unwrap_or(6379),
                session: format!(
                    "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                    random >> 32,
                    random >> 16 & 0xffff,
                    random >> 4 & 0xfff,
                    random & 0xfff,
                    random >> 8 & 0xffff_ffff_ffff
                ),
            };
            self.queues.push(queue);
            return Ok(Value::Known(format!("rediswq.{}", self.queues.len() - 1).into()));
        }
        let Some((queue, method)) = name.split_once('.') else { return unknown(&format!("rediswq.{name}")) };
        let Some(queue) = queue.parse::<usize>().ok().and_then(|at| self.queues.get(at)) else {
            return unknown(&format!("rediswq.{name}"));
        };
        let (main, processing) = (&*queue.name, format!("{}:processing", queue.name));
        let ask = async |words: &[&str]| match call(self.process, &queue.host, queue.port, words).await {
            Ok(Reply::Error(message)) => error("redis.exceptions.ResponseError", message),
            Ok(reply) => Ok(reply),
            Err(why) => {
                let message = format!("Error connecting to {}:{}. {why}.", queue.host, queue.port);
                error("redis.exceptions.ConnectionError", message)
            }
        };
        let length = async |key: &str| match ask(&["LLEN", key]).await? {
            Reply::Number(number) => Ok(number),
            _ => Ok(0),
        };
        Ok(match method {
            "sessionID" => heap.text(queue.session.as_str())?,
            "empty" => Value::Bool(length(main).await? == 0 && length(&processing).await? == 0),
            "lease" => {
                let block = option("block").is_none_or(Value::truth);
                let timeout = text(option("timeout").filter(|value| value.truth()), "0")?;
                let reply = match block {
                    true => ask(&["BRPOPLPUSH", main, &processing, &timeout]).await?,
                    false => ask(&["RPOPLPUSH", main, &processing]).await?,
                };
                let Reply::Text(item) = reply else { return Ok(Value::None) };
                let lease = text(option("lease_secs").or(first.first()), "60")?;
                ask(&["SETEX", &queue.lease_of(&item), &lease, &queue.session]).await?;
                heap.text(item)?
            }
            "complete" => {
                let item = text(first.first(), "")?;
                ask(&["LREM", &processing, "0", &item]).await?;
                ask(&["DEL", &queue.lease_of(&item)]).await?;
                Value::None
            }
            _ => return unknown(&format!("RedisWQ.{method}")),
        })
    }
}

impl Queue {
    /// The key that says who works on an item.
    fn lease_of(&self, item: &str) -> String {
        format!("{}:leased_by_session:{:016x}", self.name, machinery::random::fnv64a(item.as_bytes()))
    }
}
