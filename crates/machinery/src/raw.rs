//! JSON text looked at in place: members, items and where they stand, without a tree.
//!
//! For text that is known to be JSON, such as what the store holds. Of other text less is found.

/// The members of an object's text, in order: the name as it stands, with its quotes, and the value.
pub fn members(object: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = open(object, b'{');
    std::iter::from_fn(move || {
        let name = skip_space(object, at?);
        let name_end = value_end(object, name)?;
        let value = skip_space(object, skip_space(object, name_end) + 1);
        let value_end = value_end(object, value)?;
        at = next(object, value_end);
        Some((object.get(name..name_end)?, object.get(value..value_end)?))
    })
}

/// The items of an array's text.
pub fn items(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = open(array, b'[');
    std::iter::from_fn(move || {
        let item = skip_space(array, at?);
        let end = value_end(array, item)?;
        at = next(array, end);
        array.get(item..end)
    })
}

/// The value of an object's member; names are compared as they stand.
pub fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    members(object).find(|(other, _)| is_name(other, name)).map(|(_, value)| value)
}

/// An object's text with the members of these names, in their order; `value` makes each one's text anew.
pub fn ordered(object: &[u8], names: &[&str], value: &dyn Fn(&str, &[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = b"{".to_vec();
    for name in names {
        if let Some(text) = member(object, name) {
            if out.len() > 1 {
                out.push(b',');
            }
            push_text(&mut out, name);
            out.push(b':');
            out.extend_from_slice(&value(name, text));
        }
    }
    out.push(b'}');
    out
}

/// The text of a string, such as a member's name.
pub fn text(string: &[u8]) -> String {
    match string {
        [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => String::from_utf8_lossy(plain).into_owned(),
        other => serde_json::from_slice(other).unwrap_or_default(),
    }
}

/// Appends a string as JSON writes it.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    if needs_escapes(text.as_bytes()) {
        out.extend_from_slice(&serde_json::to_vec(text).unwrap_or_default());
        return;
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether a text has control characters, quotes or backslashes.
fn needs_escapes(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let escaped = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        marks(word, b'"') | marks(word, b'\\') | word.wrapping_sub(ONES * u64::from(b' ')) & !word & (ONES << 7)
    };
    words.iter().any(|word| escaped(word) != 0) || rest.iter().any(|byte| matches!(byte, ..b' ' | b'"' | b'\\'))
}

/// Appends what tells one compact object's text from those with the same fields: all but the values of
/// members, of which only lists are told, whose items may be known by theirs, and nulls.
pub fn push_shape(out: &mut Vec<u8>, object: &[u8]) {
    let mut at = 0;
    while let Some(byte) = object.get(at) {
        let end = match byte {
            b'{' | b'}' | b',' | b':' => Some(at + 1),
            _ => value_end(object, at),
        };
        let Some(token) = end.and_then(|end| object.get(at..end)) else { return out.extend_from_slice(object) };
        at += token.len();
        match byte {
            b'{' | b'}' | b',' | b':' | b'[' => out.extend_from_slice(token),
            b'"' if object.get(at) == Some(&b':') => out.extend_from_slice(token),
            b'n' => out.push(b'0'),
            _ => out.push(b'1'),
        }
    }
}

/// The array of an object's `metadata.managedFields`.
pub fn managed_fields(object: &[u8]) -> Option<&[u8]> {
    member(member(object, "metadata")?, MANAGED_FIELDS)
}

/// An object's text without its `metadata.managedFields`.
pub fn without_managed_fields(object: &[u8]) -> Vec<u8> {
    let found = member(object, "metadata").and_then(|metadata| {
        let mut before = None;
        for (name, value) in members(metadata) {
            if is_name(name, MANAGED_FIELDS) {
                return Some((offset(object, name), offset(object, value) + value.len(), before));
            }
            before = Some(offset(object, value) + value.len());
        }
        None
    });
    let Some((mut start, mut end, before)) = found else { return object.to_vec() };
    match before {
        // The comma before it goes with it, or else that behind it.
        Some(before) => start = before,
        None => end = next(object, end).unwrap_or(end),
    }
    [object.get(..start).unwrap_or_default(), object.get(end..).unwrap_or_default()].concat()
}

/// An object's text with an array as its `metadata.managedFields`, which it has not: among the members of
/// the metadata, which are in the order of their names.
pub fn with_managed_fields(object: &[u8], managed: &[u8]) -> Vec<u8> {
    let Some(metadata) = member(object, "metadata") else { return object.to_vec() };
    let behind = members(metadata).find(|(name, _)| name.get(1..).is_some_and(|name| name > MANAGED_FIELDS.as_bytes()));
    let is_empty = members(metadata).next().is_none();
    let at = match behind {
        Some((name, _)) => offset(object, name),
        None => offset(object, metadata) + metadata.len().saturating_sub(1),
    };
    let (head, tail) = object.split_at(at.min(object.len()));
    let mut out = Vec::with_capacity(object.len() + managed.len() + 18);
    out.extend_from_slice(head);
    if behind.is_none() && !is_empty {
        out.push(b',');
    }
    push_text(&mut out, MANAGED_FIELDS);
    out.push(b':');
    out.extend_from_slice(managed);
    if behind.is_some() {
        out.push(b',');
    }
    out.extend_from_slice(tail);
    out
}

const MANAGED_FIELDS: &str = "managedFields";

fn is_name(quoted: &[u8], name: &str) -> bool {
    matches!(quoted, [b'"', plain @ .., b'"'] if plain == name.as_bytes())
}

/// Where a part of a text begins.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

/// The offset behind an opening bracket, if something is in it.
fn open(text: &[u8], bracket: u8) -> Option<usize> {
    let start = skip_space(text, 0);
    let first = skip_space(text, start + 1);
    (text.get(start) == Some(&bracket) && !matches!(text.get(first), None | Some(b'}' | b']'))).then_some(first)
}

/// The offset behind the comma that follows a value.
fn next(text: &[u8], end: usize) -> Option<usize> {
    let comma = skip_space(text, end);
    (text.get(comma) == Some(&b',')).then_some(comma + 1)
}

fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The offset behind the value that begins at an offset.
fn value_end(text: &[u8], start: usize) -> Option<usize> {
    match text.get(start)? {
        b'"' => string_end(text, start),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0, start);
            loop {
                match text.get(at)? {
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    b'"' => at = string_end(text, at)? - 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let rest = text.get(start..)?;
            let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
            Some(start + length.unwrap_or(rest.len())).filter(|end| *end > start)
        }
    }
}

/// The offset behind the string that begins at an offset.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        // Strings are most of a text: they are looked through eight bytes at a time.
        while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let word = u64::from_le_bytes(*word);
            let ends = marks(word, b'"') | marks(word, b'\\');
            at += ends.trailing_zeros() as usize / 8;
            if ends != 0 {
                break;
            }
        }
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// 1 in each byte.
const ONES: u64 = u64::MAX / 255;

/// Marks the bytes of a word that are a certain one, by their highest bits; behind the first, perhaps others too.
fn marks(word: u64, byte: u8) -> u64 {
    let zeros = word ^ (ONES * u64::from(byte));
    zeros.wrapping_sub(ONES) & !zeros & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_where_they_do() {
        for length in 0..40 {
            for end in ["\"", "\\\"\"", "\\\\\""] {
                let text = format!("[\"{}{end},\"x\\\"\"]", "!#ä[".chars().cycle().take(length).collect::<String>());
                let expected: Vec<String> = serde_json::from_str(&text).unwrap();
                let found: Vec<String> = items(text.as_bytes()).map(super::text).collect();
                assert_eq!(found, expected);
            }
        }
        assert_eq!(string_end(b"\"0123456789", 0), None);
        assert_eq!(string_end(b"\"\\", 0), None);
    }

    #[test]
    fn objects_with_the_same_fields_have_the_same_shape() {
        let shape = |text: &str| {
            let mut out = Vec::new();
            push_shape(&mut out, text.as_bytes());
            String::from_utf8(out).unwrap()
        };
        let web = shape(r#"{"a":{"n":1,"s":"x:\"{"},"l":[{"k":"v"}],"z":null}"#);
        assert_eq!(web, r#"{"a":{"n":1,"s":1},"l":[{"k":"v"}],"z":0}"#);
        assert_eq!(shape(r#"{"a":{"n":22,"s":"y"},"l":[{"k":"v"}],"z":null}"#), web);
        for other in [
            r#"{"a":{"n":1,"t":""},"l":[{"k":"v"}],"z":null}"#,
            r#"{"a":{"n":1,"s":""},"l":[{"k":"w"}],"z":null}"#,
            r#"{"a":{"n":1,"s":""},"l":[{"k":"v"}],"z":false}"#,
            r#"{"a":{},"l":[{"k":"v"}],"z":null}"#,
        ] {
            assert_ne!(shape(other), web, "{other}");
        }
    }

    fn strings<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
        parts.map(|part| std::str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn members_and_items_are_found_in_place() {
        let object = br#" {"a":1,"b\"}" : {"c":["x}",{}]} ,"d":"\\","e":[],"f":null}"#;
        assert_eq!(
            strings(members(object).map(|(name, _)| name)),
            [r#""a""#, r#""b\"}""#, r#""d""#, r#""e""#, r#""f""#]
        );
        let values = [r"1", r#"{"c":["x}",{}]}"#, r#""\\""#, "[]", "null"];
        assert_eq!(strings(members(object).map(|(_, value)| value)), values);
        assert_eq!(strings(items(br#"[1, "a,b" ,[2,3],{}]"#)), ["1", r#""a,b""#, "[2,3]", "{}"]);
        assert_eq!(member(object, "d"), Some(&br#""\\""#[..]));
        assert_eq!(text(br#""b\"}""#), "b\"}");
        for none in ["", "{", "[]", "{}", "null", "\"a\"", "{\"a", "{\"a\":", "{\"a\":\"", "{\"a\":[1"] {
            assert_eq!(members(none.as_bytes()).count(), 0, "{none}");
            assert_eq!(items(none.as_bytes()).count(), 0, "{none}");
        }
        let mut out = Vec::new();
        push_text(&mut out, "a\n\"b\"");
        push_text(&mut out, "k:ä");
        assert_eq!(String::from_utf8(out).unwrap(), r#""a\n\"b\"""k:ä""#);
    }

    #[test]
    fn managed_fields_go_in_and_out() {
        for (without, with) in [
            (r#"{"metadata":{}}"#, r#"{"metadata":{"managedFields":[1]}}"#),
            (
                r#"{"kind":"A","metadata":{"labels":{}}}"#,
                r#"{"kind":"A","metadata":{"labels":{},"managedFields":[1]}}"#,
            ),
            (r#"{"metadata":{"name":"a"},"spec":1}"#, r#"{"metadata":{"managedFields":[1],"name":"a"},"spec":1}"#),
            (
                r#"{"metadata":{"generation":1,"name":"a"}}"#,
                r#"{"metadata":{"generation":1,"managedFields":[1],"name":"a"}}"#,
            ),
        ] {
            assert_eq!(String::from_utf8(with_managed_fields(without.as_bytes(), b"[1]")).unwrap(), with);
            assert_eq!(managed_fields(with.as_bytes()), Some(&b"[1]"[..]));
            assert_eq!(managed_fields(without.as_bytes()), None);
            assert_eq!(String::from_utf8(without_managed_fields(with.as_bytes())).unwrap(), without);
            assert_eq!(String::from_utf8(without_managed_fields(without.as_bytes())).unwrap(), without);
        }
        assert_eq!(with_managed_fields(b"{}", b"[1]"), b"{}");
    }
}
