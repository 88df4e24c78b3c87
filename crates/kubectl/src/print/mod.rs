//! From objects to text: `-o` in all its forms.

pub mod columns;
pub mod go_template;
pub mod json;
pub mod output;
pub mod sort;
pub mod table;
pub mod tabs;
pub mod typed;
