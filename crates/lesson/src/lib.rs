//! Lessons: what they are made of, and when what they ask for has come true.
//!
//! An author writes Markdown in `www/lessons/`; [`compile`](mod@compile) checks and renders it when
//! the page is built; the page reads the result, an [`Index`] at its start and each [`Lesson`] when
//! it is opened. This crate knows neither page nor cluster: checks look through a [`View`].

mod check;
#[cfg(feature = "compile")]
pub mod compile;
mod place;
mod view;

use serde::{Deserialize, Serialize};

pub use check::Check;
pub use place::{filled, waiting};
pub use view::{RESOURCES, View, condition, is_like, matches, name, namespace, terminating};

/// All lessons there are, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Index {
    /// Courses.
    pub courses: Vec<Course>,
}

/// Lessons that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Title.
    pub title: String,
    /// What it is about, in a sentence.
    pub summary: String,
    /// Its lessons.
    pub lessons: Vec<Entry>,
}

/// A lesson in the index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Name of its file, and of its place in addresses.
    pub id: String,
    /// Title.
    pub title: String,
    /// What it is about, in a sentence.
    pub summary: String,
    /// How long it takes.
    pub minutes: u32,
}

/// A lesson.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// Title.
    pub title: String,
    /// What it is about, in a sentence.
    pub summary: String,
    /// How long it takes.
    pub minutes: u32,
    /// Its steps; what stands before the first heading is a step without title.
    pub steps: Vec<Step>,
}

/// A step of a lesson.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Heading.
    pub title: String,
    /// What is read and clicked, in this order.
    pub pieces: Vec<Piece>,
    /// What must become true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// A piece of a step. HTML is the compiler's own: it holds no markup that an author wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Piece {
    /// Text, as HTML.
    Html(String),
    /// Command lines to click.
    Run(Vec<String>),
    /// Command lines that do not succeed, and are meant not to.
    Fails(Vec<String>),
    /// A file's name and text; it lies on the learner's computer when the lesson is opened.
    File(String, String),
    /// Text that is hidden until asked for, as HTML.
    Hint(String),
    /// Command lines that are hidden until asked for.
    Solution(Vec<String>),
    /// Faults to click: `cut COMPONENT` off from the API server, or `join COMPONENT` again.
    Fault(Vec<String>),
}

impl Lesson {
    /// Names and texts of its files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.steps.iter().flat_map(|step| &step.pieces).filter_map(|piece| match piece {
            Piece::File(name, text) => Some((name.as_str(), text.as_str())),
            _ => None,
        })
    }
}
