//! Label and field selectors, quantities: what stands in queries and fields.
#![no_main]

use machinery::{Quantity, fields, labels};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(selector) = labels::Selector::parse(text) {
        let written = selector.to_string();
        assert_eq!(labels::Selector::parse(&written).ok().map(|again| again.to_string()), Some(written));
        let _ = selector.matches(None);
    }
    if let Ok(selector) = fields::Selector::parse(text) {
        // Requirements are in the order of their text, in which `==` may stand for `=`.
        let sorted = |mut selector: fields::Selector| {
            selector.requirements.sort();
            selector
        };
        let again = fields::Selector::parse(&selector.to_string());
        assert_eq!(again.ok().map(sorted), Some(sorted(selector)));
    }
    if let Ok(quantity) = Quantity::parse(text) {
        let written = quantity.to_string();
        let again = Quantity::parse(&written).expect("what is written can be read");
        assert_eq!((again, again.to_string()), (quantity, written));
        let canonical = Quantity::canonical(text).expect("what can be read has a canonical form");
        assert_eq!(Quantity::parse(&canonical), Ok(quantity));
        let _ = (quantity.milli_value(), quantity.as_f64(), quantity.times(3), quantity + quantity.times(-7));
    }
});
