use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Manifests, what kubectl 1.32 prints of them by `kubectl label --local -f … -o yaml none-`, and what it
/// says of those it cannot read.
#[test]
fn manifests_read_and_print_as_kubectls() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/yaml.json")).unwrap();
    for case in &cases {
        let text = |name: &str| case[name].as_str().unwrap();
        let (mut output, mut error) = (Vec::new(), String::new());
        for read in stream(text("input")) {
            match read {
                Ok(mut document) => {
                    // This kubectl command leaves empty labels behind.
                    document.value["metadata"].as_object_mut().unwrap().entry("labels").or_insert(json!({}));
                    output.push(emit(&document.value));
                }
                Err(problem) => error = problem.to_string(),
            }
        }
        assert_eq!((output.concat().as_str(), error.as_str()), (text("output"), text("error")), "{}", text("input"));
    }
}

#[test]
fn duplicate_keys_are_found() {
    let found = document("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n").unwrap();
    assert_eq!(found.value, json!({"a": 3, "b": {"c": 2}}));
    assert_eq!(found.duplicates, ["line 4: key \"c\" already set in map", "line 5: key \"a\" already set in map"]);
}

#[test]
fn streams_split_into_documents() {
    let text = "# only a comment\n---\na: 1\n---\n\n--- # and one\nb: |\n  x\n  ---\n";
    assert_eq!(parse(text).unwrap(), [json!({"a": 1}), json!({"b": "x\n---\n"})]);
    assert_eq!(parse("{\"a\": 1}\n{\"b\": 2}\n").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
    assert_eq!(parse("{\"a\": 1}\n---\nb: 2\n").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
    assert_eq!(parse("{a: 1}\n").unwrap(), [json!({"a": 1})]);
}

#[test]
fn stream_errors_are_kubectls() {
    let message = |text| parse(text).unwrap_err().to_string();
    assert_eq!(message("a: 1\n---foo\n"), "invalid Yaml document separator: foo");
    for (text, words) in [
        ("a: [b", "line 1: did not find expected ',' or ']'"),
        ("x: y\na: {b\n", "line 2: did not find expected ',' or '}'"),
        ("a: \"b", "line 2: found unexpected end of stream"),
        ("a: b: c", "mapping values are not allowed in this context"),
        ("\ta: b", "found character that cannot start any token"),
        ("# c\n\ta: b", "line 2: found character that cannot start any token"),
        ("a: b\n\tc: d: e", "line 2: found a tab character that violates indentation"),
        ("a:\n  b: c\n\td: e", "line 3: found a tab character that violates indentation"),
        ("a: ]", "did not find expected node content"),
        ("a: b\n]", "line 1: did not find expected key"),
    ] {
        assert_eq!(message(text), format!("error converting YAML to JSON: yaml: {words}"), "{text}");
    }
    assert_eq!(message("{\"a\": 1]\n"), "json: offset 8: invalid character ']' after object key:value pair");
    assert_eq!(
        message("---\na: 1\nb: c: d\n"),
        "error converting YAML to JSON: yaml: line 3: mapping values are not allowed in this context"
    );
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(document(&text).unwrap_err().message(), "yaml: document contains excessive aliasing");
}

fn any_text() -> impl Strategy<Value = String> {
    // Separators of lines other than LF are written as they are, and mean something else when read: as in
    // goyaml.
    let special = prop::sample::select(vec![
        " ",
        "\n",
        "\t",
        ":",
        "- ",
        "#",
        "'",
        "\"",
        "\\",
        "|",
        ">",
        "yes",
        "1e3",
        "0x1",
        "~",
        "é",
        "😀",
        "word ",
        "? ",
        "{",
        "[",
        "&",
        "*",
        "!",
        "%",
        "@",
        ",",
        "long words to fold ",
    ]);
    prop_oneof![
        prop::collection::vec(special, 0..12).prop_map(|parts| parts.concat()),
        any::<String>().prop_map(|text| text.replace(['\u{85}', '\u{2028}', '\u{2029}'], "")),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9f64).prop_map(|float| Value::from(float + 0.5)),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any_text(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_value()) {
        let value = json!({ "value": value });
        prop_assert_eq!(document(&emit(&value)).unwrap().value, value);
    }

    #[test]
    fn anything_is_yaml_or_an_error(text in r#"[\[\]{}:,"' a1\-\n#&*!|>%@?<~.]{0,60}"#) {
        if let Ok(document) = document(&text) {
            let _ = emit(&document.value);
        }
    }

    #[test]
    fn any_text_is_yaml_or_an_error(text in any::<String>()) {
        let _ = parse(&text);
    }
}

#[test]
fn odd_input_is_read_or_refused() {
    assert_eq!(from_str("\u{feff}a: 1\r\nb: x\r\n").unwrap(), json!({"a": 1, "b": "x"}));
    assert!(document(&"[".repeat(100_000)).is_err());
    let nested: String = (0..3000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(document(&nested).is_err());
    assert!(document(&"- ".repeat(100_000)).is_err());
    let aliases: String = (1..40)
        .map(|level| format!("a{level}: &a{level} {}*a{}{}\n", "[".repeat(100), level - 1, "]".repeat(100)))
        .collect();
    assert!(document(&format!("a0: &a0 x\n{aliases}")).is_err());
    assert!(document(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).is_ok());
}
