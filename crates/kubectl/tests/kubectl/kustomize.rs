//! `kubectl kustomize`

use crate::common::{DEPLOYMENT, World};

fn base() -> World {
    let world = World::alone();
    world.file("base/web.yaml", DEPLOYMENT);
    world.file("base/kustomization.yaml", "resources: [web.yaml]\n");
    world
}

#[test]
fn names_are_followed() {
    let world = World::alone();
    world.file(
        "here/all.yaml",
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: \
         RoleBinding\nmetadata: {name: may}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: \
         reader}\nsubjects:\n- {kind: ServiceAccount, name: robot}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: \
         Role\nmetadata: {name: reader}\n---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: \
         quick}\nprovisioner: x\n",
    );
    world.file("here/kustomization.yaml", "namePrefix: a-\nnamespace: b\nresources: [all.yaml]\n");
    world.check(
        "kustomize here",
        "
        apiVersion: storage.k8s.io/v1
        kind: StorageClass
        metadata:
          name: a-quick
        provisioner: x
        ---
        apiVersion: v1
        kind: ServiceAccount
        metadata:
          name: a-robot
          namespace: b
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata:
          name: a-reader
          namespace: b
        ---
        apiVersion: rbac.authorization.k8s.io/v1
        kind: RoleBinding
        metadata:
          name: a-may
          namespace: b
        roleRef:
          apiGroup: rbac.authorization.k8s.io
          kind: Role
          name: a-reader
        subjects:
        - kind: ServiceAccount
          name: a-robot
          namespace: b",
    );
}

#[test]
fn targets_components_and_replacements() {
    let world = base();
    world.file(
        "part/kustomization.yaml",
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n- target: {kind: Deploy.*, labelSelector: \
         app=web}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 7}\n- target: {labelSelector: \
         app=other}\n  patch: |-\n    - {op: remove, path: /spec}\n",
    );
    world.file(
        "top/kustomization.yaml",
        "resources: [../base]\ncomponents: [../part]\nreplacements:\n- source: {kind: Deployment, name: web, fieldPath: \
         spec.replicas}\n  targets:\n  - select: {kind: Deployment}\n    fieldPaths: [metadata.annotations.count]\n    \
         options: {create: true}\n- source: {kind: Deployment, name: web}\n  targets:\n  - select: {name: web}\n    \
         fieldPaths: ['spec.template.spec.containers.[name=web].image']\n    options: {delimiter: ':', index: 0}\n",
    );
    let built = world.run("kustomize top");
    for part in ["replicas: 7", "count: 7", "image: web:1.27"] {
        assert!(built.contains(part), "{part} in\n{built}");
    }
}

#[test]
fn what_is_not_there_or_not_done() {
    let world = base();
    let with = |text: &str| {
        world.file("x/kustomization.yaml", &format!("resources: [../base]\n{text}\n"));
        world.run("kustomize x")
    };
    let missing = with("patches:\n- patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: nope}}'");
    assert_eq!(
        missing,
        "! error: no resource matches strategic merge patch \"Deployment.v1.apps/nope.[noNs]\": no matches for Id Deployment.v1.apps/nope.[noNs]; failed to find unique target for patch \
         Deployment.v1.apps/nope.[noNs]\nexit 1\n"
    );
    assert!(with("colour: red").contains("unknown field \"colour\""));
    assert!(with("vars: [{name: A}]").contains("'vars' of a kustomization is not supported here"));
    assert!(with("helmCharts: [{name: a}]").contains("must specify --enable-helm"));
    world.file("secret.yaml", DEPLOYMENT);
    assert!(with("patches: [{path: ../secret.yaml}]").contains("is not in or below"));
    assert!(
        with("patches:\n- patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, $patch: delete}'")
            .is_empty()
    );
}

#[test]
fn generated_names_follow_their_contents_through_layers() {
    let world = base();
    world.file(
        "base/kustomization.yaml",
        "resources: [web.yaml]\nconfigMapGenerator:\n- {name: tunes, literals: [a=b]}\n",
    );
    world.file(
        "top/kustomization.yaml",
        "resources: [../base]\nconfigMapGenerator:\n- {name: tunes, behavior: merge, literals: [c=d]}\npatches:\n- patch: \
         |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: web}\n    spec:\n      template:\n        \
         spec:\n          volumes: [{name: v, configMap: {name: tunes}}]\n",
    );
    let built = world.run("kustomize top");
    let name = built.lines().find_map(|line| line.trim().strip_prefix("name: tunes-")).unwrap_or_default();
    assert_eq!(built.matches(&format!("tunes-{name}")).count(), 2, "{built}");
    assert!(built.contains("  a: b\n  c: d\n"), "{built}");
}

#[test]
fn what_is_wrong_with_a_kustomization() {
    let world = World::alone();
    world.file("x.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n");
    let mut count = 0;
    let mut refused = |config: &str, problem: &str| {
        count += 1;
        let folder = format!("k{count}");
        world.file(&format!("{folder}/x.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n");
        world.file(&format!("{folder}/kustomization.yaml"), config);
        world.check(&format!("kustomize {folder}"), &format!("! error: {problem}\nexit 1"));
    };
    refused("kind: Kustomization\n", "kustomization.yaml is empty");
    refused(
        "commonLabels: {a: 1}\n",
        "invalid Kustomization: json: cannot unmarshal number into Go struct field Kustomization.commonLabels of type string",
    );
    refused(
        "resources: x.yaml\n",
        "invalid Kustomization: json: cannot unmarshal string into Go struct field Kustomization.resources of type []string",
    );
    refused(
        "resources: [x.yaml]\nsortOptions: {order: any}\n",
        "the field 'sortOptions.order' must be one of [fifo, legacy]",
    );
    refused(
        "resources: [.]\n",
        "accumulating resources: accumulation err='accumulating resources from '.': 'k5' must resolve to a file': cycle detected: candidate root 'k5' contains visited root 'k5'",
    );
    refused(
        "resources: [x.yaml, ./x.yaml]\n",
        "accumulating resources: accumulation err='merging resources from './x.yaml': may not add resource with an already registered id: ConfigMap.v1.[noGrp]/x.[noNs]': must build at directory: 'k6/x.yaml': file is not directory",
    );
    refused(
        "resources: [x.yaml]\nreplicas: [{name: x, count: 2}]\n",
        "resource with name x does not match a config with the following GVK [Deployment.[noVer].[noGrp] StatefulSet.[noVer].[noGrp] ReplicaSet.[noVer].[noGrp] ReplicationController.[noVer].[noGrp]]",
    );
    refused(
        "configMapGenerator: [{name: made, literals: [a]}]\n",
        "loading KV pairs: literal sources [a]: invalid literal source a, expected key=value",
    );
    refused(
        "configMapGenerator: [{name: made, literals: [a=1, a=2]}]\n",
        "configmap made illegally repeats the key `a`",
    );
    refused(
        "resources: [x.yaml]\npatches: [{target: {kind: ConfigMap}, patch: '[{\"op\": \"remove\", \"path\": \"/data/a\"}]'}]\n",
        "remove operation does not apply: doc is missing path: \"/data/a\": missing value",
    );
}

#[test]
fn origins_are_told() {
    let world = World::alone();
    world.file("base/d.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: d\n");
    world.file("base/kustomization.yaml", "resources: [d.yaml]\nconfigMapGenerator:\n- name: b\n  literals: [a=1]\n");
    world.file("top/s.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: s\n");
    world.file("top/Kustomization", "resources: [../base, s.yaml]\nbuildMetadata: [originAnnotations]\n");
    let built = world.run("kustomize top");
    for origin in [
        "      path: ../base/d.yaml\n",
        "      path: s.yaml\n",
        "      configuredIn: ../base/kustomization.yaml\n      configuredBy:\n        apiVersion: builtin\n        kind: \
         ConfigMapGenerator\n",
    ] {
        assert!(built.contains(origin), "{built}");
    }
}
