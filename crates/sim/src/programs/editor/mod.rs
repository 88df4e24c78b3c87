//! Full-screen editors: `vi` and `nano` over a terminal, with the keys most people know of them.
//!
//! A terminal that has an editor of its own beside it (the page's) opens files there. Whoever names an editor, as
//! `EDITOR=vi` or `KUBE_EDITOR=nano` do, wants that one, in the terminal.

mod buffer;
mod nano;
mod screen;
mod vi;

pub(super) use nano::nano;
pub(super) use vi::vi;

use crate::process::Process;
use crate::tty::{Edited, Tty};
use buffer::Buffer;

/// What says that people want an editor in the terminal.
const NAMING: [&str; 2] = ["KUBE_EDITOR", "EDITOR"];
/// More is edited in the terminal.
const BESIDE_BYTES_MAX: usize = 1 << 20;

/// Edits the file beside the terminal, and gives the exit code; none if that is not wanted or not possible.
async fn beside(process: &Process, tty: &Tty, buffer: &Buffer) -> Option<i32> {
    let named = NAMING.into_iter().any(|name| process.env.get(name).is_some_and(|editor| !editor.is_empty()));
    let editor = tty.editor().filter(|_| !named && !buffer.path.is_empty() && buffer.bytes <= BESIDE_BYTES_MAX)?;
    let path = process.path(&buffer.path);
    match editor(path.clone(), buffer.text()).await {
        Edited::Unavailable => None,
        Edited::Cancelled => Some(0),
        Edited::Saved(text) => match process.fs().write(&path, text, process.machine.now()) {
            Ok(()) => Some(0),
            Err(error) => Some(process.fail(1, format_args!("{}: {error}", buffer.path)).await),
        },
    }
}
