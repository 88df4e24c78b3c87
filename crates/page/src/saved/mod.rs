//! Clusters that are kept between visits, forked from the past, and shared by links.
//!
//! [`shelf`] has the saved clusters of this browser; [`keeper`] saves the live one while it runs and makes
//! forks; [`link`] puts one into an address.

mod browser;
pub mod keeper;
pub mod link;
pub mod shelf;

pub use browser::{dropped, pick};
pub use keeper::Keeper;
pub use shelf::Entry;
