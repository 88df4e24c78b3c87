//! The terminal that kubectl runs in.

use std::sync::{Mutex, PoisonError};

use rustix::termios::{self, OptionalActions, Termios};

/// How the terminal was before it was made raw: a process has one.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Standard input as a terminal; put back as it was when dropped, or when the program ends by a panic.
pub struct Terminal;

/// Puts the terminal back as it was.
pub fn put_back() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A terminal that has gone needs nothing.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}

impl Terminal {
    /// Columns and rows, if standard input and output are a terminal.
    pub fn size() -> Option<(u16, u16)> {
        let (stdin, stdout) = (std::io::stdin(), std::io::stdout());
        if !termios::isatty(&stdin) || !termios::isatty(&stdout) {
            return None;
        }
        termios::tcgetwinsize(&stdout).ok().map(|size| (size.ws_col, size.ws_row))
    }

    /// Enters raw mode, or leaves it.
    pub fn set_raw(&self, raw: bool) {
        if !raw {
            return put_back();
        }
        let stdin = std::io::stdin();
        let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(now) = termios::tcgetattr(&stdin) else { return };
        let mut wanted = now.clone();
        wanted.make_raw();
        if before.is_none() && termios::tcsetattr(&stdin, OptionalActions::Now, &wanted).is_ok() {
            *before = Some(now);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        put_back();
    }
}
