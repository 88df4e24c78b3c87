//! Kustomizations (sigs.k8s.io/kustomize/api/types): resources, components, generators, patches, transformers and
//! replacements. Functions, charts and transformers of one's own are not run: a kustomization that has them is refused.

mod generate;
mod names;
mod patches;
mod replacements;
mod transform;

use std::future::Future;
use std::pin::Pin;

use machinery::sort::Order;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::host::{FileError, Host};
use crate::kubeconfig::plain_path;
use crate::resources::{items, text};
use crate::value::ValueExt;
use crate::yaml;

pub use generate::hash_named;

/// Names that make a folder a kustomization.
const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Kustomizations may build on each other this deep.
const DEPTH_MAX: usize = 20;
/// Fields of a kustomization.
const FIELDS: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "images",
    "replicas",
    "replacements",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
    "buildMetadata",
    "sortOptions",
    "vars",
    "helmCharts",
    "generators",
    "transformers",
    "validators",
    "configurations",
    "openapi",
    "crds",
];
/// Those that nothing here acts on.
const REFUSED: [&str; 7] = ["vars", "generators", "transformers", "validators", "configurations", "openapi", "crds"];
/// Fields that are called otherwise today.
const DEPRECATED: [(&str, &str); 4] = [
    ("commonLabels", "labels"),
    ("bases", "resources"),
    ("patchesStrategicMerge", "patches"),
    ("patchesJson6902", "patches"),
];

/// An object on its way through the layers.
#[derive(Clone, Debug)]
struct Item {
    object: Value,
    /// The names it has had, the first one first.
    names: Vec<String>,
    /// Whether its contents become part of its name at the end.
    hashed: bool,
}

impl Item {
    fn new(object: Value) -> Self {
        let names = vec![text(&object["metadata"]["name"])];
        Self { object, names, hashed: false }
    }

    fn name(&self) -> String {
        text(&self.object["metadata"]["name"])
    }

    fn kind(&self) -> String {
        text(&self.object["kind"])
    }

    /// Whether it is, or was once, called so.
    fn is_called(&self, name: &str) -> bool {
        self.object["metadata"]["name"] == name || self.names.iter().any(|known| known == name)
    }

    fn rename(&mut self, name: String) {
        let old = self.name();
        if old != name {
            self.names.push(old);
            self.object.put(&["metadata", "name"], name);
        }
    }

    /// As kustomize names it in messages: `Deployment.v1.apps/web.[noNs]`.
    fn id(&self) -> String {
        id(&self.object)
    }
}

fn id(object: &Value) -> String {
    let kind = text(&object["kind"]);
    let gvk = machinery::GroupVersionKind::from_api_version(&text(&object["apiVersion"]), &kind);
    let group = if gvk.group.is_empty() { "[noGrp]" } else { gvk.group.as_str() };
    let namespace = match text(&object["metadata"]["namespace"]) {
        namespace if namespace.is_empty() => "[noNs]".to_owned(),
        namespace => namespace,
    };
    format!("{kind}.{}.{group}/{}.{namespace}", gvk.version, text(&object["metadata"]["name"]))
}

/// Reads what kustomizations name.
struct Reader<'h> {
    host: &'h dyn Host,
    /// Whether files have to be in the kustomization's folder or below it.
    restricted: bool,
}

/// Builds the kustomization of a folder. `restricted` is `--load-restrictor=LoadRestrictionsRootOnly`.
///
/// # Errors
/// When there is none, when what it names does not exist, and for what is not done here.
pub async fn build(host: &dyn Host, folder: &str, restricted: bool) -> Result<Vec<Value>, Error> {
    let reader = Reader { host, restricted };
    let folder = folder.trim_end_matches('/');
    let config = load(host, folder).await?;
    let mut items = layer(&reader, folder.to_owned(), config.clone(), Vec::new(), 0).await?;
    for item in &mut items {
        if item.hashed {
            let name = format!("{}-{}", item.name(), generate::content_hash(&item.object));
            item.rename(name);
        }
    }
    names::follow(&mut items);
    let mut objects: Vec<Value> = items.into_iter().map(|item| item.object).collect();
    if config["sortOptions"]["order"] != "fifo" {
        objects.order_by_key(rank);
    }
    Ok(objects)
}

/// Kinds that others need come first, kinds that hinder others last.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Where an object stands in the output.
fn rank(object: &Value) -> (usize, String, String, String) {
    let kind = text(&object["kind"]);
    let place = match FIRST.iter().position(|known| *known == kind) {
        Some(place) => place,
        None if LAST.contains(&kind.as_str()) => FIRST.len() + 1,
        None => FIRST.len(),
    };
    (place, kind, text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

type Layer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Item>, Error>> + 'a>>;

/// What a kustomization makes of the objects before it (a component's) and of its own.
fn layer<'a>(reader: &'a Reader<'a>, folder: String, config: Value, mut items: Vec<Item>, depth: usize) -> Layer<'a> {
    Box::pin(async move {
        if depth > DEPTH_MAX {
            return Err(Error::message(format!("cycle detected: {folder}")));
        }
        check(reader.host, &config)?;
        for name in list(&config, "resources").chain(list(&config, "bases")) {
            for item in reader.resources(&folder, &name, depth).await? {
                if items.iter().any(|known| known.id() == item.id()) {
                    return Err(Error::message(format!(
                        "accumulating resources: accumulation err='merging resources from '{name}': may not add resource \
                         with an already registered id: {}'",
                        item.id()
                    )));
                }
                items.push(item);
            }
        }
        generate::generate(reader, &folder, &config, &mut items).await?;
        for name in list(&config, "components") {
            let below = join(&folder, &name);
            let component = load(reader.host, &below).await?;
            if component["kind"] != "Component" {
                return Err(Error::message(format!(
                    "accumulating components: accumulateDirectory: \"expected kind 'Component' for path '{below}' but got \
                     'Kustomization'\""
                )));
            }
            items = layer(reader, below, component, items, depth + 1).await?;
        }
        patches::apply(reader, &folder, &config, &mut items).await?;
        transform::transform(&config, &mut items);
        names::follow(&mut items);
        replacements::replace(reader, &folder, &config, &mut items).await?;
        Ok(items)
    })
}

/// The strings of a list.
fn list(config: &Value, field: &str) -> impl Iterator<Item = String> {
    let found: Vec<String> = items(&config[field]).map(text).collect();
    found.into_iter()
}

/// Complains about what kustomize does not know, about what is not done here, and about old names.
fn check(host: &dyn Host, config: &Value) -> Result<(), Error> {
    let empty = Map::new();
    let fields = config.as_object().unwrap_or(&empty);
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(Error::message(format!("invalid Kustomization: json: unknown field {unknown:?}")));
    }
    if items(&config["helmCharts"]).next().is_some() {
        return Err(Error::message("must specify --enable-helm: and no charts are inflated here"));
    }
    if let Some(refused) = REFUSED.iter().find(|field| fields.get(**field).is_some_and(|value| !value.is_null())) {
        return Err(Error::message(format!("'{refused}' of a kustomization is not supported here")));
    }
    for (field, instead) in DEPRECATED {
        if !config[field].is_null() {
            let warning = format!(
                "# Warning: '{field}' is deprecated. Please use '{instead}' instead. Run 'kustomize edit fix' to update \
                 your Kustomization automatically.\n"
            );
            host.stderr(warning.as_bytes());
        }
    }
    Ok(())
}

async fn load(host: &dyn Host, folder: &str) -> Result<Value, Error> {
    for name in FILES {
        if let Ok(bytes) = host.read_file(&join(folder, name)).await {
            if bytes.trim_ascii().is_empty() {
                return Err(Error::message(format!("{name} is empty")));
            }
            return yaml::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|error| Error::message(format!("invalid Kustomization: {error}")));
        }
    }
    let whole = absolute(host, folder);
    if host.read_dir(folder).await.is_err() {
        return Err(Error::message(match host.read_file(folder).await {
            Ok(_) => format!("must build at directory: '{folder}': file is not directory"),
            Err(_) => format!(
                "must build at directory: not a valid directory: evalsymlink failure on '{folder}' : lstat {whole}: no \
                 such file or directory"
            ),
        }));
    }
    Err(Error::message(format!(
        "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{whole}'"
    )))
}

/// A path from the root, as messages have it.
fn absolute(host: &dyn Host, path: &str) -> String {
    match host.env("PWD") {
        Some(home) if !path.starts_with('/') => {
            let path = plain_path(&format!("{home}/{path}"));
            if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path }
        }
        _ => path.to_owned(),
    }
}

fn join(folder: &str, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "." | "")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether a name leads out of the folder that it is in.
fn leads_out(name: &str) -> bool {
    let mut depth = 0_i64;
    name.starts_with('/')
        || name.split('/').any(|part| {
            depth += match part {
                "" | "." => 0,
                ".." => -1,
                _ => 1,
            };
            depth < 0
        })
}

impl Reader<'_> {
    /// What a word of `resources` means: a file, an address, or another kustomization.
    async fn resources(&self, folder: &str, name: &str, depth: usize) -> Result<Vec<Item>, Error> {
        if name.starts_with("https://") || name.starts_with("http://") {
            return match self.host.fetch(name).await {
                Ok((200, body)) => documents(name, &String::from_utf8_lossy(&body)),
                Ok((code, _)) => Err(Error::message(format!(
                    "accumulating resources: accumulation err='accumulating resources from '{name}': HTTP Error: status \
                     code {code}'"
                ))),
                Err(_) => Err(Error::message(format!(
                    "accumulating resources: accumulation err='accumulating resources from '{name}': Get {name:?}: no \
                     answer'"
                ))),
            };
        }
        let path = join(folder, name);
        if self.host.read_dir(&path).await.is_ok() {
            let config = load(self.host, &path).await?;
            return layer(self, path, config, Vec::new(), depth + 1).await;
        }
        if self.host.read_file(&path).await.is_err_and(|error| error == FileError::NotFound) {
            let whole = absolute(self.host, &path);
            let missing = format!("evalsymlink failure on '{whole}' : lstat {whole}: no such file or directory");
            return Err(Error::message(format!(
                "accumulating resources: accumulation err='accumulating resources from '{name}': {missing}': must build \
                 at directory: not a valid directory: {missing}"
            )));
        }
        let bytes = self.read(folder, name).await.map_err(|error| {
            Error::message(format!(
                "accumulating resources: accumulation err='accumulating resources from '{name}': {}'",
                error.plain()
            ))
        })?;
        documents(name, &String::from_utf8_lossy(&bytes))
    }

    /// A file of a kustomization's.
    async fn read(&self, folder: &str, name: &str) -> Result<Vec<u8>, Error> {
        let path = join(folder, name);
        if self.restricted && leads_out(name) {
            return Err(Error::message(format!("security; file '{path}' is not in or below '{folder}'")));
        }
        let bytes = self.host.read_file(&path).await;
        bytes.map(|bytes| bytes.to_vec()).map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))
    }
}

fn documents(path: &str, text: &str) -> Result<Vec<Item>, Error> {
    let mut found = Vec::new();
    for document in yaml::documents(text) {
        let mut value = document.map_err(|error| {
            Error::message(format!("accumulating resources from '{path}': MalformedYAMLError: {error} in File: {path}"))
        })?;
        let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
        if is_list && let Some(list) = value.get_mut("items").and_then(Value::as_array_mut) {
            found.extend(std::mem::take(list).into_iter().map(Item::new));
        } else if value.is_object() {
            found.push(Item::new(value));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out() {
        assert!(leads_out("../a") && leads_out("a/../../b") && leads_out("/etc/passwd"));
        assert!(!leads_out("a/../b") && !leads_out("./a"));
    }
}
