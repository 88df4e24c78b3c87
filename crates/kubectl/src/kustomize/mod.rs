//! Kustomizations (sigs.k8s.io/kustomize/api/types): resources, components, generators, patches, transformers and
//! replacements. Functions, charts and transformers of one's own are not run: a kustomization that has them is refused.

mod config;
mod generate;
mod names;
mod patches;
mod replacements;
mod transform;

use std::future::Future;
use std::pin::Pin;

use machinery::sort::Order;
use serde_json::Value;

use crate::error::Error;
use crate::host::{FileError, Host, SendError};
use crate::kubeconfig::plain_path;
use crate::resources::{items, text};
use crate::value::ValueExt;
use crate::yaml;

pub use generate::hash_named;

use config::{check, load};

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

/// What a selector names, as kustomize writes it: `Service.[noVer].[noGrp]/web.[noNs]`.
fn selected(selector: &Value) -> String {
    let part = |field: &str, none: &str| match text(&selector[field]) {
        given if given.is_empty() => none.to_owned(),
        given => given,
    };
    let (kind, version, group) = (part("kind", "[noKind]"), part("version", "[noVer]"), part("group", "[noGrp]"));
    format!("{kind}.{version}.{group}/{}.{}", text(&selector["name"]), part("namespace", "[noNs]"))
}

/// Reads what kustomizations name.
struct Reader<'h> {
    host: &'h dyn Host,
    /// Whether files have to be in the kustomization's folder or below it.
    restricted: bool,
    /// The folder that is built, from the root, where objects shall say what they are from (`originAnnotations`).
    origin: Option<String>,
}

/// Where an object is from: a file, or what a generator's kustomization is in.
const ORIGIN: &str = "config.kubernetes.io/origin";

/// Builds the kustomization of a folder. `restricted` is `--load-restrictor=LoadRestrictionsRootOnly`; `reorder` is
/// whether kinds that others need come first, where it is not for the kustomization to say.
///
/// # Errors
/// When there is none, when what it names does not exist, and for what is not done here.
pub async fn build(
    host: &dyn Host,
    folder: &str,
    restricted: bool,
    reorder: Option<bool>,
) -> Result<Vec<Value>, Error> {
    let folder = folder.trim_end_matches('/');
    let config = load(host, folder).await?;
    let tells_origins = self::items(&config["buildMetadata"]).any(|what| what == "originAnnotations");
    let reader = Reader { host, restricted, origin: tells_origins.then(|| absolute(host, folder)) };
    let sorts = match config["sortOptions"]["order"].as_str() {
        None | Some("legacy") => true,
        Some("fifo") => false,
        Some(_) => return Err(Error::message("the field 'sortOptions.order' must be one of [fifo, legacy]")),
    };
    let mut items = layer(&reader, &[], folder, config.clone(), Vec::new()).await?;
    for item in &mut items {
        if item.hashed {
            let name = format!("{}-{}", item.name(), generate::content_hash(&item.object));
            item.rename(name);
        }
    }
    names::follow(&mut items);
    let mut objects: Vec<Value> = items.into_iter().map(|item| item.object).collect();
    if reorder.unwrap_or(sorts) {
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

/// What a kustomization makes of the objects before it (a component's) and of its own. `above` are the folders of
/// those that build on it.
fn layer<'a>(
    reader: &'a Reader<'a>,
    above: &'a [String],
    folder: &'a str,
    config: Value,
    mut items: Vec<Item>,
) -> Layer<'a> {
    Box::pin(async move {
        check(reader.host, &config)?;
        let mut here = above.to_vec();
        here.push(absolute(reader.host, folder));
        for name in list(&config, "resources").chain(list(&config, "bases")) {
            reader
                .accumulate(&here, folder, &name, &mut items)
                .await
                .map_err(|error| prefixed("accumulating resources: ", &error))?;
        }
        generate::generate(reader, folder, &config, &mut items).await?;
        for name in list(&config, "components") {
            items = reader
                .component(&here, folder, &name, items)
                .await
                .map_err(|error| prefixed("accumulating components: ", &error))?;
        }
        patches::apply(reader, folder, &config, &mut items).await?;
        transform::transform(&config, &mut items)?;
        names::follow(&mut items);
        replacements::replace(reader, folder, &config, &mut items).await?;
        Ok(items)
    })
}

fn prefixed(prefix: &str, error: &Error) -> Error {
    Error::message(format!("{prefix}{}", error.plain()))
}

/// Adds objects to others.
fn merge(items: &mut Vec<Item>, more: Vec<Item>) -> Result<(), Error> {
    for item in more {
        if items.iter().any(|known| known.id() == item.id()) {
            let id = item.id();
            return Err(Error::message(format!("may not add resource with an already registered id: {id}")));
        }
        items.push(item);
    }
    Ok(())
}

/// The strings of a list.
fn list(config: &Value, field: &str) -> impl Iterator<Item = String> {
    let found: Vec<String> = items(&config[field]).map(text).collect();
    found.into_iter()
}

/// A path from the root, as messages have it.
fn absolute(host: &dyn Host, path: &str) -> String {
    let path = match host.env("PWD") {
        Some(home) if !path.starts_with('/') => plain_path(&format!("{home}/{path}")),
        _ => plain_path(path),
    };
    if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path }
}

/// A path as seen from a folder, both from the root or from one place.
fn relative(folder: &str, path: &str) -> String {
    let (from, to): (Vec<&str>, Vec<&str>) = (folder.split('/').collect(), path.split('/').collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - shared);
    up.chain(to.into_iter().skip(shared)).collect::<Vec<_>>().join("/")
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
    /// Adds what a word of `resources` means: a file, an address, or another kustomization. What is neither is told
    /// as both.
    async fn accumulate(&self, above: &[String], folder: &str, name: &str, items: &mut Vec<Item>) -> Result<(), Error> {
        let no_file = match self.documents(folder, name).await {
            Ok(found) => match merge(items, found) {
                Ok(()) => return Ok(()),
                Err(error) => prefixed(&format!("merging resources from '{name}': "), &error),
            },
            Err(NoFile::ForGood(error)) => return Err(error),
            Err(NoFile::PerhapsAFolder(reason)) => {
                Error::message(format!("accumulating resources from '{name}': {reason}"))
            }
        };
        let path = join(folder, name);
        let base = async {
            self.root(above, &path).await?;
            let root = absolute(self.host, &path);
            let config = self.target(&path).await?;
            if config["kind"] == "Component" {
                return Err(Error::message(format!("expected kind != 'Component' for path '{root}'")));
            }
            let found = layer(self, above, &path, config, Vec::new()).await;
            let found =
                found.map_err(|error| prefixed(&format!("recursed accumulation of path '{root}': "), &error))?;
            merge(items, found).map_err(|error| prefixed(&format!("recursed merging from path '{root}': "), &error))
        };
        base.await.map_err(|error| prefixed(&format!("accumulation err='{}': ", no_file.plain()), &error))
    }

    /// What a component makes of what is there.
    async fn component(
        &self,
        above: &[String],
        folder: &str,
        name: &str,
        items: Vec<Item>,
    ) -> Result<Vec<Item>, Error> {
        let path = join(folder, name);
        self.root(above, &path).await.map_err(|error| Error::message(format!("loader.New {:?}", error.plain())))?;
        let accumulate = async {
            let root = absolute(self.host, &path);
            let config = self.target(&path).await?;
            if config["kind"] != "Component" {
                let found = config["kind"].as_str().unwrap_or("Kustomization");
                return Err(Error::message(format!("expected kind 'Component' for path '{root}' but got '{found}'")));
            }
            let made = layer(self, above, &path, config, items).await;
            made.map_err(|error| prefixed(&format!("recursed accumulation of path '{root}': "), &error))
        };
        accumulate.await.map_err(|error| Error::message(format!("accumulateDirectory: {:?}", error.plain())))
    }

    /// Whether a path may be the folder of a kustomization below others.
    async fn root(&self, above: &[String], path: &str) -> Result<(), Error> {
        let root = absolute(self.host, path);
        config::is_folder(self.host, path, &root).await?;
        let within = |visited: &&String| {
            visited.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match above.iter().rev().find(within) {
            Some(visited) => Err(Error::message(format!(
                "cycle detected: candidate root '{root}' contains visited root '{visited}'"
            ))),
            None => Ok(()),
        }
    }

    /// The kustomization in a folder.
    async fn target(&self, path: &str) -> Result<Value, Error> {
        let missed =
            |error| prefixed(&format!("couldn't make target for path '{}': ", absolute(self.host, path)), &error);
        let config = load(self.host, path).await.map_err(missed)?;
        Ok(config)
    }

    /// The objects of a file or an address.
    async fn documents(&self, folder: &str, name: &str) -> Result<Vec<Item>, NoFile> {
        let text = if name.starts_with("https://") || name.starts_with("http://") {
            match self.host.fetch(name).await {
                Ok((200, body)) => body.to_vec(),
                Ok((code, _)) => {
                    return Err(NoFile::ForGood(Error::message(format!(
                        "accumulating resources from '{name}': HTTP Error: status code {code}"
                    ))));
                }
                Err(error) => {
                    return Err(NoFile::PerhapsAFolder(format!("Get {name:?}: {}", unanswered(name, &error))));
                }
            }
        } else {
            let path = join(folder, name);
            if self.host.read_dir(&path).await.is_ok() {
                let whole = absolute(self.host, &path);
                return Err(NoFile::PerhapsAFolder(format!("'{whole}' must resolve to a file")));
            }
            self.read(folder, name).await.map_err(|error| NoFile::PerhapsAFolder(error.plain()))?
        };
        let mut found = Vec::new();
        for document in yaml::documents(&String::from_utf8_lossy(&text)) {
            let mut value = document.map_err(|error| {
                let error = error.trim_start_matches("error converting YAML to JSON: ");
                NoFile::ForGood(Error::message(format!(
                    "accumulating resources from '{name}': MalformedYAMLError: {error} in File: {name}"
                )))
            })?;
            let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
            if is_list && let Some(list) = value.get_mut("items").and_then(Value::as_array_mut) {
                found.extend(std::mem::take(list).into_iter().map(Item::new));
            } else if !value.is_null() {
                check_object(&value).map_err(NoFile::PerhapsAFolder)?;
                found.push(Item::new(value));
            }
        }
        for item in &mut found {
            self.tell_origin(item, "path", folder, name, "");
        }
        Ok(found)
    }

    /// Writes into an object where it is from, and `more` about that.
    fn tell_origin(&self, item: &mut Item, field: &str, folder: &str, name: &str, more: &str) {
        let Some(root) = &self.origin else { return };
        let path = match name.contains("://") {
            true => name.to_owned(),
            false => relative(root, &absolute(self.host, &join(folder, name))),
        };
        let origin = format!("{field}: {path}\n{more}");
        item.object.put(&["metadata", "annotations", ORIGIN], origin);
    }

    /// A file of a kustomization's.
    async fn read(&self, folder: &str, name: &str) -> Result<Vec<u8>, Error> {
        let path = join(folder, name);
        let whole = absolute(self.host, &path);
        // What is not there is no secret.
        let is_there = self.host.read_file(&path).await != Err(FileError::NotFound);
        if self.restricted && is_there && leads_out(name) {
            let root = absolute(self.host, folder);
            return Err(Error::message(format!("security; file '{whole}' is not in or below '{root}'")));
        }
        match self.host.read_file(&path).await {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(FileError::NotFound) => {
                let missing = config::first_missing(self.host, &whole).await;
                let message = format!("evalsymlink failure on '{whole}' : lstat {missing}: no such file or directory");
                Err(Error::message(message))
            }
            Err(error) => Err(Error::message(format!("open {whole}: {}", error.as_str()))),
        }
    }
}

/// Why a word of `resources` is no file.
enum NoFile {
    /// It can be nothing else.
    ForGood(Error),
    /// It may still be the folder of a kustomization.
    PerhapsAFolder(String),
}

/// Why there is no answer from an address, in Go's words.
fn unanswered(url: &str, error: &SendError) -> String {
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    match error {
        SendError::Refused => format!("dial tcp {host}: connect: connection refused"),
        SendError::Failed(reason) => reason.clone(),
    }
}

/// What every object has.
fn check_object(object: &Value) -> Result<(), String> {
    if !object.is_object() {
        return Err("missing Resource metadata".into());
    }
    let metadata = &object["metadata"];
    let (kind, name) = (text(&object["kind"]), text(&metadata["name"]));
    let missing = match (kind.as_str(), name.as_str()) {
        ("", _) => "kind",
        (kind, "") if !kind.ends_with("List") => "metadata.name",
        _ => return Ok(()),
    };
    let pairs = |field: &str| {
        let pairs = metadata[field].as_object().into_iter().flatten();
        pairs.map(|(key, value)| format!("{key}:{}", text(value))).collect::<Vec<_>>().join(" ")
    };
    Err(format!(
        "missing {missing} in object {{{{{} {kind}}} {{{{{name} {}}} map[{}] map[{}]}}}}",
        text(&object["apiVersion"]),
        text(&metadata["namespace"]),
        pairs("labels"),
        pairs("annotations")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_from_folders() {
        assert_eq!(relative("/a/top", "/a/top/sub/x.yaml"), "sub/x.yaml");
        assert_eq!(relative("/a/top", "/a/base/x.yaml"), "../base/x.yaml");
    }

    #[test]
    fn names_that_lead_out() {
        assert!(leads_out("../a") && leads_out("a/../../b") && leads_out("/etc/passwd"));
        assert!(!leads_out("a/../b") && !leads_out("./a"));
    }
}
