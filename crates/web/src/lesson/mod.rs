//! Lessons: Markdown with front matter, commands to run and checks on the cluster.
//!
//! A lesson begins with lines `title:`, `summary:` and `minutes:` between two lines `---`. Every
//! second-level heading begins a step. Two kinds of code fences are special: `run` holds command
//! lines to click, one a line, and `check` holds what must become true (see [`check`]).
//! `{pods:app=web}` in a command line stands for the name of a pod with that label.

mod check;
mod parse;
mod view;

pub use check::Check;
pub use parse::{Block, Inline, Lesson, Step};
pub use view::LessonPane;
