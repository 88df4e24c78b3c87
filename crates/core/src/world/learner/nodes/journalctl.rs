//! `journalctl` on a node.

use std::rc::Rc;
use std::time::Duration;

use machinery::Timestamp;
use machinery::sort::Order;
use sim::SimRuntime;
use sim::process::{Process, Signal};

use super::systemd::{UNITS, journal};
use crate::cluster::Inner;

/// Options: the long name, the letter, and whether a value follows.
const OPTIONS: [(&str, char, bool); 19] = [
    ("all", 'a', false),
    ("boot", 'b', false),
    ("catalog", 'x', false),
    ("follow", 'f', false),
    ("full", 'l', false),
    ("lines", 'n', true),
    ("merge", 'm', false),
    ("no-full", ' ', false),
    ("no-hostname", ' ', false),
    ("no-pager", ' ', false),
    ("output", 'o', true),
    ("pager-end", 'e', false),
    ("priority", 'p', true),
    ("quiet", 'q', false),
    ("reverse", 'r', false),
    ("since", 'S', true),
    ("unit", 'u', true),
    ("until", 'U', true),
    ("utc", ' ', false),
];
/// How severe entries are, the worst first: systemd's names.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// What services write to their standard output: `info`.
const PRIORITY: usize = 6;
/// What `--pager-end` shows where nothing else is said.
const PAGER_END_LINES: usize = 1000;

/// What is asked for.
#[derive(Default)]
struct Asked {
    units: Vec<String>,
    lines: Option<usize>,
    follow: bool,
    reverse: bool,
    quiet: bool,
    no_hostname: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    output: String,
    /// Only what is at least as severe.
    priority: Option<usize>,
}

impl Asked {
    fn read(words: &[String], now: Timestamp) -> Result<Self, String> {
        let mut asked = Self::default();
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--") {
                let (name, given) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                let known = OPTIONS.iter().find(|(known, ..)| *known == name);
                let Some((name, _, valued)) = known else { return Err(format!("unrecognized option '--{name}'")) };
                let value = match (valued, given) {
                    (false, Some(_)) => return Err(format!("option '--{name}' doesn't allow an argument")),
                    // The number of lines may be left out.
                    (true, None) if *name == "lines" => words.next_if(|word| is_count(word)).unwrap_or("10"),
                    (true, None) => words.next().ok_or_else(|| format!("option '--{name}' requires an argument"))?,
                    (_, given) => given.unwrap_or_default(),
                };
                asked.set(name, value, now)?;
                continue;
            }
            let Some(cluster) = word.strip_prefix('-').filter(|cluster| !cluster.is_empty()) else {
                match word.strip_prefix("_SYSTEMD_UNIT=") {
                    Some(unit) => asked.set("unit", unit, now)?,
                    None => return Err(format!("Failed to add match '{word}': Invalid argument")),
                }
                continue;
            };
            let mut rest = cluster.chars();
            while let Some(letter) = rest.next() {
                let known = OPTIONS.iter().find(|(_, known, _)| *known == letter && letter != ' ');
                let Some((name, _, valued)) = known else { return Err(format!("invalid option -- '{letter}'")) };
                if !valued {
                    asked.set(name, "", now)?;
                    continue;
                }
                let value = match std::mem::replace(&mut rest, "".chars()).as_str() {
                    "" if *name == "lines" => words.next_if(|word| is_count(word)).unwrap_or("10"),
                    "" => words.next().ok_or_else(|| format!("option requires an argument -- '{letter}'"))?,
                    value => value,
                };
                asked.set(name, value, now)?;
            }
        }
        Ok(asked)
    }

    fn set(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), String> {
        match name {
            "unit" => self.units.push(value.trim_end_matches(".service").to_owned()),
            "lines" if value == "all" => self.lines = None,
            "lines" => self.lines = Some(value.parse().map_err(|_| format!("Failed to parse lines '{value}'"))?),
            "pager-end" => self.lines = self.lines.or(Some(PAGER_END_LINES)),
            "follow" => self.follow = true,
            "reverse" => self.reverse = true,
            "quiet" => self.quiet = true,
            "no-hostname" => self.no_hostname = true,
            "since" => self.since = Some(time(value, now)?),
            "until" => self.until = Some(time(value, now)?),
            "output" => match value {
                "short" | "short-iso" | "short-precise" | "cat" => value.clone_into(&mut self.output),
                _ => return Err(format!("Unknown output '{value}'.")),
            },
            "priority" => {
                let worst = value.rsplit("..").next().unwrap_or_default();
                let named =
                    PRIORITIES.iter().position(|name| *name == worst || (*name == "warning" && worst == "warn"));
                let number = worst.parse().ok().filter(|number| *number < PRIORITIES.len());
                self.priority = Some(named.or(number).ok_or_else(|| format!("Unknown log level {value}"))?);
            }
            // All is shown anyway, in UTC and as it comes.
            _ => {}
        }
        Ok(())
    }

    fn wants(&self, unit: &str) -> bool {
        self.units.is_empty() || self.units.iter().any(|asked| asked == unit)
    }

    fn entries(&self, inner: &Inner, runtime: &SimRuntime) -> Vec<(Timestamp, String)> {
        if self.priority.is_some_and(|priority| priority < PRIORITY) {
            return Vec::new();
        }
        let units = UNITS.iter().filter(|(unit, ..)| self.wants(unit));
        let mut entries: Vec<_> = units.flat_map(|(unit, ..)| journal(inner, runtime, unit)).collect();
        entries.retain(|(time, _)| {
            self.since.is_none_or(|since| *time >= since) && self.until.is_none_or(|until| *time <= until)
        });
        entries.order_by_key(|(time, _)| *time);
        entries
    }

    fn text(&self, entries: &[(Timestamp, String)], host: &str) -> String {
        let mut text = String::new();
        for (time, entry) in entries {
            text += &match self.output.as_str() {
                "cat" => entry.split_once(": ").map_or(entry.as_str(), |(_, message)| message).to_owned(),
                output => {
                    let time = time.strftime(match output {
                        "short-iso" => "%Y-%m-%dT%H:%M:%S+00:00",
                        "short-precise" => "%b %d %H:%M:%S.%6f",
                        _ => SHORT,
                    });
                    let host = if self.no_hostname { String::new() } else { format!("{host} ") };
                    format!("{time} {host}{entry}")
                }
            };
            text.push('\n');
        }
        text
    }
}

/// How entries' times are written where nothing else is said.
pub(super) const SHORT: &str = "%b %d %H:%M:%S";

fn is_count(word: &str) -> bool {
    word == "all" || word.parse::<usize>().is_ok()
}

/// A time as systemd reads it (`man systemd.time`): a date, a time of this day, a word, or how long ago.
fn time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let failed = || format!("Failed to parse timestamp: {text}");
    let today = now.strftime("%Y-%m-%d").to_string();
    let before = |seconds: i64| {
        let micros = seconds.checked_mul(1_000_000).and_then(|micros| now.as_microsecond().checked_sub(micros));
        micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()).ok_or_else(failed)
    };
    let words = text.trim().trim_end_matches(" UTC");
    let of_day = |time: &str| if time.len() == 5 { format!("{time}:00") } else { time.to_owned() };
    let full = match words {
        "now" => return Ok(now),
        "today" => format!("{today}T00:00:00Z"),
        "yesterday" => format!("{}T00:00:00Z", before(86_400)?.strftime("%Y-%m-%d")),
        words if words.ends_with(" ago") || words.starts_with('-') => {
            return before(span(words.trim_start_matches('-').trim_end_matches(" ago")).ok_or_else(failed)?);
        }
        words => match words.split_once([' ', 'T']) {
            Some((date, time)) => format!("{date}T{}Z", of_day(time.trim_end_matches('Z'))),
            None if words.contains(':') => format!("{today}T{}Z", of_day(words)),
            None => format!("{words}T00:00:00Z"),
        },
    };
    full.parse().map_err(|_| failed())
}

/// Seconds of `5 min`, `1h 30m`.
fn span(text: &str) -> Option<i64> {
    let mut rest = text.trim();
    let mut sum = (!rest.is_empty()).then_some(0_i64);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let seconds = match unit {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            "w" | "week" | "weeks" => 7 * 86_400,
            _ => return None,
        };
        sum = sum?.checked_add(number.parse::<i64>().ok()?.checked_mul(seconds)?);
        rest = after.trim_start();
    }
    sum
}

/// Runs `journalctl`.
pub(super) async fn run(process: Process, inner: Rc<Inner>, runtime: SimRuntime) -> i32 {
    let asked = match Asked::read(process.operands(), process.machine.now()) {
        Ok(asked) => asked,
        Err(message) => return process.fail(1, message).await,
    };
    let host = runtime.node_name();
    let mut known = asked.entries(&inner, &runtime);
    if known.is_empty() && !asked.follow {
        return i32::from(!process.print(if asked.quiet { "" } else { "-- No entries --\n" }).await);
    }
    let lines = asked.lines.unwrap_or(if asked.follow { 10 } else { usize::MAX });
    let mut shown = known.split_off(known.len().saturating_sub(lines));
    if asked.reverse && !asked.follow {
        shown.reverse();
    }
    if !process.print(asked.text(&shown, host)).await || !asked.follow {
        return 0;
    }
    known.append(&mut shown);
    process.signals.handle(Signal::Int);
    loop {
        let news = async {
            runtime.changed().await;
            // What the kubelet tells of it comes a little later, and seldom alone.
            process.sleep(Duration::from_millis(200)).await;
        };
        match futures::future::select(Box::pin(news), Box::pin(process.signals.next())).await {
            futures::future::Either::Left(_) => {}
            futures::future::Either::Right(_) => return 130,
        }
        // What is told of may be gone since: entries are new that were not there before.
        let now = asked.entries(&inner, &runtime);
        let is_new = |entry: &&(Timestamp, String)| {
            let first = known.partition_point(|(time, _)| *time < entry.0);
            !known.iter().skip(first).take_while(|(time, _)| *time == entry.0).any(|(_, text)| *text == entry.1)
        };
        let new: Vec<_> = now.iter().filter(is_new).cloned().collect();
        if !new.is_empty() && !process.print(asked.text(&new, host)).await {
            return 0;
        }
        known = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked, String> {
        let words: Vec<String> = line.split_whitespace().map(|word| word.replace('_', " ")).collect();
        Asked::read(&words, "2026-01-02T10:00:00Z".parse().unwrap_or_default())
    }

    #[test]
    fn short_options_stand_in_clusters() {
        for line in ["-xeu kubelet", "-fu kubelet.service", "-xefukubelet", "--unit=kubelet -n 5", "-u kubelet -n"] {
            assert_eq!(asked(line).map(|asked| asked.units), Ok(vec!["kubelet".to_owned()]), "{line}");
        }
        assert_eq!(asked("-rn3").map(|asked| (asked.reverse, asked.lines)), Ok((true, Some(3))));
        assert_eq!(asked("-z").err().as_deref(), Some("invalid option -- 'z'"));
        assert_eq!(asked("-u").err().as_deref(), Some("option requires an argument -- 'u'"));
        assert_eq!(asked("--nope=1").err().as_deref(), Some("unrecognized option '--nope'"));
    }

    #[test]
    fn times_are_read_as_systemd_reads_them() {
        for (text, time) in [
            ("5_min_ago", "2026-01-02T09:55:00Z"),
            ("-1h30m", "2026-01-02T08:30:00Z"),
            ("today", "2026-01-02T00:00:00Z"),
            ("yesterday", "2026-01-01T00:00:00Z"),
            ("2026-01-01", "2026-01-01T00:00:00Z"),
            ("2026-01-01_12:30", "2026-01-01T12:30:00Z"),
            ("09:15", "2026-01-02T09:15:00Z"),
        ] {
            let since = asked(&format!("--since {text}")).map(|asked| asked.since);
            assert_eq!(since, Ok(time.parse().ok()), "{text}");
        }
        for text in ["soon", "_ago", "5_moons_ago", "99999999999999999w_ago"] {
            assert!(asked(&format!("-S {text}")).is_err(), "{text}");
        }
    }
}
