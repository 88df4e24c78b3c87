//! Waiting longer after each failure, as client-go's flowcontrol.Backoff does it.

use std::time::Duration;

use machinery::Timestamp;

/// First delay after a crash or a failed pull.
pub const DELAY_INITIAL: Duration = Duration::from_secs(10);
/// Longest delay.
pub const DELAY_MAX: Duration = Duration::from_secs(300);

/// The delay of one container, or of one image in one pod.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Backoff(Option<Entry>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    delay: Duration,
    updated: Timestamp,
}

impl Backoff {
    /// Notes a failure at `event`: the delay doubles, or starts anew if the last one was noted more
    /// than twice the longest delay before.
    pub fn next(&mut self, event: Timestamp, now: Timestamp) {
        let delay = match self.0 {
            Some(entry) if !expired(event, entry.updated) => (entry.delay * 2).min(DELAY_MAX),
            _ => DELAY_INITIAL,
        };
        self.0 = Some(Entry { delay, updated: now });
    }

    /// The current delay.
    pub fn delay(&self) -> Duration {
        self.0.map_or(Duration::ZERO, |entry| entry.delay)
    }

    /// When something that failed at `event` may be tried again, if that is not yet.
    pub fn until(&self, event: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let entry = self.0.filter(|entry| !expired(event, entry.updated))?;
        let until = event.saturating_add(entry.delay).unwrap_or(Timestamp::MAX);
        (now < until).then_some(until)
    }

    /// As [`Backoff::until`], counted from the last failure noted.
    pub fn until_since_update(&self, now: Timestamp) -> Option<Timestamp> {
        self.until(self.0?.updated, now)
    }
}

fn expired(event: Timestamp, updated: Timestamp) -> bool {
    event.duration_since(updated) > jiff::SignedDuration::try_from(DELAY_MAX * 2).unwrap_or(jiff::SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn delays_double_up_to_five_minutes_and_start_anew_after_ten_quiet_ones() {
        let mut backoff = Backoff::default();
        let mut now = at(0);
        assert_eq!(backoff.until(now, now), None, "the first restart is immediate");
        let mut delays = Vec::new();
        for _ in 0..7 {
            backoff.next(now, now);
            delays.push(backoff.delay().as_secs());
            now = backoff.until(now, now).unwrap();
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        let later = now + Duration::from_secs(601);
        assert_eq!(backoff.until(later, later), None);
        backoff.next(later, later);
        assert_eq!(backoff.delay(), DELAY_INITIAL);
    }
}
