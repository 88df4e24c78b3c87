//! The file of a kustomization: what may be in it, and what is said of what may not.

use serde_json::{Map, Value};

use super::{absolute, join};
use crate::error::Error;
use crate::host::Host;
use crate::resources::items;
use crate::yaml;

/// Names that make a folder a kustomization.
const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
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

/// Complains about what kustomize does not know, about what is not done here, and about old names.
pub(super) fn check(host: &dyn Host, config: &Value) -> Result<(), Error> {
    let empty = Map::new();
    let fields = config.as_object().unwrap_or(&empty);
    if let Some(chart) = items(&config["helmCharts"]).next() {
        return Err(misconfigured("HelmChartInflationGenerator", chart, "must specify --enable-helm"));
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

/// What a built-in part of kustomize's has against its configuration.
pub(super) fn misconfigured(part: &str, config: &Value, problem: &str) -> Error {
    Error::message(format!(
        "trouble configuring builtin {part} with config: `\n{}`: {problem}",
        yaml::to_string(config)
    ))
}

/// Reads the kustomization in a folder.
///
/// # Errors
/// When there is none, several, or one that is not well-formed.
pub(super) async fn load(host: &dyn Host, folder: &str) -> Result<Value, Error> {
    is_folder(host, folder, folder).await?;
    let whole = absolute(host, folder);
    let mut found = None;
    for name in FILES {
        if let Ok(bytes) = host.read_file(&join(folder, name)).await
            && found.replace((name, bytes)).is_some()
        {
            return Err(Error::message(format!("Found multiple kustomization files under: {whole}\n")));
        }
    }
    let Some((name, bytes)) = found else {
        return Err(Error::message(format!(
            "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{whole}'"
        )));
    };
    let invalid = |error: String| Error::message(format!("invalid Kustomization: {error}"));
    let config = yaml::parse(&String::from_utf8_lossy(&bytes)).map_err(invalid)?;
    well_formed(&config).map_err(invalid)?;
    let mut fields = config.as_object().into_iter().flat_map(serde_json::Map::keys);
    if let Some(unknown) = fields.find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(invalid(format!("json: unknown field {unknown:?}")));
    }
    let is_said =
        |(field, value): (&String, &Value)| !matches!(field.as_str(), "apiVersion" | "kind") && !value.is_null();
    if !config.as_object().is_some_and(|fields| fields.iter().any(is_said)) {
        return Err(Error::message(format!("{name} is empty")));
    }
    let kind = config["kind"].as_str().unwrap_or("Kustomization");
    let version = if kind == "Component" { "v1alpha1" } else { "v1beta1" };
    let wanted = format!("kustomize.config.k8s.io/{version}");
    let problem = match config["apiVersion"].as_str() {
        _ if !matches!(kind, "Kustomization" | "Component") => "kind should be Kustomization or Component".to_owned(),
        Some(given) if given != wanted => format!("apiVersion for {kind} should be {wanted}"),
        _ => return Ok(config),
    };
    Err(Error::message(format!("Failed to read kustomization file under {whole}:\n{problem}\n")))
}

/// What the file of a folder's kustomization is called.
pub(super) async fn file_name(host: &dyn Host, folder: &str) -> &'static str {
    for name in FILES {
        if host.read_file(&join(folder, name)).await.is_ok() {
            return name;
        }
    }
    FILES[0]
}

/// What of a path from the root is the first that is not there.
pub(super) async fn first_missing(host: &dyn Host, whole: &str) -> String {
    for (end, _) in whole.match_indices('/').skip(1) {
        let folder = whole.get(..end).unwrap_or(whole);
        if host.read_dir(folder).await.is_err() {
            return folder.to_owned();
        }
    }
    whole.to_owned()
}

/// Whether a folder is there, which is called `shown` in messages.
pub(super) async fn is_folder(host: &dyn Host, folder: &str, shown: &str) -> Result<(), Error> {
    if host.read_dir(folder).await.is_ok() {
        return Ok(());
    }
    let whole = absolute(host, folder);
    Err(Error::message(match host.read_file(folder).await {
        Ok(_) => format!("must build at directory: '{shown}': file is not directory"),
        Err(_) => {
            let missing = first_missing(host, &whole).await;
            format!(
                "must build at directory: not a valid directory: evalsymlink failure on '{shown}' : lstat {missing}: no \
                 such file or directory"
            )
        }
    }))
}

/// What fields hold, as far as a wrong one is refused: Go's type of them.
const TYPES: [(&str, &str); 14] = [
    ("namespace", "string"),
    ("namePrefix", "string"),
    ("nameSuffix", "string"),
    ("commonLabels", "map[string]string"),
    ("commonAnnotations", "map[string]string"),
    ("resources", "[]string"),
    ("bases", "[]string"),
    ("components", "[]string"),
    ("crds", "[]string"),
    ("configurations", "[]string"),
    ("generators", "[]string"),
    ("transformers", "[]string"),
    ("validators", "[]string"),
    ("buildMetadata", "[]string"),
];

/// Whether fields hold what they are for, in the words of Go's JSON.
fn well_formed(config: &Value) -> Result<(), String> {
    let refused = |value: &Value, place: &str, wanted: &str| {
        let found = match value {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) | Value::Null => "object",
        };
        Err(format!("json: cannot unmarshal {found} into Go struct field {place} of type {wanted}"))
    };
    let texts = |mut values: &mut dyn Iterator<Item = &Value>, place: &str| match Iterator::find(&mut values, |value| {
        !value.is_string() && !value.is_null()
    }) {
        Some(value) => refused(value, place, "string"),
        None => Ok(()),
    };
    if !config.is_object() && !config.is_null() {
        let found = if config.is_array() { "array" } else { "string" };
        return Err(format!("json: cannot unmarshal {found} into Go value of type types.Kustomization"));
    }
    for (field, wanted) in TYPES {
        let (value, place) = (&config[field], format!("Kustomization.{field}"));
        match (value, wanted) {
            (Value::Null, _) | (Value::String(_), "string") => {}
            (Value::Array(values), "[]string") => texts(&mut values.iter(), &place)?,
            (Value::Object(values), "map[string]string") => texts(&mut values.values(), &place)?,
            (value, wanted) => return refused(value, &place, wanted),
        }
    }
    for entry in items(&config["labels"]) {
        match &entry["pairs"] {
            Value::Null => {}
            Value::Object(pairs) => texts(&mut pairs.values(), "Label.labels.pairs")?,
            value => return refused(value, "Label.labels.pairs", "map[string]string"),
        }
    }
    Ok(())
}
