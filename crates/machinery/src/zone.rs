//! Time zones by their names in the IANA database, the same on every host.
//!
//! The table has the rules that hold today. Schedules look forward, so a zone's past is of no use to them.

use jiff::tz::TimeZone;

const ZONES: &str = include_str!("zone/zones.txt");

/// A zone by its name (`Europe/Berlin`), as Go's `time.LoadLocation` finds it; none if there is no such zone.
pub fn load(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let mut lines = ZONES.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(' '));
    lines
        .find_map(|mut words| {
            let rule = words.next()?;
            words.any(|zone| zone == name).then_some(rule)
        })
        .and_then(|rule| TimeZone::posix(rule).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_follow_their_zone() {
        for (zone, time, clock) in [
            ("UTC", "2026-07-01T12:00:00Z", "2026-07-01T12:00:00"),
            ("Europe/Berlin", "2026-01-01T12:00:00Z", "2026-01-01T13:00:00"),
            ("Europe/Berlin", "2026-07-01T12:00:00Z", "2026-07-01T14:00:00"),
            ("America/New_York", "2026-03-08T07:00:00Z", "2026-03-08T03:00:00"),
            ("Asia/Kathmandu", "2026-07-01T12:00:00Z", "2026-07-01T17:45:00"),
            ("Australia/Lord_Howe", "2026-01-01T12:00:00Z", "2026-01-01T23:00:00"),
        ] {
            let time: jiff::Timestamp = time.parse().unwrap();
            assert_eq!(time.to_zoned(load(zone).unwrap()).datetime().to_string(), clock, "{zone}");
        }
    }

    #[test]
    fn every_rule_is_one() {
        for line in ZONES.lines().filter(|line| !line.starts_with('#')) {
            let rule = line.split(' ').next().unwrap();
            assert!(TimeZone::posix(rule).is_ok(), "{rule}");
        }
        for unknown in ["", "Mars/Olympus", "CET-1", "#", "europe/berlin"] {
            assert_eq!(load(unknown), None, "{unknown}");
        }
    }
}
