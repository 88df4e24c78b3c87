//! `kubectl apply` and `kubectl diff`

use crate::common::{DEPLOYMENT, World};

#[test]
fn creates_then_changes_then_leaves_alone() {
    let world = World::new();
    world.file("web.yaml", DEPLOYMENT);
    world.check("apply -f web.yaml", "deployment.apps/web created");
    world.check("apply -f web.yaml", "deployment.apps/web unchanged");
    world.check("diff -f web.yaml", "");
    world.file("web.yaml", &DEPLOYMENT.replace("1.27", "1.28"));
    world.check("apply -f web.yaml --dry-run=client", "deployment.apps/web configured (dry run)");
    world.check("apply -f web.yaml --dry-run=server", "deployment.apps/web configured (server dry run)");
    world.check("apply -f web.yaml", "deployment.apps/web configured");
    world.check("get deploy web -o jsonpath={..image}", "nginx:1.28");
}

#[test]
fn fields_left_out_are_removed_and_those_of_others_stay() {
    let world = World::new();
    world.file("web.yaml", DEPLOYMENT);
    world.run("apply -f web.yaml");
    world.run("label deploy web owner=other");
    world.file("web.yaml", &DEPLOYMENT.replace("    app: web\nspec", "    tier: front\nspec"));
    world.check("apply -f web.yaml", "deployment.apps/web configured");
    world.check("get deploy web -o jsonpath={.metadata.labels}", "{\"owner\":\"other\",\"tier\":\"front\"}");
}

#[test]
fn goes_on_after_an_error() {
    let world = World::new();
    let mixed = "apiVersion: v1\nkind: Foo\nmetadata:\n  name: x\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \
                 good\n---\napiVersion: v1\nkind: Service\nmetadata:\n  name: bad\nspec:\n  foo: 1\n";
    world.file("mixed.yaml", mixed);
    world.check(
        "apply -f mixed.yaml",
        "
        configmap/good created
        ! resource mapping not found for name: \"x\" namespace: \"\" from \"mixed.yaml\": no matches for kind \"Foo\" in version \"v1\"
        ! ensure CRDs are installed first
        ! Error from server (BadRequest): error when creating \"mixed.yaml\": Service in version \"v1\" cannot be handled as a Service: strict decoding error: unknown field \"spec.foo\"
        exit 1
        ",
    );
}

#[test]
fn warns_of_objects_it_did_not_make() {
    let world = World::new();
    world.file("web.yaml", DEPLOYMENT);
    world.run("create -f web.yaml");
    world.check(
        "apply -f web.yaml",
        "
        deployment.apps/web configured
        ! Warning: resource deployments/web is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.
        ",
    );
}

#[test]
fn bad_input() {
    let world = World::new();
    world.check("apply", "! error: must specify one of -f and -k\nexit 1");
    world.check("apply -f nope.yaml", "! error: the path \"nope.yaml\" does not exist\nexit 1");
    world.file("empty.yaml", "");
    world.check("apply -f empty.yaml", "! error: no objects passed to apply\nexit 1");
    world.file("text.yaml", "hello");
    world.check(
        "apply -f text.yaml",
        "
        ! error: error validating \"text.yaml\": error validating data: invalid object to validate; if you choose to ignore these errors, turn validation off with --validate=false
        exit 1
        ",
    );
    // Nothing is assumed of a manifest's shape.
    world.file("odd.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: odd\n");
    assert!(world.run("apply -f odd.yaml").ends_with("exit 1\n"));
    world.file("odd.yaml", "apiVersion: v1\nkind: List\nitems: [1, x, null]\n");
    assert!(world.run("apply -f odd.yaml").ends_with("exit 1\n"));
}

#[test]
fn standard_input_folders_and_server_side() {
    let world = World::new();
    *world.stdin.borrow_mut() = DEPLOYMENT.as_bytes().to_vec();
    world.check("apply -f -", "deployment.apps/web created");
    world.file("all/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    world.file("all/b.json", "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"b\"}}");
    world.file("all/c.txt", "not a manifest");
    world.check("apply -f all", "configmap/a created\nconfigmap/b created");
    world.check("apply -f all --server-side", "configmap/a serverside-applied\nconfigmap/b serverside-applied");
}
