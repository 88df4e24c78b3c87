//! Writes `data/openapi.json` and `data/descriptions.json` from k8s-openapi's types, the facts of
//! `data/list-semantics.json`, and `data/go-types.json`: fields whose Go type has a name of its own. Run after a new Kubernetes version:
//! `cargo run -p playground-machinery --example codegen --features codegen`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use k8s_openapi::Resource;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

type Semantics = BTreeMap<String, BTreeMap<String, BTreeMap<String, BTreeMap<String, Value>>>>;

/// Which definitions are kinds: definition name to group, version, kind.
type Kinds = BTreeMap<String, Value>;

fn add<T: JsonSchema + Resource>(generator: &mut SchemaGenerator, kinds: &mut Kinds) {
    generator.subschema_for::<T>();
    let kind = json!({"group": T::GROUP, "version": T::VERSION, "kind": T::KIND});
    kinds.insert(T::schema_name().into_owned(), kind);
}

macro_rules! add_kinds {
    ($generator:ident, $kinds:ident, $($($module:ident)::+ { $($kind:ident),* $(,)? })*) => {
        $({
            use k8s_openapi::$($module)::+ as module;
            $(add::<module::$kind>(&mut $generator, &mut $kinds);)*
        })*
    };
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/definitions".into())
        .into_generator();
    let mut kinds = Kinds::new();
    add_kinds! { generator, kinds,
        api::admissionregistration::v1 {
            MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
            ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
        }
        api::apps::v1 { ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet }
        api::authentication::v1 { SelfSubjectReview, TokenRequest, TokenReview }
        api::authorization::v1 {
            LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
        }
        api::autoscaling::v1 { HorizontalPodAutoscaler, Scale }
        api::autoscaling::v2 { HorizontalPodAutoscaler }
        api::batch::v1 { CronJob, Job }
        api::certificates::v1 { CertificateSigningRequest, ClusterTrustBundle, PodCertificateRequest }
        api::coordination::v1 { Lease }
        api::core::v1 {
            Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume,
            PersistentVolumeClaim, Pod, PodTemplate, ReplicationController, ResourceQuota, Secret, Service,
            ServiceAccount,
        }
        api::discovery::v1 { EndpointSlice }
        api::events::v1 { Event }
        api::flowcontrol::v1 { FlowSchema, PriorityLevelConfiguration }
        api::networking::v1 { IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR }
        api::node::v1 { RuntimeClass }
        api::policy::v1 { Eviction, PodDisruptionBudget }
        api::rbac::v1 { ClusterRole, ClusterRoleBinding, Role, RoleBinding }
        api::resource::v1 { DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice }
        api::scheduling::v1 { PriorityClass }
        api::storage::v1 {
            CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
        }
        apiextensions_apiserver::pkg::apis::apiextensions::v1 { CustomResourceDefinition }
        apimachinery::pkg::apis::meta::v1 { Status }
        kube_aggregator::pkg::apis::apiregistration::v1 { APIService }
    }
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::DeleteOptions>();

    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let semantics: Semantics = serde_json::from_str(&std::fs::read_to_string(data.join("list-semantics.json"))?)?;
    let go_types: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&std::fs::read_to_string(data.join("go-types.json"))?)?;
    let (mut definitions, mut descriptions) = (BTreeMap::new(), BTreeMap::new());
    for (name, definition) in generator.take_definitions(true) {
        let Value::Object(mut definition) = definition else { continue };
        descriptions.insert(name.clone(), Value::Object(take_descriptions(&mut definition)));
        if let Some(fields) = type_semantics(&semantics, &name) {
            add_semantics(&mut definition, fields);
        }
        for (field, schema) in properties(&mut definition) {
            let go_type = go_types.get(&name).and_then(|fields| fields.get(field));
            if let (Some(go_type), Some(schema)) = (go_type, schema.as_object_mut()) {
                schema.insert("x-go-type".into(), json!(go_type));
            }
        }
        if definition.get("x-kubernetes-int-or-string").is_some() {
            definition.extend([("type".into(), json!("string")), ("format".into(), json!("int-or-string"))]);
        }
        if let Some(kind) = kinds.get(&name) {
            // Where k8s-openapi has metadata always, upstream's schema lets it be absent.
            if let Some(Value::Array(required)) = definition.get_mut("required") {
                required.retain(|field| field != "metadata");
                if required.is_empty() {
                    definition.remove("required");
                }
            }
            definition.insert("x-kubernetes-group-version-kind".into(), json!([kind]));
        }
        definitions.insert(name, Value::Object(definition));
    }
    std::fs::write(data.join("openapi.json"), lines(&definitions)?)?;
    std::fs::write(data.join("descriptions.json"), lines(&descriptions)?)?;
    println!("{} definitions, {} kinds", definitions.len(), kinds.len());
    Ok(())
}

/// A JSON object with a line for each key: compact, and readable as a diff.
fn lines(map: &BTreeMap<String, Value>) -> Result<String, serde_json::Error> {
    let mut out = String::from("{");
    for (index, (key, value)) in map.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(out, "{comma}\n{}:{}", serde_json::to_string(key)?, serde_json::to_string(value)?);
    }
    out.push_str("\n}\n");
    Ok(out)
}

/// Takes the descriptions out of a definition: its own under "", and one for each field.
fn take_descriptions(definition: &mut Map<String, Value>) -> Map<String, Value> {
    let mut taken = Map::new();
    taken.extend(definition.remove("description").map(|text| (String::new(), text)));
    for (field, schema) in properties(definition) {
        taken.extend(
            schema.as_object_mut().and_then(|schema| schema.remove("description")).map(|text| (field.clone(), text)),
        );
    }
    taken
}

fn properties(definition: &mut Map<String, Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    definition.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten()
}

/// What is known of a type's fields: `io.k8s.api.core.v1.PodSpec` is `PodSpec` of `core/v1`.
fn type_semantics<'a>(semantics: &'a Semantics, name: &str) -> Option<&'a BTreeMap<String, BTreeMap<String, Value>>> {
    let mut parts = name.rsplit('.');
    let (kind, version, group) = (parts.next()?, parts.next()?, parts.next()?);
    semantics.get(&format!("{group}/{version}"))?.get(kind)
}

fn add_semantics(definition: &mut Map<String, Value>, fields: &BTreeMap<String, BTreeMap<String, Value>>) {
    for (field, schema) in properties(definition) {
        let (Some(facts), Some(schema)) = (fields.get(field), schema.as_object_mut()) else { continue };
        for (fact, value) in facts {
            let (key, value) = match (fact.as_str(), value) {
                ("default", Value::String(text)) => ("default", serde_json::from_str(text).unwrap_or(json!(text))),
                ("listMapKeys", keys) => ("x-kubernetes-list-map-keys", keys.clone()),
                ("listType", kind) => ("x-kubernetes-list-type", kind.clone()),
                ("mapType" | "structType", kind) => ("x-kubernetes-map-type", kind.clone()),
                ("patchMergeKey", key) => ("x-kubernetes-patch-merge-key", key.clone()),
                ("patchStrategy", strategy) => ("x-kubernetes-patch-strategy", strategy.clone()),
                _ => continue,
            };
            schema.insert(key.into(), value);
        }
    }
}
