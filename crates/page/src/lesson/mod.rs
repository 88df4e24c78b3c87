//! Lessons beside the cluster: the catalogue, and the lesson that is open.

mod book;
mod load;
mod progress;
mod seen;
mod view;

pub use book::Book;
