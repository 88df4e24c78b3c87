//! The terminal that kubectl runs in.

use std::cell::RefCell;

use rustix::termios::{self, OptionalActions, Termios};

/// Standard input as a terminal; put back as it was when dropped.
#[derive(Default)]
pub struct Terminal(RefCell<Option<Termios>>);

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
        let stdin = std::io::stdin();
        let mut before = self.0.borrow_mut();
        if !raw {
            if let Some(before) = before.take() {
                // A terminal that has gone needs nothing.
                let _ = termios::tcsetattr(&stdin, OptionalActions::Now, &before);
            }
            return;
        }
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
        self.set_raw(false);
    }
}
