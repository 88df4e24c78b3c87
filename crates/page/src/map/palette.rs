//! The map's colours: the page's own, read from its style sheet.

use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

/// How many colours owners share.
const OWNER_HUES: usize = 8;

/// Colours as CSS has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Behind everything.
    pub water: String,
    /// Surfaces of stations.
    pub panel: String,
    /// Surfaces of nodes.
    pub land: String,
    /// Text.
    pub ink: String,
    /// Less important text.
    pub ink_soft: String,
    /// Outlines.
    pub line: String,
    /// What is chosen; Services.
    pub accent: String,
    /// Failure.
    pub bad: String,
    /// Requests.
    pub request: String,
    /// Writes.
    pub write: String,
    /// Watch events.
    pub watch: String,
    /// Runtime operations.
    pub runtime: String,
    /// One for each owner, in turn.
    pub owners: Vec<String>,
}

impl Palette {
    /// Reads the colours in force for an element.
    pub fn read(element: &HtmlElement) -> Self {
        let style =
            web_sys::window().and_then(|window| window.get_computed_style(element.unchecked_ref()).ok()).flatten();
        let color = |name: &str| {
            let value = style.as_ref().and_then(|style| style.get_property_value(name).ok()).unwrap_or_default();
            value.trim().to_owned()
        };
        Self {
            water: color("--water"),
            panel: color("--panel"),
            land: color("--land"),
            ink: color("--ink"),
            ink_soft: color("--ink-soft"),
            line: color("--line-strong"),
            accent: color("--accent"),
            bad: color("--bad"),
            request: color("--request"),
            write: color("--write"),
            watch: color("--watch"),
            runtime: color("--runtime"),
            owners: (0..OWNER_HUES).map(|hue| color(&format!("--owner-{hue}"))).collect(),
        }
    }

    /// The colour of an owner: the same name has the same colour, always.
    pub fn owner(&self, owner: &str) -> &str {
        let hash = owner.bytes().fold(2_166_136_261u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
        let index = (hash >> 7) as usize % self.owners.len().max(1);
        self.owners.get(index).map_or(self.ink.as_str(), String::as_str)
    }
}
