//! Which operation is whose.

use std::collections::BTreeMap;

use crate::probes::ProbeKind;
use crate::runtime::{ContainerRuntime, Operation, Ticket};

/// What an operation was submitted for, within its pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The pod's volumes are being made.
    SetUpVolumes,
    /// The pod's volumes are being removed.
    TearDownVolumes,
    /// The sandbox is being made.
    RunSandbox,
    /// The sandbox is being stopped.
    StopSandbox,
    /// The sandbox is being removed.
    RemoveSandbox,
    /// A step in a container's start.
    Start {
        /// The container's name.
        name: String,
    },
    /// A container is being stopped.
    Stop {
        /// The container's name.
        name: String,
    },
    /// A lifecycle hook runs.
    Hook {
        /// The container's name.
        name: String,
        /// The run it belongs to.
        container_id: String,
    },
    /// A probe runs.
    Probe {
        /// The container's name.
        name: String,
        /// Which probe.
        kind: ProbeKind,
        /// The run it belongs to.
        container_id: String,
    },
    /// A container's resources are being changed.
    Resize {
        /// The container's name.
        name: String,
    },
    /// Something whose result changes nothing: an old run is being removed.
    Forget,
}

/// The operation's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The kubelet itself lists what exists.
    Listing,
    /// The kubelet asks for the node's images.
    Images,
    /// The kubelet's server asks for resource use.
    Stats,
    /// The kubelet looks whether the node is under pressure.
    Pressure,
    /// A pod.
    Pod {
        /// Its uid.
        uid: String,
        /// What for.
        purpose: Purpose,
    },
}

/// Operations under way.
#[derive(Debug, Default)]
pub struct Tickets {
    last: u64,
    pending: BTreeMap<Ticket, Owner>,
}

impl Tickets {
    /// Submits an operation and remembers its owner.
    pub fn submit(&mut self, runtime: &mut dyn ContainerRuntime, owner: Owner, operation: Operation) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.pending.insert(ticket, owner);
        runtime.submit(ticket, operation);
        ticket
    }

    /// The owner of an operation under way.
    pub fn owner(&self, ticket: Ticket) -> Option<&Owner> {
        self.pending.get(&ticket)
    }

    /// The owner of an operation that has ended.
    pub fn complete(&mut self, ticket: Ticket) -> Option<Owner> {
        self.pending.remove(&ticket)
    }
}
