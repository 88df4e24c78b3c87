//! Leader election: what a process's components do only while it holds its Lease, as
//! kube-controller-manager and kube-scheduler.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use client::{Client, Component, Context, LeaderElector};
use machinery::ObjectKey;

/// The namespace of the leases.
const NAMESPACE: &str = "kube-system";

/// Whether a process leads, for those of its components that wait for it.
#[derive(Default)]
pub(crate) struct Leadership {
    leads: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// Stands for election, and says how it went.
pub(crate) struct Election {
    name: String,
    elector: LeaderElector,
    leadership: Rc<Leadership>,
}

impl Election {
    /// The election of a process, which writes Events as `recorder`.
    pub(crate) fn new(client: Client, name: &str, identity: &str, recorder: &str, leadership: Rc<Leadership>) -> Self {
        let elector = LeaderElector::new(client, ObjectKey::new(NAMESPACE, name), identity, recorder);
        Self { name: name.to_owned(), elector, leadership }
    }
}

impl Component for Election {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let leads = self.elector.poll(cx);
        self.leadership.leads.set(leads);
        if leads {
            self.leadership.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Election {
    fn drop(&mut self) {
        self.leadership.leads.set(false);
    }
}

/// A component that works while its process leads.
pub(crate) struct Elected {
    leadership: Rc<Leadership>,
    component: Box<dyn Component>,
}

impl Elected {
    pub(crate) fn new(leadership: Rc<Leadership>, component: Box<dyn Component>) -> Self {
        Self { leadership, component }
    }
}

impl Component for Elected {
    fn name(&self) -> &str {
        self.component.name()
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        if self.leadership.leads.get() {
            self.component.poll(cx);
        } else {
            let mut waiting = self.leadership.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
        }
    }
}

/// Two components of one process, which is stopped as a whole.
pub(crate) struct Both(pub(crate) Election, pub(crate) Elected);

impl Component for Both {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        self.0.poll(cx);
        self.1.poll(cx);
    }
}
