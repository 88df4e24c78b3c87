//! A line that tells somebody who waits what is going on, on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is drawn anew.
const INTERVAL: Duration = Duration::from_millis(120);
const WHEEL: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

/// One step, until it is done or has failed.
pub struct Progress {
    what: String,
    begin: Instant,
    drawn: Option<Instant>,
    turn: usize,
    terminal: bool,
}

impl Progress {
    /// Begins a step. Nothing moves where nobody looks.
    pub fn new(what: &str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { what: what.into(), begin: Instant::now(), drawn: None, turn: 0, terminal }
    }

    /// Still at it; says how far.
    pub fn tick(&mut self, how_far: &str) {
        if !self.terminal || self.drawn.is_some_and(|drawn| drawn.elapsed() < INTERVAL) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.turn += 1;
        let wheel = WHEEL.get(self.turn % WHEEL.len()).copied().unwrap_or(' ');
        let seconds = self.begin.elapsed().as_secs();
        let mut line = format!("\r\x1b[2K {wheel} {}", self.what);
        for part in [how_far, &if seconds > 0 { format!("{seconds} s") } else { String::new() }] {
            if !part.is_empty() {
                line = format!("{line}  {part}");
            }
        }
        self.write(&line);
    }

    /// The step is done.
    pub fn done(self, what: &str) {
        self.end('✓', what);
    }

    /// The step has failed, or has not come to its end.
    pub fn failed(self, what: &str) {
        self.end('✗', what);
    }

    fn end(&self, sign: char, what: &str) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        self.write(&format!("{clear} {sign} {what}  ({:.1} s)\n", self.begin.elapsed().as_secs_f64()));
    }

    fn write(&self, text: &str) {
        // Nobody is told then.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
