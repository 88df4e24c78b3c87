//! A container's environment: `env`, `envFrom`, and the addresses of Services.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use crate::expand::expand;
use crate::fieldref::{self, Facts};
use crate::objects::Objects;
use crate::runtime::EnvFile;
use crate::services_env;
use crate::spec;
use crate::text::str;

/// A container's environment in order: envFrom, then env, then Services not overridden.
///
/// # Errors
/// The message of a `CreateContainerConfigError`, such as `configmap "x" not found`.
pub fn environment(
    facts: &Facts<'_>,
    container: &Container,
    objects: &dyn Objects,
) -> Result<Vec<(String, String)>, String> {
    let namespace = str(&facts.pod.metadata.namespace);
    let services = services_env::variables(&services(facts.pod, objects)?);
    let mut out: Vec<(String, String)> = Vec::new();
    let mut known: BTreeMap<String, String> = BTreeMap::new();

    for source in container.env_from.iter().flatten() {
        let prefix = str(&source.prefix);
        let mut data = BTreeMap::new();
        if let Some(reference) = &source.config_map_ref {
            match objects.config_map(namespace, &reference.name)? {
                Some(map) => data.extend(map.data.clone().unwrap_or_default()),
                None if reference.optional == Some(true) => {}
                None => return Err(format!("configmap {:?} not found", reference.name)),
            }
        }
        if let Some(reference) = &source.secret_ref {
            match objects.secret(namespace, &reference.name)? {
                Some(secret) => data.extend(
                    secret
                        .data
                        .iter()
                        .flatten()
                        .map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned())),
                ),
                None if reference.optional == Some(true) => {}
                None => return Err(format!("secret {:?} not found", reference.name)),
            }
        }
        // Since v1.34 any printable name without `=` is a name.
        for (key, value) in data.into_iter().filter(|(key, _)| !key.is_empty() && !key.contains('=')) {
            let name = format!("{prefix}{key}");
            known.insert(name.clone(), value.clone());
            out.push((name, value));
        }
    }

    for variable in container.env.iter().flatten() {
        // What is in a file, the runtime reads.
        if variable.value_from.as_ref().is_some_and(|source| source.file_key_ref.is_some()) {
            known.insert(variable.name.clone(), String::new());
            continue;
        }
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => match from_source(facts, container, source, objects)? {
                Some(value) => value,
                None => continue,
            },
            (value, None) => expand(str(value), |name| known.get(name).or_else(|| services.get(name)).cloned()),
        };
        known.insert(variable.name.clone(), value.clone());
        out.push((variable.name.clone(), value));
    }

    out.extend(services.into_iter().filter(|(name, _)| !known.contains_key(name)));
    Ok(out)
}

/// The variables whose values are in files.
pub fn files(container: &Container) -> Vec<EnvFile> {
    let of = |variable: &k8s_openapi::api::core::v1::EnvVar| {
        let source = variable.value_from.as_ref()?.file_key_ref.as_ref()?;
        Some(EnvFile {
            name: variable.name.clone(),
            volume: source.volume_name.clone(),
            path: source.path.clone(),
            key: source.key.clone(),
            optional: source.optional == Some(true),
        })
    };
    container.env.iter().flatten().filter_map(of).collect()
}

/// `None` for an optional reference whose target does not exist.
fn from_source(
    facts: &Facts<'_>,
    container: &Container,
    source: &EnvVarSource,
    objects: &dyn Objects,
) -> Result<Option<String>, String> {
    let namespace = str(&facts.pod.metadata.namespace);
    if let Some(reference) = &source.field_ref {
        return fieldref::field(facts, &reference.field_path).map(Some);
    }
    if let Some(selector) = &source.resource_field_ref {
        let named = selector.container_name.as_deref().and_then(|name| spec::find(facts.pod, name));
        let named = named.as_ref().map_or(container, |(named, _)| named);
        return fieldref::resource(facts, named, selector).map(Some);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let Some(map) = objects.config_map(namespace, &reference.name)? else {
            return if optional { Ok(None) } else { Err(format!("configmap {:?} not found", reference.name)) };
        };
        return match map.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if optional => Ok(None),
            None => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", reference.key, reference.name)),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let Some(secret) = objects.secret(namespace, &reference.name)? else {
            return if optional { Ok(None) } else { Err(format!("secret {:?} not found", reference.name)) };
        };
        return match secret.data.as_ref().and_then(|data| data.get(&reference.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None if optional => Ok(None),
            None => Err(format!("couldn't find key {} in Secret {namespace}/{}", reference.key, reference.name)),
        };
    }
    Ok(Some(String::new()))
}

/// The pod's Services if it wants them, and always the API server's.
fn services(
    pod: &Pod,
    objects: &dyn Objects,
) -> Result<Vec<std::sync::Arc<k8s_openapi::api::core::v1::Service>>, String> {
    let namespace = str(&pod.metadata.namespace);
    let linked = spec::of(pod).and_then(|spec| spec.enable_service_links).unwrap_or(true);
    let mut services = objects.services("default")?;
    services.retain(|service| service.metadata.name.as_deref() == Some("kubernetes"));
    if linked {
        services.extend(objects.services(namespace)?);
    }
    Ok(services)
}
