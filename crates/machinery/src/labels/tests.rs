use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
use proptest::prelude::*;

use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
}

#[test]
fn selectors_parse_match_and_print() {
    let web = labels(&[("app", "web"), ("tier", "front"), ("weight", "7")]);
    let cases = [
        ("", true, ""),
        ("app=web", true, "app=web"),
        ("app == web , tier!=back", true, "app==web,tier!=back"),
        ("app in (api, web),tier", true, "app in (api,web),tier"),
        ("app notin (web)", false, "app notin (web)"),
        ("none notin (x)", true, "none notin (x)"),
        ("!none", true, "!none"),
        ("!app", false, "!app"),
        ("weight>5,weight<8", true, "weight>5,weight<8"),
        ("app>1", false, "app>1"),
        ("x in ()", false, "x in ()"),
        ("x notin (,a)", true, "x notin (,a)"),
        ("app=", false, "app="),
        ("in in (in,notin)", false, "in in (in,notin)"),
        ("z,a", false, "a,z"),
    ];
    for (text, matches, printed) in cases {
        let selector = Selector::parse(text).unwrap();
        assert_eq!((selector.matches(&web), selector.to_string().as_str()), (matches, printed), "{text}");
    }
    assert!(!Selector::nothing().matches(None));
    assert!(Selector::everything().matches(None));
}

#[test]
fn errors_are_upstreams() {
    let cases = [
        ("a,", "found '', expected: identifier after ','"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("=a", "found '=', expected: !, identifier, or 'end of string'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a=!", "unable to parse requirement: found '!', expected: identifier"),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), message, "{text}");
    }
    let message = Selector::parse("-a").unwrap_err().to_string();
    assert!(
        message.starts_with("unable to parse requirement: <nil>: Invalid value: \"-a\": name part must consist of")
    );
    let message = Selector::parse("a=-b").unwrap_err().to_string();
    assert!(
        message.starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must be")
    );
}

#[test]
fn label_selectors_become_selectors() {
    let expression = |operator: &str, values: &[&str]| LabelSelectorRequirement {
        key: "tier".into(),
        operator: operator.into(),
        values: Some(values.iter().map(|value| (*value).into()).collect()),
    };
    let selector = |expression| LabelSelector {
        match_labels: Some(labels(&[("app", "web")])),
        match_expressions: Some(vec![expression]),
    };
    let read = Selector::from_label_selector(Some(&selector(expression("In", &["b", "a"])))).unwrap();
    assert_eq!(read.to_string(), "app=web,tier in (a,b)");
    let error = Selector::from_label_selector(Some(&selector(expression("Near", &[])))).unwrap_err();
    assert_eq!(error.to_string(), "\"Near\" is not a valid label selector operator");
    assert!(Selector::from_label_selector(Some(&LabelSelector::default())).unwrap().is_everything());
    assert_eq!(format_label_selector(None), "<none>");
    let problems = validate_label_selector(Some(&selector(expression("In", &[]))), &Path::new("spec.selector"));
    assert_eq!(
        crate::field::aggregate(&problems),
        "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
    );
}

fn any_requirement() -> impl Strategy<Value = String> {
    let name = "[a-c]([-_.a-c]{0,3}[a-c])?";
    prop_oneof![
        (name, prop::sample::select(vec!["=", "==", "!="]), "([a-c]{0,3})?").prop_map(|(k, o, v)| format!("{k}{o}{v}")),
        (name, prop::sample::select(vec!["in", "notin"]), prop::collection::vec("[a-c]{1,3}", 1..4))
            .prop_map(|(k, o, v)| format!("{k} {o} ({})", v.join(","))),
        name.prop_map(|key| format!("!{key}")),
        name.prop_map(|key| key),
        (name, prop::sample::select(vec![">", "<"]), "[0-9]{1,3}").prop_map(|(k, o, v)| format!("{k}{o}{v}")),
    ]
}

proptest! {
    #[test]
    fn selectors_read_back(requirements in prop::collection::vec(any_requirement(), 0..5)) {
        let selector = Selector::parse(&requirements.join(",")).unwrap();
        prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap().to_string(), selector.to_string());
    }

    #[test]
    fn anything_is_a_selector_or_an_error(text in "[a-b=!<>(), in]{0,30}|.*") {
        let _ = Selector::parse(&text);
        let _ = crate::fields::Selector::parse(&text);
    }
}
