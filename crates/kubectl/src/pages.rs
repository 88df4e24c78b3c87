//! Every command's help page, which is also its definition.
//!
//! The text is what `kubectl COMMAND --help` prints; [`crate::command`] reads subcommands, aliases and
//! flags out of it. Where a flag behaves in a way the page does not tell, `command` has a table.

use std::sync::OnceLock;

static TEXT: pack::Text = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// `(path, page)`, sorted by path. The root's path is empty.
pub fn pages() -> &'static [(&'static str, &'static str)] {
    static PAGES: OnceLock<Vec<(&str, &str)>> = OnceLock::new();
    PAGES.get_or_init(|| TEXT.get().split('\u{1}').filter_map(|page| page.split_once('\n')).collect())
}
