//! Cron schedules: five fields, or `@hourly` and its like, or `@every 5m`, on the clocks of a time zone.
//!
//! Reads and counts as the library that upstream uses, `robfig/cron` (`ParseStandard`): what clocks skip in
//! spring is skipped, what they repeat in autumn comes twice.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::go;
use crate::time::{after, parse_duration, truncate_to_seconds};

/// A schedule that has nothing in so many years has nothing.
const YEARS_MAX: i16 = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that all fields have.
    Fields(Box<Fields>),
    /// Again and again after so long.
    Every(Duration),
}

/// The five fields of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The numbers that a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Field {
    bits: u64,
    /// Whether it says `*`: as a day it then restricts nothing.
    any: bool,
}

impl Field {
    fn has(self, number: i8) -> bool {
        self.bits >> number & 1 == 1
    }
}

/// What a field may hold.
struct Bounds {
    min: u32,
    max: u32,
    /// Names of the numbers from `min` on.
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds = Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it, in upstream's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields = match text {
            "" => return Err("empty spec string".to_owned()),
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => match other.strip_prefix("@every ") {
                Some(duration) => {
                    let every = parse_duration(duration)
                        .map_err(|problem| format!("failed to parse duration {text}: {problem}"))?;
                    return Ok(Self::Every(Duration::from_secs(every.as_secs().max(1))));
                }
                None if other.starts_with('@') => return Err(format!("unrecognized descriptor: {text}")),
                None => other,
            },
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        Ok(Self::Fields(Box::new(Fields {
            minutes: MINUTES.field(minutes)?,
            hours: HOURS.field(hours)?,
            days: DAYS.field(days)?,
            months: MONTHS.field(months)?,
            weekdays: WEEKDAYS.field(weekdays)?,
        })))
    }

    /// The first time after the given one by the zone's clocks; none if there is none in five years.
    pub fn next(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Every(duration) => Some(truncate_to_seconds(after(time, *duration))),
            Self::Fields(fields) => fields.next(time, zone),
        }
    }
}

impl Fields {
    fn next(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = |date: Date| date.to_zoned(zone.clone()).ok().map(|midnight| midnight.timestamp());
        let now = time.to_zoned(zone.clone());
        let last_year = now.year().saturating_add(YEARS_MAX);
        let into_minute = Duration::from_secs(u64::try_from(now.second()).ok()?);
        let mut at = after(truncate_to_seconds(time), MINUTE.saturating_sub(into_minute));
        loop {
            let clock = at.to_zoned(zone.clone());
            let date = clock.date();
            if clock.year() > last_year {
                return None;
            } else if !self.months.has(date.month()) {
                at = start(date.last_of_month().tomorrow().ok()?)?;
            } else if !self.on(date) {
                at = start(date.tomorrow().ok()?)?;
            } else if !self.hours.has(clock.hour()) {
                at = after(at, MINUTE * u32::try_from(60 - clock.minute()).ok()?);
            } else if !self.minutes.has(clock.minute()) {
                at = after(at, MINUTE);
            } else {
                return Some(at);
            }
        }
    }

    /// Whether a day is one of them. Where both kinds of days are restricted, either will do.
    fn on(&self, date: Date) -> bool {
        let (day, weekday) = (self.days.has(date.day()), self.weekdays.has(date.weekday().to_sunday_zero_offset()));
        if self.days.any || self.weekdays.any { day && weekday } else { day || weekday }
    }
}

impl Bounds {
    /// A list of ranges: `*`, `1`, `1-5`, `*/15`, `1-30/5`, `mon,fri`.
    fn field(&self, text: &str) -> Result<Field, String> {
        let mut field = Field { bits: 0, any: false };
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (numbers, any) = self.range(part)?;
            field.bits |= numbers.fold(0, |bits, number| bits | 1 << number);
            field.any |= any;
        }
        Ok(field)
    }

    /// The numbers of one range, and whether it is all of them.
    fn range(&self, part: &str) -> Result<(impl Iterator<Item = u32> + use<>, bool), String> {
        let slashed: Vec<&str> = part.split('/').collect();
        let ends: Vec<&str> = slashed[0].split('-').collect();
        let all = matches!(ends[0], "*" | "?");
        let (start, mut end) = match ends.as_slice() {
            _ if all => (self.min, self.max),
            [one] => (self.number(one)?, self.number(one)?),
            [start, end] => (self.number(start)?, self.number(end)?),
            _ => return Err(format!("too many hyphens: {part}")),
        };
        let step = match slashed.as_slice() {
            [_] => 1,
            [_, step] => {
                // `5/10` is `5-max/10`.
                if ends.len() == 1 {
                    end = self.max;
                }
                number(step)?
            }
            _ => return Err(format!("too many slashes: {part}")),
        };
        let (min, max) = (self.min, self.max);
        if start < min {
            return Err(format!("beginning of range ({start}) below minimum ({min}): {part}"));
        } else if end > max {
            return Err(format!("end of range ({end}) above maximum ({max}): {part}"));
        } else if start > end {
            return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
        } else if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        Ok(((start..=end).step_by(step as usize), all && step == 1))
    }

    fn number(&self, text: &str) -> Result<u32, String> {
        match (self.min..).zip(self.names).find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            Some((number, _)) => Ok(number),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u32, String> {
    let parsed: i64 = text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {}: invalid syntax", go::quote(text))
    })?;
    if parsed < 0 {
        return Err(format!("negative number ({parsed}) not allowed: {text}"));
    }
    Ok(u32::try_from(parsed).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_found() {
        let cases = [
            ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"),
            ("5/20 * * * *", "2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"),
            ("0 3 * * *", "2026-01-01T04:00:00Z", "2026-01-02T03:00:00Z"),
            ("0 0 29 feb *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 9 * * mon-fri", "2026-01-02T10:00:00Z", "2026-01-05T09:30:00Z"),
            ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            // A step restricts, so that either day will do; a star does not.
            ("0 0 */10 * 5", "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("0 0 * * 5", "2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"),
            ("0 0 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@monthly", "2026-01-15T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:00.7Z", "2026-01-01T01:30:00Z"),
        ];
        for (schedule, from, to) in cases {
            let next = Schedule::parse(schedule).unwrap().next(from.parse().unwrap(), &TimeZone::UTC);
            assert_eq!(next, Some(to.parse().unwrap()), "{schedule} after {from}");
        }
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next(Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
    }

    #[test]
    fn clocks_that_jump_skip_and_repeat() {
        let berlin = crate::zone::load("Europe/Berlin").unwrap();
        for (from, to) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
            ("2026-07-01T00:20:00Z", "2026-07-01T00:30:00Z"),
            // 02:30 does not exist on 29 March, and exists twice on 25 October.
            ("2026-03-29T00:00:00Z", "2026-03-30T00:30:00Z"),
            ("2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
            ("2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"),
        ] {
            let next = Schedule::parse("30 2 * * *").unwrap().next(from.parse().unwrap(), &berlin);
            assert_eq!(next, Some(to.parse().unwrap()), "after {from}");
        }
    }

    #[test]
    fn complaints_are_upstreams() {
        for (schedule, complaint) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("a * * * *", "failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax"),
            ("@noon", "unrecognized descriptor: @noon"),
            ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ] {
            assert_eq!(Schedule::parse(schedule), Err(complaint.to_owned()), "{schedule}");
        }
    }
}
