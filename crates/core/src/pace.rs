//! How fast the cluster's time goes by, compared with the host's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use machinery::Clock;

use crate::options::HostTime;

/// The relation between the host's time and the cluster's. The host reports its own time as what has
/// elapsed since it started; any thread may change speed or pause.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The cluster's time when the host had come to `host`.
    cluster: Timestamp,
    host: Duration,
    speed: f64,
    paused: bool,
}

/// Cluster seconds for each second of the host: from a slow motion to as fast as the machine can.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.01..=100_000.0;

impl Pace {
    /// The cluster's time is `start` when the host's begins; both run alike.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(State { cluster: start, host: Duration::ZERO, speed: 1.0, paused: false })))
    }

    /// The cluster's time at a time of the host.
    pub fn cluster_time(&self, host: Duration) -> Timestamp {
        self.lock().at(host)
    }

    /// How long the host may sleep until the cluster's time is `until`; forever while paused.
    pub fn host_time_until(&self, until: Timestamp, host: Duration) -> Option<Duration> {
        let state = self.lock();
        if state.paused {
            return None;
        }
        let ahead = until.duration_since(state.at(host));
        Some(Duration::try_from(ahead).unwrap_or_default().div_f64(state.speed))
    }

    /// Speed, and whether time stands still.
    pub fn get(&self) -> (f64, bool) {
        let state = self.lock();
        (state.speed, state.paused)
    }

    /// Sets the speed from this time of the host on. A speed out of range becomes the nearest in range.
    pub fn set_speed(&self, speed: f64, host: Duration) {
        let mut state = self.lock();
        state.rebase(host);
        if speed.is_finite() {
            state.speed = speed.clamp(*SPEEDS.start(), *SPEEDS.end());
        }
    }

    /// Stops time, or lets it go on, from this time of the host on.
    pub fn set_paused(&self, paused: bool, host: Duration) {
        let mut state = self.lock();
        state.rebase(host);
        state.paused = paused;
    }

    /// Moves the cluster's time ahead at once, as stepping from event to event does.
    pub fn advance_to(&self, time: Timestamp, host: Duration) {
        let mut state = self.lock();
        state.rebase(host);
        state.cluster = state.cluster.max(time);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn at(&self, host: Duration) -> Timestamp {
        if self.paused {
            return self.cluster;
        }
        let elapsed = host.saturating_sub(self.host).mul_f64(self.speed);
        machinery::time::after(self.cluster, elapsed)
    }

    fn rebase(&mut self, host: Duration) {
        self.cluster = self.at(host);
        self.host = host;
    }
}

/// The cluster's time as a clock that any thread can read, whenever the event loop last ran.
pub struct HostClock {
    pace: Pace,
    host_time: HostTime,
}

impl HostClock {
    /// A clock that follows the host's time at the given pace.
    pub fn new(pace: Pace, host_time: HostTime) -> Self {
        Self { pace, host_time }
    }
}

impl Clock for HostClock {
    fn now(&self) -> Timestamp {
        self.pace.cluster_time((self.host_time)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_by_at_the_speed_that_was_set() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let host = Duration::from_secs;
        let pace = Pace::new(at(100));
        assert_eq!(pace.cluster_time(host(5)), at(105));
        pace.set_speed(10.0, host(5));
        assert_eq!(pace.cluster_time(host(7)), at(125));
        assert_eq!(pace.host_time_until(at(145), host(7)), Some(host(2)));
        pace.set_paused(true, host(7));
        assert_eq!(pace.cluster_time(host(50)), at(125));
        assert_eq!(pace.host_time_until(at(145), host(50)), None);
        pace.advance_to(at(130), host(50));
        pace.set_paused(false, host(60));
        assert_eq!(pace.cluster_time(host(61)), at(140));
        pace.set_speed(f64::NAN, host(61));
        pace.set_speed(0.0, host(61));
        assert_eq!(pace.get(), (0.01, false));
    }
}
