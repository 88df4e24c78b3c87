use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pods() -> Value {
    json!({"kind": "List", "items": [
        {"metadata": {"name": "a", "labels": {"app.io/x": "1"}}, "status": {"phase": "Running", "restarts": 2, "ready": true}},
        {"metadata": {"name": "b"}, "status": {"phase": "Pending", "restarts": 0, "ready": false}},
        {"metadata": {"name": "c"}, "status": {"phase": "Running", "restarts": 7, "ready": true}},
    ]})
}

#[test]
fn templates_render_as_kubectls() {
    let cases = [
        ("plain text", "plain text"),
        ("kind is {.kind}", "kind is List"),
        ("{$.kind}{@.kind}", "ListList"),
        ("{.items[*].metadata.name}", "a b c"),
        ("{.items[0].metadata.name}", "a"),
        ("{.items[-1].metadata.name}", "c"),
        ("{.items[0:2].metadata.name}", "a b"),
        ("{.items[1:].metadata.name}", "b c"),
        ("{.items[::2].metadata.name}", "a c"),
        ("{.items[-2:].metadata.name}", "b c"),
        ("{.items[0,2].metadata.name}", "a c"),
        ("{.items[*]['metadata.name', 'status.phase']}", "a b c Running Pending Running"),
        ("{.items[0].metadata.labels}", r#"{"app.io/x":"1"}"#),
        (r"{.items[0].metadata.labels.app\.io/x}", "1"),
        (r"{.items[0].metadata.labels['app\.io/x']}", "1"),
        ("{..name}", "a b c"),
        ("{.items[?(@.status.phase==\"Running\")].metadata.name}", "a c"),
        ("{.items[?(@.status.phase!='Running')].metadata.name}", "b"),
        ("{.items[?(@.status.restarts>1)].metadata.name}", "a c"),
        ("{.items[?(@.status.ready==false)].metadata.name}", "b"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        (r#"{range .items[*]}{.metadata.name}{"\t"}{.status.restarts}{"\n"}{end}"#, "a\t2\nb\t0\nc\t7\n"),
        (r#"{range .items[*]}[{.metadata.name},{.status.ready}] {end}done"#, "[a,true] [b,false] [c,true] done"),
        ("{.items[*].metadata.labels.none}", ""),
        ("{.items[0].*}", r#"{"labels":{"app.io/x":"1"},"name":"a"} {"phase":"Running","ready":true,"restarts":2}"#),
        ("{.kind}}", "List}"),
    ];
    for (template, expected) in cases {
        let path = JsonPath::parse(template).unwrap().allow_missing_keys(true);
        assert_eq!(path.render(&pods()).as_deref(), Ok(expected), "{template}");
    }
}

/// Output and errors recorded from `kubectl label --local -f … -o jsonpath=… none-` of kubectl 1.32.
#[test]
fn templates_render_as_recorded() {
    let recorded: Value = serde_json::from_str(include_str!("../../tests/data/jsonpath.json")).unwrap();
    let mut different = Vec::new();
    for case in recorded["cases"].as_array().unwrap() {
        let template = case["template"].as_str().unwrap();
        let actual = match JsonPath::parse(template) {
            Err(error) => json!({"template": template, "parse_error": error.to_string()}),
            Ok(path) => match path.allow_missing_keys(true).render(&recorded["data"]) {
                Ok(output) => json!({"template": template, "output": output}),
                Err(error) => json!({"template": template, "error": error.to_string()}),
            },
        };
        if &actual != case {
            different.push(format!("kubectl: {case}\nours:    {actual}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn errors_are_upstreams() {
    let cases = [
        ("{.items", "unclosed action"),
        ("{.items[0}", "unterminated array"),
        ("{.items[x]}", "invalid array index x"),
        ("{\"a}", "unterminated quoted string"),
        ("{.items[?(@.a==1]}", "unterminated filter"),
        ("{....a}", "invalid multiple recursive descent"),
        ("{#}", "unrecognized character in action: U+0023 '#'"),
        ("{end}", "not in range, nothing to end"),
        ("{foo}", "unrecognized identifier foo"),
        ("{.none}", "none is not found"),
        ("{.items[9]}", "array index out of bounds: index 9, length 3"),
        ("{.kind[0]}", "string is not array or slice"),
        ("{.items[2:1]}", "starting index 2 is greater than ending index 1"),
        ("{.items[?(@.status.phase==1)]}", "incompatible types for comparison"),
    ];
    for (template, expected) in cases {
        let data = pods();
        let message = JsonPath::parse(template).and_then(|path| path.render(&data)).unwrap_err().to_string();
        assert_eq!(message, expected, "{template}");
    }
}

#[test]
fn relaxed_expressions_become_templates() {
    for expression in ["metadata.name", ".metadata.name", "{metadata.name}", "{.metadata.name}"] {
        assert_eq!(relaxed(expression).as_deref(), Ok("{.metadata.name}"));
    }
    assert!(relaxed("{.a").is_err());
}

proptest! {
    #[test]
    fn anything_is_a_template_or_an_error(template in r#"[{}\[\]?(@.a*:,0-9'"=<>\\ $b)]{0,40}"#) {
        if let Ok(path) = JsonPath::parse(&template) {
            let _ = path.render(&pods());
        }
    }
}
