//! Cron schedules: five fields, or `@hourly` and its like, or `@every 5m`, on the clocks of a time zone.
//!
//! Which zones there are is the host's matter: `playground` links jiff's bundled database. The page does
//! not, since the database would be a tenth of what the page may transfer; it knows UTC alone.

use std::time::Duration;

use jiff::tz::TimeZone;
use machinery::Timestamp;
use machinery::time::after;

/// Far enough to find any date there is: 29 February comes within eight years.
const DAYS_MAX: usize = 366 * 8;

/// When something is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the minutes that all fields have.
    Fields {
        /// Minutes, as bits.
        minutes: u64,
        /// Hours, as bits.
        hours: u64,
        /// Days of the month, as bits; and whether the field says `*`.
        days: (u64, bool),
        /// Months, as bits.
        months: u64,
        /// Days of the week from Sunday, as bits; and whether the field says `*`.
        weekdays: (u64, bool),
    },
    /// Again and again after so long.
    Every(Duration),
}

/// Names that stand for numbers in a field.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(duration) = text.strip_prefix("@every ") {
            return Ok(Self::Every(parse_duration(duration.trim())?));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: {text:?}", fields.len()));
        };
        let any = |field: &str| field.starts_with('*') || field.starts_with('?');
        Ok(Self::Fields {
            minutes: bits(minutes, 0, 59, &[])?,
            hours: bits(hours, 0, 23, &[])?,
            days: (bits(days, 1, 31, &[])?, any(days)),
            months: bits(months, 1, 12, &MONTHS)?,
            weekdays: {
                // Sunday is 0 and 7.
                let bits = bits(weekdays, 0, 7, &WEEKDAYS)?;
                (bits | (bits >> 7 & 1), any(weekdays))
            },
        })
    }

    /// The first time after the given one by the zone's clocks; none if there is none in years.
    pub fn next(&self, time: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (minutes, hours, days, months, weekdays) = match self {
            Self::Every(duration) => return Some(machinery::time::truncate_to_seconds(after(time, *duration))),
            Self::Fields { minutes, hours, days, months, weekdays } => (minutes, hours, days, months, weekdays),
        };
        let start = after(time, Duration::from_secs(60)).to_zoned(zone.clone());
        let mut date = start.date();
        let mut from = (start.hour(), start.minute());
        for _ in 0..DAYS_MAX {
            let by_month = days.0 >> date.day() & 1 == 1;
            let by_week = weekdays.0 >> date.weekday().to_sunday_zero_offset() & 1 == 1;
            // Where both days are restricted, either will do.
            let day = if days.1 || weekdays.1 { by_month && by_week } else { by_month || by_week };
            if day && months >> date.month() & 1 == 1 {
                for hour in from.0..24 {
                    let first = if hour == from.0 { from.1 } else { 0 };
                    let due = |minute: &i8| hours >> hour & 1 == 1 && minutes >> minute & 1 == 1;
                    for minute in (first..60).filter(due) {
                        let found = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?.timestamp();
                        // Where clocks go back, an hour comes twice, and counts once.
                        if found > time {
                            return Some(found);
                        }
                    }
                }
            }
            date = date.tomorrow().ok()?;
            from = (0, 0);
        }
        None
    }
}

/// A time zone by its name in the IANA database, as far as the host knows it.
pub fn zone(name: &str) -> Option<TimeZone> {
    match name {
        "UTC" | "Etc/UTC" | "GMT" => Some(TimeZone::UTC),
        name => TimeZone::get(name).ok(),
    }
}

/// The numbers a field has, as bits: `*`, `1`, `1-5`, `*/15`, `1-30/5`, and lists of those.
fn bits(field: &str, min: u32, max: u32, names: &[&str]) -> Result<u64, String> {
    let number = |text: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(position) = named.and_then(|position| u32::try_from(position).ok()) {
            return Ok(position + min.min(1));
        }
        let number = text.parse().map_err(|_| format!("failed to parse int from {text}"))?;
        if number < min || number > max {
            return Err(format!("{number} is outside of {min} to {max}: {field}"));
        }
        Ok(number)
    };
    let mut bits = 0;
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = match step {
            Some(step) => step.parse().map_err(|_| format!("failed to parse int from {step}"))?,
            None => 1,
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (min, max),
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(range)?, if part.contains('/') { max } else { number(range)? }),
        };
        if step == 0 || first > last {
            return Err(format!("{part:?} is no range"));
        }
        for value in (first..=last).step_by(step) {
            bits |= 1 << value;
        }
    }
    Ok(bits)
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("failed to parse duration {text:?}");
    let mut rest = text;
    let mut seconds = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| error())?;
        let factor = match unit.chars().next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(error()),
        };
        seconds += number * factor;
        rest = unit.get(1..).unwrap_or_default();
    }
    if seconds == 0 { Err(error()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_found() {
        let cases = [
            ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * *", "2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"),
            ("0 3 * * *", "2026-01-01T04:00:00Z", "2026-01-02T03:00:00Z"),
            ("0 0 29 feb *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("30 9 * * mon-fri", "2026-01-02T10:00:00Z", "2026-01-05T09:30:00Z"),
            ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 * * 7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@monthly", "2026-01-15T00:00:00Z", "2026-02-01T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
        ];
        for (schedule, from, to) in cases {
            let next = Schedule::parse(schedule).unwrap().next(from.parse().unwrap(), &TimeZone::UTC);
            assert_eq!(next, Some(to.parse().unwrap()), "{schedule} after {from}");
        }
        assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next(Timestamp::UNIX_EPOCH, &TimeZone::UTC), None);
        let berlin = zone("Europe/Berlin").unwrap();
        for (from, to) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
            ("2026-07-01T00:20:00Z", "2026-07-01T00:30:00Z"),
            // 02:30 does not exist on 29 March, and exists twice on 25 October.
            ("2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"),
            ("2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"),
            ("2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ] {
            let next = Schedule::parse("30 2 * * *").unwrap().next(from.parse().unwrap(), &berlin);
            assert_eq!(next, Some(to.parse().unwrap()), "after {from}");
        }
        assert_eq!(zone("Mars/Olympus"), None);
        for wrong in ["", "* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "@every 0s", "a * * * *"] {
            assert!(Schedule::parse(wrong).is_err(), "{wrong}");
        }
    }
}
