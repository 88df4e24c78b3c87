//! What happened: for any change, the chain from whoever asked to the containers, step by step.
//!
//! A [`log`] keeps what the trace told; [`chain`] finds out which of it is one story, by the causes that the
//! cluster's parts name; [`words`] says each step, [`lanes`] draws it, [`change`] shows what it did to its object,
//! and [`view`] plays it. Nothing is staged: a step that the trace does not have is not there.

mod chain;
mod change;
mod lanes;
mod log;
mod view;
mod words;

pub use log::Log;
pub use view::{Spot, Story};
