//! `kubectl convert`: manifests of APIs that are gone, in the version that is served now (the original's
//! plugin kubectl-convert; the deprecated API migration guide says what changed).

use serde_json::{Value, json};

use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output};
use crate::resources::text;
use crate::session::Session;
use crate::value::ValueExt;

/// What to do beside changing the version.
type Change = fn(&mut Value);

/// Groups and kinds that have moved: their old version, kind, the present version, and what else changed.
const MOVED: &[(&str, &str, &str, Change)] = &[
    ("extensions/v1beta1", "Deployment", "apps/v1", workload),
    ("extensions/v1beta1", "DaemonSet", "apps/v1", workload),
    ("extensions/v1beta1", "ReplicaSet", "apps/v1", workload),
    ("extensions/v1beta1", "Ingress", "networking.k8s.io/v1", ingress),
    ("extensions/v1beta1", "NetworkPolicy", "networking.k8s.io/v1", nothing),
    ("apps/v1beta1", "Deployment", "apps/v1", workload),
    ("apps/v1beta1", "StatefulSet", "apps/v1", workload),
    ("apps/v1beta2", "Deployment", "apps/v1", workload),
    ("apps/v1beta2", "StatefulSet", "apps/v1", workload),
    ("apps/v1beta2", "DaemonSet", "apps/v1", workload),
    ("apps/v1beta2", "ReplicaSet", "apps/v1", workload),
    ("networking.k8s.io/v1beta1", "Ingress", "networking.k8s.io/v1", ingress),
    ("networking.k8s.io/v1beta1", "IngressClass", "networking.k8s.io/v1", nothing),
    ("batch/v1beta1", "CronJob", "batch/v1", nothing),
    ("batch/v2alpha1", "CronJob", "batch/v1", nothing),
    ("policy/v1beta1", "PodDisruptionBudget", "policy/v1", nothing),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler", "autoscaling/v2", autoscaler),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "autoscaling/v2", nothing),
    ("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1", nothing),
    ("rbac.authorization.k8s.io/v1beta1", "Role", "rbac.authorization.k8s.io/v1", nothing),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", "rbac.authorization.k8s.io/v1", nothing),
    ("rbac.authorization.k8s.io/v1beta1", "RoleBinding", "rbac.authorization.k8s.io/v1", nothing),
    ("rbac.authorization.k8s.io/v1beta1", "ClusterRoleBinding", "rbac.authorization.k8s.io/v1", nothing),
    ("storage.k8s.io/v1beta1", "StorageClass", "storage.k8s.io/v1", nothing),
    ("scheduling.k8s.io/v1beta1", "PriorityClass", "scheduling.k8s.io/v1", nothing),
    ("coordination.k8s.io/v1beta1", "Lease", "coordination.k8s.io/v1", nothing),
];

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    if !files::given(session) {
        return Err(Error::message("must specify one of -f and -k"));
    }
    let output = Output::new(session, COMMON).await?;
    let wanted = session.args.string("output-version");
    let mut objects = Vec::new();
    for document in files::read(session).await? {
        let mut object = document?.object;
        convert(&mut object, wanted)?;
        objects.push(object);
    }
    match objects.as_slice() {
        [] => Err(Error::message("no objects passed to convert")),
        [one] => {
            session.out(output.render(one)?);
            Ok(())
        }
        _ => {
            let list = json!({ "apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects });
            session.out(output.render(&list)?);
            Ok(())
        }
    }
}

/// Brings an object to the version that is served now. The only other version that can be asked for is the
/// one it has.
fn convert(object: &mut Value, wanted: &str) -> Result<(), Error> {
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    if version == wanted {
        return Ok(());
    }
    let row = MOVED.iter().find(|(old, known, ..)| *old == version && *known == kind);
    let Some((_, _, new, change)) = row else {
        if wanted.is_empty() {
            return Ok(());
        }
        return Err(Error::message(format!("no kind {kind:?} is registered for version {wanted:?}")));
    };
    if !wanted.is_empty() && wanted != *new {
        return Err(Error::message(format!("no kind {kind:?} is registered for version {wanted:?}")));
    }
    object["apiVersion"] = (*new).into();
    change(object);
    Ok(())
}

fn nothing(_: &mut Value) {}

/// A selector has to be given now: the old default was the template's labels.
fn workload(object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if object["spec"]["selector"].is_null() && labels.is_object() {
        object.put(&["spec", "selector", "matchLabels"], labels);
    }
    if let Some(spec) = object.fields_mut(&["spec"]) {
        spec.remove("rollbackTo");
        spec.remove("templateGeneration");
    }
}

/// Backends are called otherwise, and each path has a type.
fn ingress(object: &mut Value) {
    let backend = |old: &Value| {
        let (name, port) = (&old["serviceName"], &old["servicePort"]);
        if name.is_null() {
            return old.clone();
        }
        let port = if port.is_string() { json!({ "name": port }) } else { json!({ "number": port }) };
        json!({ "service": { "name": name, "port": port } })
    };
    if let Some(spec) = object.fields_mut(&["spec"])
        && let Some(old) = spec.remove("backend")
    {
        spec.insert("defaultBackend".into(), backend(&old));
    }
    for rule in object.list_mut(&["spec", "rules"]).into_iter().flatten() {
        for path in rule.list_mut(&["http", "paths"]).into_iter().flatten() {
            path["backend"] = backend(&path["backend"]);
            if path["pathType"].is_null() {
                path["pathType"] = "ImplementationSpecific".into();
            }
        }
    }
}

/// What a metric shall be has a place of its own.
fn autoscaler(object: &mut Value) {
    for metric in object.list_mut(&["spec", "metrics"]).into_iter().flatten() {
        let Some(resource) = metric.fields_mut(&["resource"]) else { continue };
        let target = match (resource.remove("targetAverageUtilization"), resource.remove("targetAverageValue")) {
            (Some(percent), _) => json!({ "type": "Utilization", "averageUtilization": percent }),
            (None, Some(value)) => json!({ "type": "AverageValue", "averageValue": value }),
            (None, None) => continue,
        };
        resource.insert("target".into(), target);
    }
}
