//! Which ports of the host's `localhost` lead into the cluster's network.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::options::PortsChanged;

/// Where a simulated cluster's Ingresses answer. HTTPS has no port: in the simulated network nothing is encrypted.
const INGRESS: u16 = 80;

/// The ports that are wanted, and who hears of them.
pub(crate) struct OpenPorts {
    services: RefCell<BTreeSet<u16>>,
    ingresses: Cell<bool>,
    told: RefCell<BTreeSet<u16>>,
    changed: Option<PortsChanged>,
}

impl OpenPorts {
    /// None yet.
    pub(crate) fn new(changed: Option<PortsChanged>) -> Rc<Self> {
        Rc::new(Self { services: RefCell::default(), ingresses: Cell::default(), told: RefCell::default(), changed })
    }

    /// Node ports and load balancers' ports, of all Services.
    pub(crate) fn set_services(&self, ports: BTreeSet<u16>) {
        self.services.replace(ports);
        self.tell();
    }

    /// Whether there are Ingresses in force.
    pub(crate) fn set_ingresses(&self, any: bool) {
        self.ingresses.set(any);
        self.tell();
    }

    fn tell(&self) {
        let Some(changed) = &self.changed else { return };
        let ingress = self.ingresses.get().then_some(INGRESS);
        let now: BTreeSet<u16> = self.services.borrow().iter().copied().chain(ingress).collect();
        if *self.told.borrow() != now {
            self.told.replace(now.clone());
            changed(now);
        }
    }
}
