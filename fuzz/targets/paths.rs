//! Field paths and templates: `-o jsonpath=…`, `-o go-template=…`.
#![no_main]

use machinery::jsonpath::{JsonPath, relaxed};
use machinery::template::Template;
use playground_fuzz::objects;
use serde_json::json;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let list = json!({"items": objects().map(|(_, object)| object)});
    for template in [Some(text.to_owned()), relaxed(text).ok()].into_iter().flatten() {
        if let Ok(path) = JsonPath::parse(&template) {
            let _ = path.render(&list);
            let _ = path.allow_missing_keys(true).find(&list);
        }
    }
    if let Ok(template) = Template::parse(text) {
        let _ = template.render(&list);
    }
});
