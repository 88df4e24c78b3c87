//! Time as a value.

use jiff::Timestamp;

/// Where a component reads the time. Hosts give the wall clock; the simulated world gives virtual
/// time, which moves only when its executor moves it.
pub trait Clock: Send + Sync {
    /// The current time.
    fn now(&self) -> Timestamp;
}
