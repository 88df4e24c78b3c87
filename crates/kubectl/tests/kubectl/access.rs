//! `kubectl auth reconcile`

use crate::common::World;

const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader}\nrules:\n";
const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: may}\nroleRef: {apiGroup: \
                       rbac.authorization.k8s.io, kind: Role, name: reader}\nsubjects:\n";

fn rule(verbs: &str) -> String {
    format!("{ROLE}- {{apiGroups: [''], resources: [pods], verbs: [{verbs}]}}\n")
}

fn subject(name: &str) -> String {
    format!("{BINDING}- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: {name}}}\n")
}

#[test]
fn roles_are_united() {
    let world = World::new();
    world.file("role.yaml", &rule("get, list"));
    world.check(
        "auth reconcile -f role.yaml",
        "
        role.rbac.authorization.k8s.io/reader reconciled
        ! \treconciliation required create
        ! \tmissing rules added:
        ! \t\t{Verbs:[get list] APIGroups:[] Resources:[pods] ResourceNames:[] NonResourceURLs:[]}",
    );
    world.check("auth reconcile -f role.yaml", "role.rbac.authorization.k8s.io/reader reconciled");
    world.file("role.yaml", &rule("get, watch"));
    world.check(
        "auth reconcile -f role.yaml",
        "
        role.rbac.authorization.k8s.io/reader reconciled
        ! \treconciliation required update
        ! \tmissing rules added:
        ! \t\t{Verbs:[watch] APIGroups:[] Resources:[pods] ResourceNames:[] NonResourceURLs:[]}",
    );
    world.check("get role reader -o jsonpath={.rules[*].verbs}", "[\"get\",\"list\"] [\"watch\"]");
    world.run("auth reconcile -f role.yaml --remove-extra-permissions");
    world.check("get role reader -o jsonpath={.rules[*].verbs}", "[\"get\",\"watch\"]");
}

#[test]
fn subjects_are_united() {
    let world = World::new();
    world.file("binding.yaml", &subject("ada"));
    world.run("auth reconcile -f binding.yaml");
    world.file("binding.yaml", &subject("bob"));
    world.check(
        "auth reconcile -f binding.yaml --dry-run=client",
        "
        rolebinding.rbac.authorization.k8s.io/may reconciled (dry run)
        ! \treconciliation required update
        ! \tmissing subjects added:
        ! \t\t{Kind:User APIGroup:rbac.authorization.k8s.io Name:bob Namespace:}",
    );
    world.check("get rolebinding may -o jsonpath={.subjects[*].name}", "ada");
    world.run("auth reconcile -f binding.yaml");
    world.check("get rolebinding may -o jsonpath={.subjects[*].name}", "ada bob");
    world.run("auth reconcile -f binding.yaml --remove-extra-subjects");
    world.check("get rolebinding may -o jsonpath={.subjects[*].name}", "bob");
}

#[test]
fn subjects_belong_to_bindings() {
    let world = World::new();
    world.run("create configmap settings");
    world.check(
        "set subject configmap settings --user=ada",
        "! error: configmaps/settings setting subjects is only supported for RoleBinding/ClusterRoleBinding\nexit 1",
    );
}
