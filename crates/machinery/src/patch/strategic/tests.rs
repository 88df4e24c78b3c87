use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pods() -> Strategic<'static> {
    Strategic::for_kind(&GroupVersionKind::from_api_version("v1", "Pod")).unwrap()
}

fn deployments() -> Strategic<'static> {
    Strategic::for_kind(&GroupVersionKind::from_api_version("apps/v1", "Deployment")).unwrap()
}

fn containers(names: &[&str]) -> Value {
    json!({"spec": {"containers": names.iter().map(|name| json!({"name": name, "image": "i"})).collect::<Vec<_>>()}})
}

fn names(object: &Value) -> Vec<&str> {
    let items = object["spec"]["containers"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn lists_merge_by_key_and_new_items_come_first() {
    let patch = json!({"spec": {"containers": [{"name": "c", "image": "j"}, {"name": "a", "image": "k"}]}});
    let patched = pods().apply(&containers(&["a", "b"]), &patch).unwrap();
    assert_eq!(names(&patched), ["c", "a", "b"]);
    assert_eq!(patched["spec"]["containers"][1]["image"], "k");
}

#[test]
fn directives_are_carried_out() {
    let target = containers(&["a", "b"]);
    let apply = |patch: Value| pods().apply(&target, &patch).unwrap();
    let deleted = apply(json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}));
    assert_eq!(names(&deleted), ["b"]);
    let replaced = apply(json!({"spec": {"containers": [{"name": "x"}, {"$patch": "replace"}]}}));
    assert_eq!(names(&replaced), ["x"]);
    let ordered = apply(json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}));
    assert_eq!(names(&ordered), ["b", "a"]);
    let map = apply(json!({"spec": {"$patch": "replace", "nodeName": "n"}}));
    assert_eq!(map, json!({"spec": {"nodeName": "n"}}));
    let primitive = json!({"metadata": {"finalizers": ["a", "b"]}});
    let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}});
    let patched = pods().apply(&primitive, &patch).unwrap();
    assert_eq!(patched, json!({"metadata": {"finalizers": ["c", "b"]}}));
}

#[test]
fn retained_keys_clear_the_others() {
    let target = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}});
    let modified = json!({"spec": {"strategy": {"type": "Recreate"}}});
    let patch = deployments().three_way(&Value::Null, &modified, &target).unwrap();
    assert_eq!(patch, json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}));
    assert_eq!(deployments().apply(&target, &patch).unwrap(), modified);
}

#[test]
fn bad_patches_are_told() {
    let error = |patch: Value| pods().apply(&containers(&["a"]), &patch).unwrap_err().to_string();
    assert_eq!(
        error(json!({"spec": {"containers": [{"image": "x"}]}})),
        "map: map[image:x] does not contain declared merge key: name"
    );
    assert_eq!(error(json!({"spec": {"$patch": "bogus"}})), "unknown patch type: bogus in map: map[]");
    assert_eq!(
        error(json!({"spec": {"$setElementOrder/containers": 1}})),
        "invalid patch format of setElementOrder list"
    );
}

#[test]
fn apply_keeps_what_others_added() {
    let original = json!({"spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}]}});
    let modified = json!({"spec": {"containers": [{"name": "a", "image": "2"}]}});
    let current = json!({"spec": {"containers": [
        {"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}], "imagePullPolicy": "Always"},
        {"name": "sidecar", "image": "s"}]}});
    let patch = pods().three_way(&original, &modified, &current).unwrap();
    assert_eq!(
        patch,
        json!({"spec": {
            "$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "2", "env": null}]}})
    );
    assert_eq!(
        pods().apply(&current, &patch).unwrap(),
        json!({"spec": {"containers": [
            {"name": "a", "image": "2", "imagePullPolicy": "Always"}, {"name": "sidecar", "image": "s"}]}})
    );
}

#[test]
fn new_items_take_the_places_of_deleted_ones() {
    let applied = containers(&["a", "b"]);
    let modified = containers(&["b", "new"]);
    let current = containers(&["a", "b", "theirs"]);
    let patch = pods().three_way(&applied, &modified, &current).unwrap();
    assert_eq!(names(&pods().apply(&current, &patch).unwrap()), ["b", "theirs", "new"]);
}

/// Pods with the kinds of lists there are: merged maps, merged scalars, replaced ones.
fn any_pod() -> impl Strategy<Value = Value> {
    let env = prop::collection::btree_map("[A-C]", "[xy]", 0..3)
        .prop_map(|all| all.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>());
    let container = ("[ij]", env, prop::collection::vec("[pq]", 0..3));
    let containers = prop::collection::btree_map("[a-d]", container, 1..4).prop_map(|all| {
        all.into_iter()
            .map(|(name, (image, env, args))| json!({"name": name, "image": image, "env": env, "args": args}))
            .collect::<Vec<_>>()
    });
    let finalizers = prop::collection::btree_set("[a-d]", 0..4);
    let labels = prop::collection::btree_map("[a-c]", "[xy]", 0..3);
    (containers.prop_shuffle(), finalizers, labels, any::<Option<bool>>()).prop_map(
        |(containers, finalizers, labels, flag)| {
            let mut pod =
                json!({"metadata": {"finalizers": finalizers, "labels": labels}, "spec": {"containers": containers}});
            if let Some(flag) = flag {
                pod["spec"]["hostNetwork"] = flag.into();
            }
            pod
        },
    )
}

proptest! {
    #[test]
    fn applying_a_diff_gives_the_target(original in any_pod(), modified in any_pod()) {
        let patch = pods().diff(&original, &modified).unwrap();
        prop_assert_eq!(pods().apply(&original, &patch).unwrap(), modified);
    }

    #[test]
    fn three_ways_give_the_target_where_nobody_else_wrote(original in any_pod(), modified in any_pod()) {
        let patch = pods().three_way(&original, &modified, &original).unwrap();
        prop_assert_eq!(pods().apply(&original, &patch).unwrap(), modified.clone());
        let again = pods().three_way(&modified, &modified, &modified).unwrap();
        prop_assert_eq!(again, json!({}));
    }

    #[test]
    fn any_patch_is_applied_or_refused(target in any_json(), patch in any_json()) {
        let _ = pods().apply(&target, &patch);
        let _ = pods().diff(&target, &patch);
        let _ = pods().three_way(&patch, &target, &patch);
        let _ = crate::patch::json(&target, &patch);
        let _ = crate::patch::merge(&target, &patch);
        let _ = crate::patch::merge_three_way(&target, &patch, &target);
    }

    #[test]
    fn merge_patches_give_the_target(original in any_pod(), modified in any_pod()) {
        let patch = crate::patch::merge_diff(&original, &modified);
        prop_assert_eq!(crate::patch::merge(&original, &patch), modified);
    }

    #[test]
    fn any_object_passes_through_the_strict_checks(object in any_json()) {
        let kind = GroupVersionKind::from_api_version("v1", "Pod");
        let _ = crate::schema::unknown_fields(&kind, &object);
        let _ = crate::schema::type_mismatch(&kind, &object);
    }
}

/// Objects of the words that patches know, in any arrangement.
fn any_json() -> impl Strategy<Value = Value> {
    let word = || {
        prop::sample::select(vec![
            "spec",
            "containers",
            "name",
            "env",
            "$patch",
            "$retainKeys",
            "$setElementOrder/containers",
            "metadata",
            "$deleteFromPrimitiveList/finalizers",
            "finalizers",
            "volumes",
            "replace",
            "delete",
            "merge",
            "a",
            "op",
            "path",
            "/spec",
            "remove",
            "value",
            "$setElementOrder/finalizers",
        ])
    };
    let leaf = prop_oneof![Just(Value::Null), word().prop_map(Value::from), Just(json!(1)), Just(json!(true))];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(key, value)| (key.into(), value)).collect())),
        ]
    })
}
