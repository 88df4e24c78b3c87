//! Shapes and words on the canvas.

use std::borrow::Cow;

use super::draw::Frame;
use super::geometry::{Point, Rect};
use super::near::LARGER_MAX;

const SANS: &str = "\"Instrument Sans Variable\", system-ui, sans-serif";
/// The type of names and code.
pub(super) const MONO: &str = "\"JetBrains Mono Variable\", ui-monospace, monospace";

impl Frame<'_> {
    /// Begins a path around a rectangle.
    fn shape(&self, rect: Rect, radius: f64) {
        self.canvas.begin_path();
        if radius * self.scale < 2.0 || self.canvas.round_rect_with_f64(rect.x, rect.y, rect.w, rect.h, radius).is_err()
        {
            self.canvas.rect(rect.x, rect.y, rect.w, rect.h);
        }
    }

    /// Fills a rectangle.
    pub(super) fn fill(&self, rect: Rect, radius: f64) {
        self.shape(rect, radius);
        self.canvas.fill();
    }

    /// Draws around a rectangle.
    pub(super) fn outline(&self, rect: Rect, radius: f64, color: &str, width: f64) {
        self.canvas.set_stroke_style_str(color);
        self.canvas.set_line_width(self.thin(width));
        self.shape(rect, radius);
        self.canvas.stroke();
    }

    /// A width that grows little more when somebody comes near.
    pub(super) fn thin(&self, width: f64) -> f64 {
        width * self.scale.min(LARGER_MAX) / self.scale
    }

    /// Lets lines be broken, or whole.
    pub(super) fn dash(&self, on: bool) {
        let part = |length: f64| self.thin(length).into();
        let pattern = if on { js_sys::Array::of2(&part(4.0), &part(3.0)) } else { js_sys::Array::new() };
        let _ = self.canvas.set_line_dash(&pattern);
    }

    /// Draws straight lines from point to point.
    pub(super) fn line(&self, points: &[Point]) {
        self.canvas.begin_path();
        for (index, point) in points.iter().enumerate() {
            if index == 0 { self.canvas.move_to(point.x, point.y) } else { self.canvas.line_to(point.x, point.y) }
        }
        self.canvas.stroke();
    }

    /// Draws from a Service up to what is behind it.
    pub(super) fn curve(&self, from: Point, to: Point) {
        let bend = (from.y - to.y).abs() * 0.55;
        self.canvas.begin_path();
        self.canvas.move_to(from.x, from.y);
        self.canvas.bezier_curve_to(from.x, from.y - bend, to.x, to.y + bend, to.x, to.y);
        self.canvas.stroke();
    }

    /// Fills a circle.
    pub(super) fn circle(&self, at: Point, radius: f64) {
        self.canvas.begin_path();
        if self.canvas.arc(at.x, at.y, radius, 0.0, std::f64::consts::TAU).is_ok() {
            self.canvas.fill();
        }
    }

    /// Draws a power switch.
    pub(super) fn power(&self, at: Point, radius: f64, color: &str) {
        const OPEN: f64 = 0.7;
        let top = -std::f64::consts::FRAC_PI_2;
        self.canvas.set_stroke_style_str(color);
        self.canvas.set_line_width(self.thin(1.6));
        self.canvas.begin_path();
        if self.canvas.arc(at.x, at.y, radius, top + OPEN, top + std::f64::consts::TAU - OPEN).is_ok() {
            self.canvas.stroke();
        }
        self.line(&[Point { y: at.y - 1.25 * radius, ..at }, at]);
    }

    /// Writes words in the page's type; what does not fit is cut at the end.
    #[expect(clippy::too_many_arguments, reason = "a line of text has this many properties")]
    pub(super) fn words(
        &self,
        words: &str,
        x: f64,
        y: f64,
        size: f64,
        weight: u16,
        color: &str,
        align: &str,
        room: f64,
    ) {
        let font = Font { size, name: format!("{weight} {size}px {SANS}") };
        self.text(words, x, y, &font, color, align, room, clipped);
    }

    /// Writes a name in the code type; what does not fit is cut in the middle.
    #[expect(clippy::too_many_arguments, reason = "a line of text has this many properties")]
    pub(super) fn mono(&self, words: &str, x: f64, y: f64, size: f64, color: &str, align: &str, room: f64) {
        let font = Font { size, name: format!("500 {size}px {MONO}") };
        self.text(words, x, y, &font, color, align, room, fitting);
    }

    #[expect(clippy::too_many_arguments, reason = "a line of text has this many properties")]
    fn text(
        &self,
        words: &str,
        x: f64,
        y: f64,
        font: &Font,
        color: &str,
        align: &str,
        room: f64,
        cut: fn(&str, usize) -> String,
    ) {
        self.canvas.set_font(&font.name);
        self.canvas.set_fill_style_str(color);
        self.canvas.set_text_align(align);
        self.canvas.set_text_baseline("middle");
        let count = words.chars().count();
        // To ask a browser costs as much as to write.
        let fits = count <= 3 || words.is_ascii() && count as f64 * font.size * WIDEST <= room;
        let width = if fits { room } else { self.canvas.measure_text(words).map_or(0.0, |measure| measure.width()) };
        let shown = if width > room {
            Cow::Owned(cut(words, ((room / width) * count as f64) as usize))
        } else {
            Cow::Borrowed(words)
        };
        let _ = self.canvas.fill_text(&shown, x, y);
    }
}

/// How wide a letter is at most, on average, for each pixel of the size, whatever type a system has.
const WIDEST: f64 = 0.9;

/// A type in a size.
struct Font {
    /// In pixels.
    size: f64,
    /// As CSS has it.
    name: String,
}

/// Words within a number of letters.
fn clipped(words: &str, letters: usize) -> String {
    let kept: String = words.chars().take(letters.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A name within a number of letters. Its end tells pods apart, so the middle goes.
pub(super) fn fitting(name: &str, letters: usize) -> String {
    let all: Vec<char> = name.chars().collect();
    if all.len() <= letters {
        return name.into();
    }
    let kept = letters.saturating_sub(1);
    let end = kept / 2;
    all[..kept - end].iter().chain(&['…']).chain(&all[all.len() - end..]).collect()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::fitting;

    #[wasm_bindgen_test]
    fn long_names_lose_their_middle() {
        assert_eq!(fitting("hellodep-84548c9c8f-hjd4g", 11), "hello…hjd4g");
        assert_eq!(fitting("web", 11), "web");
        assert_eq!(fitting("web", 0), "…");
    }
}
