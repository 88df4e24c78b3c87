//! kube-proxy and cluster DNS: from Services and EndpointSlices to forwarding tables and answers.
//!
//! Nothing here forwards a byte. [`Tables`] says, as data, where a connection to a virtual address
//! goes; [`dns`] says what a cluster name means. The simulated network asks them at each connection;
//! a real node programs its kernel from the same rules. [`Proxy`] is the component that keeps the
//! tables in step with the API; it reads and never writes. [`Policies`] says which connections pods may
//! make, and [`PolicyAgent`] keeps them in step.
//!
//! Start reading at [`tables`].

pub mod component;
pub mod dns;
pub mod message;
pub mod policy;
pub mod resolv;
pub mod rule;
pub mod tables;

pub use component::{Proxy, SharedTables};
pub use policy::{Peer, Policies, PolicyAgent, SharedPolicies};
pub use resolv::ResolvConf;
pub use rule::{Endpoint, Protocol, Rule, TrafficPolicy};
pub use tables::{Affinity, Forward, Source, Tables, Via};
