//! What passes through the network, for those who watch.

use std::fmt;
use std::net::IpAddr;

use machinery::{ObjectKey, Timestamp};
use proxy::Via;

use super::ConnectError;

/// Who owns one end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A pod.
    Pod(ObjectKey),
    /// A node, or a kubelet on it.
    Node(String),
    /// A computer outside the cluster, or a program on it, such as `curl`.
    Host(String),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(key) => write!(f, "pod/{key}"),
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Host(name) => f.write_str(name),
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// When.
    pub time: Timestamp,
    /// The connection it belongs to; 0 for a look-up.
    pub connection: u64,
    /// Who began.
    pub from: Party,
    /// What happened.
    pub event: HopEvent,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum HopEvent {
    /// A name was looked up.
    Resolved {
        /// The name as the program gave it.
        name: String,
        /// Its addresses; none if it does not exist.
        addresses: Vec<IpAddr>,
    },
    /// A connection was made.
    Connected {
        /// Where the client wanted to go.
        destination: (IpAddr, u16),
        /// The Service that took it, and by which door.
        service: Option<(ObjectKey, Via)>,
        /// The node whose forwarding tables decided.
        node: Option<String>,
        /// Who accepted it.
        to: Party,
    },
    /// A connection could not be made.
    Failed {
        /// Where the client wanted to go.
        destination: (IpAddr, u16),
        /// The Service that took it, and by which door.
        service: Option<(ObjectKey, Via)>,
        /// Why it failed.
        error: ConnectError,
    },
    /// An HTTP request arrived.
    Request {
        /// At whom.
        to: Party,
        /// `GET`, …
        method: String,
        /// Path and query.
        target: String,
    },
    /// An HTTP request was answered.
    Response {
        /// By whom.
        to: Party,
        /// Status code.
        status: u16,
    },
}
