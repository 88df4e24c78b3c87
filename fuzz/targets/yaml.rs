//! Manifests.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = machinery::yaml::document(text);
    let Ok(documents) = machinery::yaml::parse(text) else { return };
    for document in documents {
        let written = machinery::yaml::emit(&document);
        // As in Go, -0.0 is written -0, which is the integer 0.
        if written.contains("-0") {
            continue;
        }
        let again = machinery::yaml::from_str(&written);
        assert_eq!(again.ok(), Some(document), "{written}");
    }
});
