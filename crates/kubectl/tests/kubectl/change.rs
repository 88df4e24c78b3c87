//! `kubectl label`, `annotate`, `scale`, `patch`, `set`, `edit`, `replace`, `rollout`

use crate::common::{DEPLOYMENT, World};

fn with_deployment() -> World {
    let world = World::new();
    world.file("web.yaml", DEPLOYMENT);
    world.run("apply -f web.yaml");
    world
}

#[test]
fn labels_and_annotations() {
    let world = with_deployment();
    world.check("label deploy web a=b", "deployment.apps/web labeled");
    world.check("label deploy web a=c", "! error: 'a' already has a value (b), and --overwrite is false\nexit 1");
    world.check("label deploy web a=c --overwrite", "deployment.apps/web labeled");
    world.check("label deploy web a-", "deployment.apps/web unlabeled");
    world.check("label deploy web a-", "label \"a\" not found.\ndeployment.apps/web not labeled");
    world.check("annotate deploy web k=v", "deployment.apps/web annotated");
    world.check("label deploy", "! error: at least one label update is required\nexit 1");
}

#[test]
fn scale() {
    let world = with_deployment();
    world.check("scale deploy web --replicas=5", "deployment.apps/web scaled");
    world.check("get deploy web -o jsonpath={.spec.replicas}", "5");
    world.check(
        "scale deploy web --replicas=1 --current-replicas=3",
        "! error: Expected replicas to be 3, was 5\nexit 1",
    );
    world.check("scale deploy web", "! error: required flag(s) \"replicas\" not set\nexit 1");
}

#[test]
fn patches() {
    let world = with_deployment();
    world.check("patch deploy web -p '{\"spec\":{\"replicas\":3}}'", "deployment.apps/web patched");
    world.check("patch deploy web -p '{\"spec\":{\"replicas\":3}}'", "deployment.apps/web patched (no change)");
    let line = "patch deploy web --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":1}]'";
    world.check(line, "deployment.apps/web patched");
    world.check(
        "patch deploy web",
        "! error: must specify --patch or --patch-file containing the contents of the patch\nexit 1",
    );
}

#[test]
fn set() {
    let world = with_deployment();
    world.check("set image deploy/web web=nginx:2", "deployment.apps/web image updated");
    world.check("set image deploy/web web=nginx:2", "");
    world.check("set image deploy/web nope=x", "! error: unable to find container named \"nope\"\nexit 1");
    world.check("set env deploy/web A=b", "deployment.apps/web env updated");
    world.check("set env deploy/web --list", "# Deployment web, container web\nA=b");
    world.check("set resources deploy/web --limits=cpu=200m", "deployment.apps/web resource requirements updated");
}

#[test]
fn edit() {
    let world = with_deployment();
    *world.edit.borrow_mut() = Some(Box::new(|text| text.replace("replicas: 2", "replicas: 4")));
    world.check("edit deploy web", "deployment.apps/web edited");
    world.check("get deploy web -o jsonpath={.spec.replicas}", "4");
    world.check("edit deploy web", "! Edit cancelled, no changes made.");
}

#[test]
fn rollout() {
    let world = with_deployment();
    world.check("rollout pause deploy/web", "deployment.apps/web paused");
    world.check("rollout pause deploy/web", "! error: deployments.apps \"web\" is already paused\nexit 1");
    world.check("rollout resume deploy/web", "deployment.apps/web resumed");
    world.check("rollout restart deploy/web", "deployment.apps/web restarted");
    world.check("rollout undo deploy/web", "! error: no rollout history found for deployment \"web\"\nexit 1");
    world.check(
        "rollout status deploy/nope",
        "! Error from server (NotFound): deployments.apps \"nope\" not found\nexit 1",
    );
}

#[test]
fn replace_and_delete() {
    let world = with_deployment();
    world.check("replace -f web.yaml", "deployment.apps/web replaced");
    world.check("delete -f web.yaml", "deployment.apps \"web\" deleted");
    world.check("delete deploy web", "! Error from server (NotFound): deployments.apps \"web\" not found\nexit 1");
    world.check("delete deploy web --ignore-not-found", "");
    world.check("delete deploy --all", "No resources found");
    world.check("delete deploy", "! error: resource(s) were provided, but no name was specified\nexit 1");
}

#[test]
fn a_deletion_is_confirmed() {
    let world = with_deployment();
    let asked =
        "You are about to delete the following 1 resource(s):\ndeployment.apps/web\nDo you want to continue? (y/n): ";
    *world.stdin.borrow_mut() = b"n\n".to_vec();
    world.check("delete deploy web -i", &format!("{asked}deletion is cancelled"));
    *world.stdin.borrow_mut() = b"y\n".to_vec();
    world.check("delete deploy web -i", &format!("{asked}deployment.apps \"web\" deleted"));
    world.check("delete --raw /api -i", "! error: --interactive can not be used with --raw\nexit 1");
}

#[test]
fn references_are_resolved() {
    let world = with_deployment();
    world.run("create configmap settings --from-literal=colour=red");
    world.run("set env deploy/web --from=configmap/settings");
    world.check(
        "set env deploy/web --list",
        "# Deployment web, container web\n# COLOUR from configmap settings, key colour",
    );
    world.check("set env deploy/web --list --resolve", "# Deployment web, container web\nCOLOUR=red");
}

#[test]
fn an_edit_is_tried_again_once_it_is_wrong() {
    let world = with_deployment();
    *world.edit.borrow_mut() = Some(Box::new(|text| text.replace("replicas: 2", "replicas: -2")));
    let told = world.run("edit deploy web");
    assert!(told.starts_with("! error: deployments.apps \"web\" is invalid\n"), "{told}");
    assert!(told.ends_with("! error: Edit cancelled, no valid changes were saved.\nexit 1\n"), "{told}");
    *world.edit.borrow_mut() = Some(Box::new(|text| text.replace("nginx:1.27", "nginx:1.28")));
    let told = world.run("edit deploy web --output-patch");
    assert!(told.starts_with("Patch: {") && told.ends_with("deployment.apps/web edited\n"), "{told}");
}

#[test]
fn raw_requests() {
    let world = World::new();
    world.file("cm.json", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"raw\"}}");
    let answer = world.run("create --raw /api/v1/namespaces/default/configmaps -f cm.json");
    assert!(answer.starts_with('{') && answer.contains("\"raw\""), "{answer}");
    assert!(world.run("replace --raw /api/v1/namespaces/default/configmaps/raw -f cm.json").starts_with('{'));
    assert!(world.run("delete --raw /api/v1/namespaces/default/configmaps/raw").starts_with('{'));
    world.check("create --raw /api -f cm.json -o yaml", "! error: --raw and --output are mutually exclusive\nexit 1");
    world.check("create --raw x -f cm.json --edit", "! error: --raw and --edit are mutually exclusive\nexit 1");
}
