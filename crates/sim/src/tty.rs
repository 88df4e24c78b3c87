//! Terminals: a line discipline between a terminal's bytes and the processes that use it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures::future::LocalBoxFuture;

use crate::errno::Errno;
use crate::io::{Device, Fd, Gate};
use crate::process::{Machine, Pid, Signal};

/// A terminal as its processes see it. Cheap to clone; all clones are one.
///
/// In cooked mode (the default) it echoes, lets the line be edited, and turns Ctrl-C into SIGINT, and Ctrl-Z
/// into SIGTSTP, for the foreground process group. In raw mode bytes go through as they are. A line editor is in
/// between: it has the keys as they come, and lines of others on the screen begin at its left as ever.
#[derive(Clone)]
pub struct Tty(Rc<Shared>);

/// An editor beside the terminal: it is given a file's name and text, and is done when it is closed.
pub type Editor = Rc<dyn Fn(String, String) -> LocalBoxFuture<'static, Edited>>;

/// What became of a text in an [`Editor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// This is to be kept.
    Saved(String),
    /// All stays as it was.
    Cancelled,
    /// It could not be opened.
    Unavailable,
}

/// Where what is written to the screen goes.
type Output = Box<dyn Fn(&[u8])>;

/// What becomes of bytes on their way: termios' `ICANON`, `ECHO` and `ISIG` for the keys, `OPOST` for the screen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cooked,
    Keys,
    Raw,
}

struct Shared {
    machine: Machine,
    output: Output,
    /// What is on its way to the screen.
    gate: Gate,
    state: RefCell<State>,
    foreground: Cell<Pid>,
    mode: Cell<Mode>,
    size: Cell<(u16, u16)>,
    editor: RefCell<Option<Editor>>,
    /// Whether what was written last leaves words on the cursor's line.
    mid_line: Cell<bool>,
}

#[derive(Default)]
struct State {
    /// Lines, or raw bytes, that processes have not read yet; an empty one is the end of input.
    input: VecDeque<Bytes>,
    /// The line being typed.
    line: Vec<u8>,
    hung_up: bool,
    wakers: Vec<Waker>,
}

/// How escape sequences begin, and how long the common ones are.
const ESCAPE: u8 = 0x1b;
const ESCAPE_BYTES: usize = 6;

impl Tty {
    /// A terminal on a machine, whose output goes to a function. Columns and rows.
    pub fn new(machine: &Machine, size: (u16, u16), output: impl Fn(&[u8]) + 'static) -> Self {
        Self::gated(machine, size, &Gate::default(), output)
    }

    /// The same, whose processes wait while too much is on its way to the screen.
    pub fn gated(machine: &Machine, size: (u16, u16), gate: &Gate, output: impl Fn(&[u8]) + 'static) -> Self {
        Self(Rc::new(Shared {
            machine: machine.clone(),
            output: Box::new(output),
            gate: gate.clone(),
            mid_line: Cell::new(false),
            state: RefCell::default(),
            foreground: Cell::new(0),
            mode: Cell::new(Mode::Cooked),
            size: Cell::new(size),
            editor: RefCell::default(),
        }))
    }

    /// A descriptor of it.
    pub fn fd(&self) -> Fd {
        Fd::new(self.clone())
    }

    /// Columns and rows.
    pub fn size(&self) -> (u16, u16) {
        self.0.size.get()
    }

    /// The window changed its size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.0.size.set((columns, rows));
        self.signal(Signal::Winch);
    }

    /// There is an editor beside the terminal from now on.
    pub fn set_editor(&self, editor: Editor) {
        *self.0.editor.borrow_mut() = Some(editor);
    }

    /// The editor beside the terminal, if there is one.
    pub fn editor(&self) -> Option<Editor> {
        self.0.editor.borrow().clone()
    }

    /// Whether keys go through as they are.
    pub fn is_raw(&self) -> bool {
        self.0.mode.get() != Mode::Cooked
    }

    /// Sets raw or cooked mode. What was typed of a line in cooked mode is not lost to raw mode.
    pub fn set_raw(&self, raw: bool) {
        self.set(if raw { Mode::Raw } else { Mode::Cooked });
    }

    /// A line editor begins to read.
    pub fn set_keys(&self) {
        self.set(Mode::Keys);
    }

    fn set(&self, mode: Mode) {
        if self.0.mode.replace(mode) == Mode::Cooked && mode != Mode::Cooked {
            let line = std::mem::take(&mut self.0.state.borrow_mut().line);
            if !line.is_empty() {
                self.push(line.into());
            }
        }
    }

    /// Gives back what was read too much: it is read first next time.
    pub fn unread(&self, data: &[u8]) {
        if !data.is_empty() {
            self.0.state.borrow_mut().input.push_front(Bytes::copy_from_slice(data));
        }
    }

    /// Makes a process group the one that Ctrl-C reaches; the one before is given back.
    pub fn set_foreground(&self, group: Pid) -> Pid {
        self.0.foreground.replace(group)
    }

    /// Bytes from the keyboard.
    pub fn feed(&self, data: &[u8]) {
        if self.is_raw() {
            self.push(Bytes::copy_from_slice(data));
            return;
        }
        for byte in data {
            self.type_byte(*byte);
        }
    }

    /// The terminal is gone: its readers come to the end, and the foreground is told.
    pub fn hang_up(&self) {
        self.0.state.borrow_mut().hung_up = true;
        self.push(Bytes::new());
        self.signal(Signal::Hup);
    }

    /// Whether words stand before the cursor that a prompt would be drawn over.
    pub fn is_mid_line(&self) -> bool {
        self.0.mid_line.get()
    }

    /// What was written is a prompt: who reads next draws it anew in its place.
    pub fn prompted(&self) {
        self.0.mid_line.set(false);
    }

    /// Writes to the screen; a newline becomes carriage return and newline unless in raw mode.
    pub fn write(&self, data: &[u8]) {
        if let Some(last) = data.last() {
            // Who moves the cursor by escapes (`clear`) knows where it is.
            let tail = data.get(data.len().saturating_sub(ESCAPE_BYTES)..).unwrap_or_default();
            self.0.mid_line.set(!matches!(last, b'\n' | b'\r') && !tail.contains(&ESCAPE));
        }
        let mode = self.0.mode.get();
        if mode == Mode::Raw {
            (self.0.output)(data);
            return;
        }
        let mut out = Vec::with_capacity(data.len() + 8);
        for byte in data {
            // Line editors bring their own.
            if *byte == b'\n' && (mode == Mode::Cooked || out.last() != Some(&b'\r')) {
                out.push(b'\r');
            }
            out.push(*byte);
        }
        (self.0.output)(&out);
    }

    fn type_byte(&self, byte: u8) {
        const INTERRUPT: u8 = 3;
        const END: u8 = 4;
        const KILL_LINE: u8 = 21;
        const SUSPEND: u8 = 26;
        const QUIT: u8 = 28;
        match byte {
            INTERRUPT | QUIT | SUSPEND => {
                // What was typed ahead is gone too: `NOFLSH` is not set.
                let mut state = self.0.state.borrow_mut();
                state.line.clear();
                state.input.clear();
                drop(state);
                let (shown, signal) = match byte {
                    INTERRUPT => ("^C", Signal::Int),
                    QUIT => ("^\\", Signal::Quit),
                    _ => ("^Z", Signal::Tstp),
                };
                self.write(shown.as_bytes());
                self.signal(signal);
            }
            END => {
                let line = std::mem::take(&mut self.0.state.borrow_mut().line);
                self.push(line.into());
            }
            KILL_LINE => {
                let erased = std::mem::take(&mut self.0.state.borrow_mut().line);
                self.write(&b"\x08 \x08".repeat(String::from_utf8_lossy(&erased).chars().count()));
            }
            8 | 127 => {
                let erased = pop_char(&mut self.0.state.borrow_mut().line);
                if erased {
                    self.write(b"\x08 \x08");
                }
            }
            b'\r' | b'\n' => {
                self.write(b"\n");
                let mut line = std::mem::take(&mut self.0.state.borrow_mut().line);
                line.push(b'\n');
                self.push(line.into());
            }
            byte => {
                self.0.state.borrow_mut().line.push(byte);
                match byte {
                    0..32 if byte != b'\t' => self.write(&[b'^', byte + 64]),
                    _ => self.write(&[byte]),
                }
            }
        }
    }

    fn push(&self, data: Bytes) {
        let mut state = self.0.state.borrow_mut();
        state.input.push_back(data);
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
    }

    fn signal(&self, signal: Signal) {
        self.0.machine.kill_group(self.0.foreground.get(), signal);
    }
}

impl Device for Tty {
    fn poll_read(&self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        let mut state = self.0.state.borrow_mut();
        let Some(front) = state.input.front_mut() else {
            if state.hung_up {
                return Poll::Ready(Ok(Bytes::new()));
            }
            state.wakers.push(cx.waker().clone());
            return Poll::Pending;
        };
        let read = front.split_to(max.min(front.len()));
        if front.is_empty() {
            state.input.pop_front();
        }
        Poll::Ready(Ok(read))
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        std::task::ready!(self.0.gate.poll_ready(cx));
        self.write(data);
        Poll::Ready(Ok(data.len()))
    }

    fn tty(&self) -> Option<&Tty> {
        Some(self)
    }
}

/// Takes the last character, of however many bytes, off a line.
fn pop_char(line: &mut Vec<u8>) -> bool {
    while let Some(byte) = line.pop() {
        if byte & 0xc0 != 0x80 {
            return true;
        }
    }
    false
}
