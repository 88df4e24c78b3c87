//! Image references and pull policies.

use k8s_openapi::api::core::v1::Pod;

use crate::objects::Objects;
use crate::spec;
use crate::text::str;

/// When an image is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    /// Before every start.
    Always,
    /// Unless the node has it.
    IfNotPresent,
    /// Not at all.
    Never,
}

impl PullPolicy {
    /// Whether an image is fetched that the node has, or has not.
    ///
    /// # Errors
    /// What is told of an image that is not there and is not to be fetched.
    pub fn pulls(self, image: &str, present: bool) -> Result<bool, String> {
        match self {
            Self::Always => Ok(true),
            Self::IfNotPresent => Ok(!present),
            Self::Never if present => Ok(false),
            Self::Never => Err(format!("Container image {image:?} is not present with pull policy of Never")),
        }
    }
}

/// The pull policy of a container or an image volume; by default `Always` for `latest`.
pub fn pull_policy(image: &str, policy: Option<&str>) -> PullPolicy {
    match policy {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        Some("IfNotPresent") => PullPolicy::IfNotPresent,
        _ => match tag(image) {
            Some("latest") | None => PullPolicy::Always,
            Some(_) => PullPolicy::IfNotPresent,
        },
    }
}

/// The texts of the pod's pull secrets; those that do not exist are left out, as upstream does.
pub fn pull_secrets(pod: &Pod, objects: &dyn Objects) -> Vec<String> {
    let namespace = str(&pod.metadata.namespace);
    let references = spec::of(pod).and_then(|spec| spec.image_pull_secrets.as_deref()).unwrap_or_default();
    references
        .iter()
        .filter_map(|reference| objects.secret(namespace, &reference.name).ok().flatten())
        .filter_map(|secret| {
            let data = secret.data.as_ref()?;
            let text = data.get(".dockerconfigjson").or_else(|| data.get(".dockercfg"))?;
            String::from_utf8(text.0.clone()).ok()
        })
        .collect()
}

/// The tag or digest of a reference.
fn tag(image: &str) -> Option<&str> {
    if let Some((_, digest)) = image.split_once('@') {
        return Some(digest);
    }
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split_once(':').map(|(_, tag)| tag)
}

/// Checks a reference.
///
/// # Errors
/// The message of `InvalidImageName`.
pub fn validate(image: &str) -> Result<(), String> {
    let fail = |reason: &str| {
        Err(format!("Failed to apply default image tag {image:?}: couldn't parse image name {image:?}: {reason}"))
    };
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    let (path, tag) = match name.rfind(':') {
        Some(colon) if !name[colon..].contains('/') => (&name[..colon], Some(&name[colon + 1..])),
        _ => (name, None),
    };
    let first_is_host = path.split_once('/').is_some_and(|(first, _)| {
        first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase)
    });
    let repository = if first_is_host { path.split_once('/').map_or("", |(_, rest)| rest) } else { path };
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return fail("invalid reference format: repository name must be lowercase");
    }
    let component_ok = |component: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        component.chars().all(inner) && edge(component.chars().next()) && edge(component.chars().last())
    };
    let tag_ok = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
            && !tag.starts_with(['.', '-'])
    });
    let digest_ok = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
        })
    });
    if !repository.split('/').all(component_ok) || !tag_ok || !digest_ok {
        return fail("invalid reference format");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_references_are_refused() {
        for good in ["nginx", "nginx:1.27", "a/b/c:x", "localhost:5000/app", "reg.io:443/a_b/c-d:v1.0", "pod_a"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for bad in ["", "Nginx", "nginx:", "nginx:-x", "a//b", "nginx latest", "http://nginx", "x@sha256:12"] {
            assert!(validate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn latest_is_always_pulled() {
        assert_eq!(PullPolicy::IfNotPresent.pulls("nginx", true), Ok(false));
        assert!(PullPolicy::Never.pulls("nginx", false).is_err());
        for (image, policy) in [
            ("nginx", PullPolicy::Always),
            ("nginx:latest", PullPolicy::Always),
            ("localhost:5000/app", PullPolicy::Always),
            ("nginx:1", PullPolicy::IfNotPresent),
        ] {
            assert_eq!(pull_policy(image, None), policy, "{image}");
        }
    }
}
