//! Image references and pull policies.

use k8s_openapi::api::core::v1::Container;

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

/// The container's pull policy; by default `Always` for `latest`.
pub fn pull_policy(container: &Container) -> PullPolicy {
    match container.image_pull_policy.as_deref() {
        Some("Always") => PullPolicy::Always,
        Some("Never") => PullPolicy::Never,
        Some("IfNotPresent") => PullPolicy::IfNotPresent,
        _ => match tag(str(&container.image)) {
            Some("latest") | None => PullPolicy::Always,
            Some(_) => PullPolicy::IfNotPresent,
        },
    }
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
        for (image, policy) in [
            ("nginx", PullPolicy::Always),
            ("nginx:latest", PullPolicy::Always),
            ("localhost:5000/app", PullPolicy::Always),
            ("nginx:1", PullPolicy::IfNotPresent),
        ] {
            let container = Container { image: Some(image.into()), ..Container::default() };
            assert_eq!(pull_policy(&container), policy, "{image}");
        }
    }
}
