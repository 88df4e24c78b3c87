//! Image references, as Docker's reference grammar has them.

use std::fmt;

/// Longest repository name, with its registry.
const NAME_LENGTH_MAX: usize = 255;
/// Longest tag.
const TAG_LENGTH_MAX: usize = 128;

/// A reference in full: `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's host, with its port where it has one: `docker.io`.
    pub registry: String,
    /// The path in it: `library/nginx`.
    pub repository: String,
    /// The tag; `latest` where neither tag nor digest was given, empty with a digest alone.
    pub tag: String,
    /// `sha256:…`, if given.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference as it stands in a pod's spec.
    ///
    /// # Errors
    /// Docker's words for what is wrong, such as `invalid reference format`.
    pub fn parse(text: &str) -> Result<Self, String> {
        const INVALID: &str = "invalid reference format";
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        if digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            return Err(INVALID.into());
        }
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(INVALID.into());
        }
        let (registry, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path.to_owned()),
            Some(_) => ("docker.io", name.to_owned()),
            None => ("docker.io", format!("library/{name}")),
        };
        if name.is_empty() || !is_host(registry) || !path.split('/').all(|part| is_path_part(&part.to_lowercase())) {
            return Err(INVALID.into());
        }
        if path.chars().any(char::is_uppercase) {
            return Err(format!("{INVALID}: repository name ({path}) must be lowercase"));
        }
        if registry.len() + path.len() >= NAME_LENGTH_MAX {
            return Err(format!("repository name must not be more than {NAME_LENGTH_MAX} characters"));
        }
        let default = if digest.is_some() { "" } else { "latest" };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        // Docker's own images are in a folder that nobody writes.
        let official = registry == "docker.io" && !path.contains('/');
        let path = if official { format!("library/{path}") } else { path };
        Ok(Self { registry: registry.into(), repository: path, tag: tag.unwrap_or(default).into(), digest })
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The repository as people write it: `nginx`, `docker/getting-started`, `ghcr.io/a/b`.
    pub fn familiar(&self) -> String {
        match (self.registry.as_str(), self.repository.strip_prefix("library/")) {
            ("docker.io", Some(short)) => short.to_owned(),
            ("docker.io", None) => self.repository.clone(),
            _ => self.name(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if !self.tag.is_empty() {
            write!(f, ":{}", self.tag)?;
        }
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn is_tag(tag: &str) -> bool {
    let first = tag.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    let rest = tag.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    first && rest && tag.len() <= TAG_LENGTH_MAX
}

fn is_digest(digest: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
}

fn is_host(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let label = |label: &str| {
        let inside = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        inside && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label) && port.parse::<u16>().is_ok()
}

/// Lower-case words joined by one `.`, one or two `_`, or any number of `-`.
fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let allowed = part.chars().all(|c| word(c) || matches!(c, '.' | '_' | '-'));
    let ends = part.starts_with(word) && part.ends_with(word);
    let joined =
        part.split(word).all(|joint| matches!(joint, "" | "." | "_" | "__") || joint.chars().all(|c| c == '-'));
    allowed && ends && joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed() {
        let cases = [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.7.9", "docker.io/library/nginx:1.7.9"),
            ("docker.io/redis:6.0.5", "docker.io/library/redis:6.0.5"),
            ("docker/getting-started", "docker.io/docker/getting-started:latest"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            (
                "in28min/mmv2-currency-exchange-service:0.0.11-SNAPSHOT",
                "docker.io/in28min/mmv2-currency-exchange-service:0.0.11-SNAPSHOT",
            ),
        ];
        for (text, full) in cases {
            assert_eq!(Reference::parse(text).unwrap().to_string(), full);
        }
        assert_eq!(Reference::parse("docker.io/library/nginx").unwrap().familiar(), "nginx");
    }

    #[test]
    fn malformed_references_are_refused() {
        for text in ["", ":", "nginx:", "nginx:a b", "a//b", "-nginx", "nginx@sha256:12", "http://x/y", "ngi nx"] {
            assert_eq!(Reference::parse(text).unwrap_err(), "invalid reference format", "{text}");
        }
        let upper = Reference::parse("Nginx").unwrap_err();
        assert_eq!(upper, "invalid reference format: repository name (library/Nginx) must be lowercase");
    }
}
