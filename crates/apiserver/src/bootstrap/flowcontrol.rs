//! The flow-control configuration every cluster has (`apiserver/pkg/apis/flowcontrol/bootstrap`). It is
//! there to be read: this server queues nobody.

use serde_json::{Value, json};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// Name; nominal concurrency shares; lendable percent; queues, hand size and queue length, where it
/// queues.
type Level = (&'static str, i32, i32, Option<[i32; 3]>);

const LEVELS: [Level; 7] = [
    ("system", 30, 33, Some([64, 6, 50])),
    ("node-high", 40, 25, Some([64, 6, 50])),
    ("leader-election", 10, 0, Some([16, 4, 50])),
    ("workload-high", 40, 50, Some([128, 6, 50])),
    ("workload-low", 100, 90, Some([128, 6, 50])),
    ("global-default", 20, 50, Some([128, 6, 50])),
    ("catch-all", 5, 0, None),
];

/// Name, level, precedence, what tells its flows apart, subjects, rules.
type Schema = (&'static str, &'static str, i32, &'static str, &'static [&'static str], &'static [Rule]);

/// What a schema is for.
enum Rule {
    /// Everything.
    All,
    /// Reading paths.
    Paths(&'static [&'static str]),
    /// Verbs on the resources of a group, in all namespaces; and without one.
    Resources(&'static [&'static str], &'static str, &'static [&'static str], bool),
}

const LEASES: &[Rule] = &[Rule::Resources(&["get", "create", "update"], "coordination.k8s.io", &["leases"], false)];
const ALL: &[Rule] = &[Rule::All];
const EVERYBODY: &[&str] = &["group:system:unauthenticated", "group:system:authenticated"];
const CONTROLLER_MANAGER: &str = "user:system:kube-controller-manager";
const SCHEDULER: &str = "user:system:kube-scheduler";

const SCHEMAS: [Schema; 13] = [
    ("exempt", "exempt", 1, "", &["group:system:masters"], ALL),
    ("probes", "exempt", 2, "", EVERYBODY, &[Rule::Paths(&["/healthz", "/readyz", "/livez"])]),
    ("system-leader-election", "leader-election", 100, "ByUser", &[CONTROLLER_MANAGER, SCHEDULER], LEASES),
    (
        "endpoint-controller",
        "workload-high",
        150,
        "ByUser",
        &[CONTROLLER_MANAGER, "account:endpoint-controller", "account:endpointslicemirroring-controller"],
        &[Rule::Resources(&["get", "create", "update"], "", &["endpoints"], false)],
    ),
    ("workload-leader-election", "leader-election", 200, "ByUser", &["account:*"], LEASES),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        &["group:system:nodes"],
        &[
            Rule::Resources(&["*"], "", &["nodes", "nodes/status"], true),
            Rule::Resources(&["*"], "coordination.k8s.io", &["leases"], false),
        ],
    ),
    ("system-nodes", "system", 500, "ByUser", &["group:system:nodes"], ALL),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", &[CONTROLLER_MANAGER], ALL),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", &[SCHEDULER], ALL),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", &["account:*"], ALL),
    ("service-accounts", "workload-low", 9000, "ByUser", &["group:system:serviceaccounts"], ALL),
    ("global-default", "global-default", 9900, "ByUser", EVERYBODY, ALL),
    ("catch-all", "catch-all", 10000, "ByUser", EVERYBODY, ALL),
];

/// The objects of both kinds.
pub(super) fn objects() -> Vec<Value> {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({
            "kind": kind,
            "apiVersion": format!("{GROUP}/v1"),
            "metadata": {"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}},
            "spec": spec,
        })
    };
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let levels = LEVELS.iter().map(|(name, shares, lendable, queuing)| {
        let response = match queuing {
            Some([queues, hand_size, length]) => json!({
                "type": "Queue",
                "queuing": {"queues": queues, "handSize": hand_size, "queueLengthLimit": length},
            }),
            None => json!({"type": "Reject"}),
        };
        let limited = json!({
            "nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response,
        });
        (*name, json!({"type": "Limited", "limited": limited}))
    });
    let levels = [("exempt", exempt)].into_iter().chain(levels);
    let levels = levels.map(|(name, spec)| object("PriorityLevelConfiguration", name, spec));
    let schemas = SCHEMAS.iter().map(|(name, level, precedence, distinguisher, subjects, rules)| {
        let mut spec = json!({
            "matchingPrecedence": precedence,
            "priorityLevelConfiguration": {"name": level},
            "rules": [schema_rules(subjects, rules)],
        });
        if !distinguisher.is_empty() {
            spec["distinguisherMethod"] = json!({"type": distinguisher});
        }
        let mut schema = object("FlowSchema", name, spec);
        let message =
            format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists");
        schema["status"] = json!({"conditions": [{
            "type": "Dangling", "status": "False", "reason": "Found", "message": message,
        }]});
        schema
    });
    levels.chain(schemas).collect()
}

fn schema_rules(subjects: &[&str], rules: &[Rule]) -> Value {
    let subjects: Vec<Value> = subjects
        .iter()
        .filter_map(|subject| subject.split_once(':'))
        .map(|(kind, name)| match kind {
            "group" => json!({"kind": "Group", "group": {"name": name}}),
            "user" => json!({"kind": "User", "user": {"name": name}}),
            _ => json!({"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": "kube-system"}}),
        })
        .collect();
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    let mut resource = |verbs: &[&str], group: &str, names: &[&str], cluster_scope: bool| {
        let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": names, "namespaces": ["*"]});
        if cluster_scope {
            rule["clusterScope"] = true.into();
        }
        resources.push(rule);
    };
    for rule in rules {
        match rule {
            Rule::All => {
                resource(&["*"], "*", &["*"], true);
                paths.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
            }
            Rule::Paths(urls) => paths.push(json!({"verbs": ["get"], "nonResourceURLs": urls})),
            Rule::Resources(verbs, group, names, cluster_scope) => resource(verbs, group, names, *cluster_scope),
        }
    }
    let mut rules = json!({"subjects": subjects});
    for (field, list) in [("resourceRules", resources), ("nonResourceRules", paths)] {
        if !list.is_empty() {
            rules[field] = list.into();
        }
    }
    rules
}
