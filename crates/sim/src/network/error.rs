//! Failed connections.

use std::fmt;

use crate::errno::Errno;

/// Why a connection could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The name does not exist.
    NameNotFound(String),
    /// Nobody listens there.
    Refused,
    /// No answer came.
    TimedOut,
    /// The client has no network.
    Unreachable,
}

impl ConnectError {
    /// The same as a system call says it. A name that is not found has no such number: `None`.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::NameNotFound(_) => None,
            Self::Refused => Some(Errno::ConnectionRefused),
            Self::TimedOut => Some(Errno::TimedOut),
            Self::Unreachable => Some(Errno::NetworkUnreachable),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameNotFound(name) => write!(f, "could not resolve {name}"),
            other => other.errno().unwrap_or(Errno::Io).fmt(f),
        }
    }
}
