use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What `kubectl create configmap n --from-literal=a=b --from-literal=c=d --dry-run=client` gives templates.
fn config_map() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b", "c": "d"},
        "metadata": {"name": "n", "creationTimestamp": null},
    })
}

/// Output and errors recorded from kubectl 1.32.
#[test]
fn templates_render_as_kubectls() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/go-template.json")).unwrap();
    let mut different = Vec::new();
    for case in &cases {
        let template = case["template"].as_str().unwrap();
        let rendered = Template::parse(template).and_then(|template| template.render(&config_map()));
        let expected = case.get("output").or(case.get("error")).and_then(Value::as_str).unwrap();
        let actual = match (&rendered, case.get("output")) {
            (Ok(output), Some(_)) => output.clone(),
            (Err(error), None) => error.to_string(),
            (other, _) => format!("{other:?}"),
        };
        if actual != expected {
            different.push(format!("{template}\n  kubectl: {expected}\n  ours:    {actual}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

proptest! {
    #[test]
    fn anything_is_a_template_or_an_error(template in r#"(\{\{|\}\}|-| |range|if|end|else|\.a|\.data|\$x|:=|\||"s"|\(|\)|len|printf|%d|1|,){0,20}"#) {
        if let Ok(template) = Template::parse(&template) {
            let _ = template.render(&config_map());
        }
    }

    #[test]
    fn any_text_is_a_template_or_an_error(template in ".{0,40}") {
        let _ = Template::parse(&format!("{{{{{template}"));
    }
}
