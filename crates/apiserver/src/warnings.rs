//! Warning headers, as upstream's recorder writes them (`filters.WithWarningRecorder`).

use std::collections::BTreeSet;

use http::header::{HeaderMap, HeaderValue, WARNING};

/// Characters of all warnings; where they are more, each is cut.
const CHARACTERS_MAX: usize = 4096;
/// Characters of one warning that is cut.
const CHARACTERS_OF_ONE_MAX: usize = 256;

/// Puts warnings into an answer's headers: none twice, and not more than proxies let through.
pub(crate) fn write(warnings: &[String], headers: &mut HeaderMap) {
    let mut seen = BTreeSet::new();
    let distinct: Vec<&String> =
        warnings.iter().filter(|text| !text.is_empty() && seen.insert(text.as_str())).collect();
    let total: usize = distinct.iter().map(|text| text.chars().count()).sum();
    let length_max = if total > CHARACTERS_MAX { CHARACTERS_OF_ONE_MAX } else { CHARACTERS_MAX };
    let mut written = 0;
    for text in distinct {
        if written >= CHARACTERS_MAX {
            break;
        }
        let text: String = text.chars().take(length_max).collect();
        written += text.chars().count();
        let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace(char::is_control, " ");
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            headers.append(WARNING, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(warnings: &[String]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        write(warnings, &mut headers);
        let text = |value: &HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
        headers.get_all(WARNING).iter().map(text).collect()
    }

    #[test]
    fn warnings_are_told_once_and_in_full_where_they_are_few() {
        let warnings = ["a \"b\"\n", "", "Iñtërnâtiô", "a \"b\"\n"].map(str::to_owned);
        assert_eq!(written(&warnings), [r#"299 - "a \"b\" ""#, "299 - \"Iñtërnâtiô\""]);
        let one = "x".repeat(CHARACTERS_MAX);
        assert_eq!(written(std::slice::from_ref(&one)), [format!("299 - \"{one}\"")]);
    }

    #[test]
    fn many_warnings_are_cut() {
        let warnings: Vec<String> = (0..100).map(|number| format!("{number:03}{}", "ö".repeat(400))).collect();
        let written = written(&warnings);
        assert_eq!(written.len(), CHARACTERS_MAX / CHARACTERS_OF_ONE_MAX);
        assert!(written.iter().all(|text| text.chars().count() == CHARACTERS_OF_ONE_MAX + "299 - \"\"".len()));
    }
}
