//! Full-screen editors: `vi` and `nano` over a terminal, with the keys most people know of them.

mod buffer;
mod nano;
mod screen;
mod vi;

pub(super) use nano::nano;
pub(super) use vi::vi;
