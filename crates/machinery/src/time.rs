//! Times and durations as Kubernetes writes them.

use std::time::Duration;

use jiff::Timestamp;

/// `metav1.Time`: RFC 3339 in seconds, `2024-01-02T03:04:05Z`.
pub fn format_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metav1.MicroTime`: RFC 3339 in microseconds, `2024-01-02T03:04:05.000006Z`.
pub fn format_micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// The time without its fraction of a second, as `metav1.Time` keeps it.
pub fn truncate_to_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second() - i64::from(time.subsec_nanosecond() < 0)).unwrap_or(time)
}

/// A `metav1.Time` of a moment, in whole seconds.
pub fn meta_time(time: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(truncate_to_seconds(time))
}

/// How long from one moment to a later one; nothing where the later one is earlier.
pub fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(earlier)).unwrap_or_default()
}

/// The moment a duration after another, as far as time goes.
pub fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// An age with two or three digits that matter, as kubectl prints it: `5m32s`, `3h`, `2d4h`
/// (apimachinery `util/duration`). Takes seconds, of which up to one may be missing.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => two(days, "d", hours % 24, "h"),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

/// The age of something at `now`, as kubectl prints it; `<unknown>` where the time is not set.
pub fn human_age(time: Option<Timestamp>, now: Timestamp) -> String {
    match time {
        Some(time) => human_duration(now.duration_since(time).as_secs()),
        None => "<unknown>".into(),
    }
}

const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a Go duration: `1m30s`, `1.5h`, `100ms`, `0`. Negative ones are errors here.
///
/// # Errors
/// With Go's message: `time: invalid duration "…"`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", crate::go::quote(text));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_length = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at(number_length);
        let unit_length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", crate::go::quote(text)));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let (unit, text) = (crate::go::quote(unit), crate::go::quote(text));
            return Err(format!("time: unknown unit {unit} in duration {text}"));
        };
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| invalid())? };
        nanos = whole.checked_mul(*scale).and_then(|part| nanos.checked_add(part)).ok_or_else(invalid)?;
        let (mut place, mut part) = (*scale, 0);
        for digit in fraction.bytes() {
            place /= 10;
            part += place * u128::from(digit - b'0');
        }
        nanos += part;
        rest = after;
    }
    let nanos = i64::try_from(nanos).map_err(|_| invalid())?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

/// A duration as Go prints it: `1m30s`, `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let fraction = |value: u64, unit: u64, name: &str| {
        let digits = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        format!("{}{point}{digits}{name}", value / unit)
    };
    let seconds = duration.as_secs();
    let nanos = u64::from(duration.subsec_nanos());
    match (seconds, nanos) {
        (0, 0) => return "0s".into(),
        (0, ..1_000) => return format!("{nanos}ns"),
        (0, ..1_000_000) => return fraction(nanos, 1_000, "µs"),
        (0, _) => return fraction(nanos, 1_000_000, "ms"),
        _ => {}
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = fraction(seconds % 60 * 1_000_000_000 + nanos, 1_000_000_000, "s");
    match (hours, minutes) {
        (0, 0) => rest,
        (0, _) => format!("{minutes}m{rest}"),
        _ => format!("{hours}h{minutes}m{rest}"),
    }
}

/// Why a text is no time of RFC 3339, in the words of Go's `time.Parse`.
pub fn why_not_rfc3339(text: &str) -> String {
    /// Digits, what they are, the least and the most.
    type Number = (usize, &'static str, u32, u32);
    // The elements of Go's layout, and what each takes: a literal, or a number.
    const DATE: [(&str, Option<Number>); 11] = [
        ("2006", Some((4, "year", 0, 9999))),
        ("-", None),
        ("01", Some((2, "month", 1, 12))),
        ("-", None),
        ("02", Some((2, "day", 1, 31))),
        ("T", None),
        ("15", Some((2, "hour", 0, 23))),
        (":", None),
        ("04", Some((2, "minute", 0, 59))),
        (":", None),
        ("05", Some((2, "second", 0, 59))),
    ];
    let head = format!("parsing time {text:?}");
    let missed = |rest: &str, element: &str| {
        format!("{head} as \"2006-01-02T15:04:05Z07:00\": cannot parse {rest:?} as {element:?}")
    };
    let mut rest = text;
    for (element, number) in DATE {
        let after = match number {
            None => rest.strip_prefix(element),
            Some((digits, name, least, most)) => {
                let taken = rest.get(..digits).filter(|taken| taken.bytes().all(|byte| byte.is_ascii_digit()));
                match taken.and_then(|taken| taken.parse::<u32>().ok()) {
                    Some(number) if !(least..=most).contains(&number) => return format!("{head}: {name} out of range"),
                    taken => taken.and_then(|_| rest.get(digits..)),
                }
            }
        };
        match after {
            Some(after) => rest = after,
            None => return missed(rest, element),
        }
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    let zone = match rest.as_bytes() {
        [b'Z', ..] => Some(1),
        [b'+' | b'-', _, _, b':', _, _, ..] => Some(6),
        _ => None,
    };
    match zone.and_then(|length| rest.get(length..)) {
        None => missed(rest, "Z07:00"),
        Some("") => format!("{head}: day out of range"),
        Some(extra) => format!("{head}: extra text: {extra:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ages_are_kubectls() {
        let cases = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (332, "5m32s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (28_800, "8h"),
            (187_200, "2d4h"),
            (172_800, "2d"),
            (691_200, "8d"),
            (63_072_000, "2y"),
            (63_244_800, "2y2d"),
            (315_360_000, "10y"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(human_duration(seconds), expected);
        }
    }

    #[test]
    fn durations_are_gos() {
        for text in ["1m30s", "1h0m0s", "1.5s", "100ms", "0s", "2.5µs", "7ns", "48h0m1.000000001s"] {
            assert_eq!(parse_duration(text).map(format_duration), Ok(text.into()));
        }
        assert_eq!(parse_duration("1.5h").map(format_duration), Ok("1h30m0s".into()));
        assert_eq!(parse_duration("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(parse_duration("5d").unwrap_err(), "time: unknown unit \"d\" in duration \"5d\"");
        assert_eq!(parse_duration("x").unwrap_err(), "time: invalid duration \"x\"");
    }

    #[test]
    fn times_are_rfc_3339() {
        let time = Timestamp::new(1_704_164_645, 6_000).unwrap();
        assert_eq!(format_seconds(time), "2024-01-02T03:04:05Z");
        assert_eq!(format_micros(time), "2024-01-02T03:04:05.000006Z");
        assert_eq!(truncate_to_seconds(time).subsec_nanosecond(), 0);
    }

    proptest! {
        #[test]
        fn durations_read_back(nanos in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn anything_is_a_duration_or_an_error(text in ".*") {
            let _ = parse_duration(&text);
        }
    }
}
