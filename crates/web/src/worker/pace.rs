//! How the cluster's time follows the host's.

use std::time::Duration;

use machinery::Timestamp;
use playground_core::control::{ClockPatch, ClockStatus};

/// The speeds that are accepted.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=1_000.0;

/// From the host's milliseconds to the cluster's time: a straight line, from the last change on.
#[derive(Clone, Debug)]
pub struct Pace {
    speed: f64,
    paused: bool,
    since_ms: f64,
    since: Timestamp,
}

impl Pace {
    /// As fast as the host's time, from now on.
    pub fn new(now_ms: f64, now: Timestamp) -> Self {
        Self { speed: 1.0, paused: false, since_ms: now_ms, since: now }
    }

    /// The time that it should be in the cluster.
    pub fn limit(&self, now_ms: f64) -> Timestamp {
        if self.paused {
            return self.since;
        }
        let seconds = (now_ms - self.since_ms).max(0.0) / 1_000.0 * self.speed;
        let passed = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.since.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// How many of the host's milliseconds are left until a time of the cluster; `None` while time
    /// stands still.
    pub fn wait_ms(&self, now_ms: f64, until: Timestamp) -> Option<f64> {
        let left = until.duration_since(self.limit(now_ms)).as_secs_f64();
        (!self.paused).then(|| (left * 1_000.0 / self.speed).max(0.0))
    }

    /// Goes on from a time: after a change, a step, or when the cluster had more to do than the host
    /// could, so that what is late does not pile up.
    pub fn restart(&mut self, now_ms: f64, now: Timestamp) {
        (self.since_ms, self.since) = (now_ms, now);
    }

    /// Takes over a person's change.
    ///
    /// # Errors
    /// When the speed is none.
    pub fn patch(&mut self, patch: &ClockPatch, now_ms: f64, now: Timestamp) -> Result<(), String> {
        if let Some(speed) = patch.speed {
            if !SPEEDS.contains(&speed) {
                return Err(format!(
                    "speed: Invalid value: {speed}: must be between {} and {}",
                    SPEEDS.start(),
                    SPEEDS.end()
                ));
            }
            self.speed = speed;
        }
        self.paused = patch.paused.unwrap_or(self.paused);
        self.restart(now_ms, now);
        Ok(())
    }

    /// Whether time stands still.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// What the control API tells.
    pub fn status(&self, now: Timestamp) -> ClockStatus {
        ClockStatus { now, speed: self.speed, paused: self.paused, adjustable: true }
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[wasm_bindgen_test]
    fn time_follows_the_hosts_at_a_speed() {
        let mut pace = Pace::new(500.0, at(100));
        assert_eq!(pace.limit(2_500.0), at(102));
        pace.patch(&ClockPatch { speed: Some(10.0), paused: None }, 2_500.0, at(102)).unwrap();
        assert_eq!(pace.limit(3_500.0), at(112));
        assert_eq!(pace.wait_ms(3_500.0, at(113)), Some(100.0));
    }

    #[wasm_bindgen_test]
    fn time_stands_still_and_goes_on_from_there() {
        let mut pace = Pace::new(0.0, at(0));
        pace.patch(&ClockPatch { speed: None, paused: Some(true) }, 1_000.0, at(1)).unwrap();
        assert_eq!(pace.limit(9_000.0), at(1));
        assert_eq!(pace.wait_ms(9_000.0, at(2)), None);
        pace.patch(&ClockPatch { speed: None, paused: Some(false) }, 9_000.0, at(1)).unwrap();
        assert_eq!(pace.limit(10_000.0), at(2));
    }

    #[wasm_bindgen_test]
    fn no_speed_is_refused() {
        let mut pace = Pace::new(0.0, at(0));
        for speed in [0.0, -1.0, f64::NAN, 1e9] {
            assert!(pace.patch(&ClockPatch { speed: Some(speed), paused: None }, 0.0, at(0)).is_err());
        }
        assert_eq!(pace.limit(f64::MAX), pace.limit(f64::MAX), "no panic");
    }
}
