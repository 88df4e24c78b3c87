//! From method and URL to what is asked of which resource, as apiserver's `RequestInfo`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::{IntErrorKind, ParseIntError};

use http::Method;
use machinery::{ApiError, fields, names};

/// What a request is about. Non-resource requests (`/version`, `/healthz`, discovery) have an empty
/// [`RequestInfo::resource`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for
    /// non-resource requests the method in lower case.
    pub verb: String,
    /// The path as it came.
    pub path: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; empty for cluster-scoped objects and for all namespaces.
    pub namespace: String,
    /// Resource, such as `pods`; empty for a non-resource request.
    pub resource: String,
    /// Name; empty for collections.
    pub name: String,
    /// Subresource, such as `status`; empty for the object itself.
    pub subresource: String,
    /// What follows the subresource, for proxies; with its leading `/`.
    pub rest: String,
    /// Query parameters; of repeated ones, all values.
    pub query: Query,
}

/// A request's query parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    /// From the URL's query, percent-encoded.
    pub fn parse(query: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            values.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(values)
    }

    /// A parameter's first value; empty if absent.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    /// Whether the parameter is given, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every parameter with each of its values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value.as_str())))
    }

    /// Selects the object of this name, besides what is selected already.
    fn select_name(&mut self, name: &str) {
        let given = self.get("fieldSelector");
        let comma = if given.is_empty() { "" } else { "," };
        let selector = format!("{given}{comma}metadata.name={}", fields::escape(name));
        self.0.insert("fieldSelector".into(), vec![selector]);
    }

    /// A boolean as apimachinery converts it: absent, `0` and `false` are false, all else is true.
    pub fn flag(&self, name: &str) -> bool {
        self.has(name) && !matches!(self.get(name).to_ascii_lowercase().as_str(), "0" | "false")
    }

    /// A parameter as a number; `None` if it is not given, or empty.
    ///
    /// # Errors
    /// 400 for what is no number, in the words of Go's `strconv`.
    pub fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|error: ParseIntError| {
            let reason = match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            ApiError::bad_request(format!("strconv.ParseInt: parsing {}: {reason}", machinery::go::quote(text)))
        })
    }
}

impl RequestInfo {
    /// Reads method, path and query (without `?`).
    pub fn parse(method: &Method, path: &str, query: &str) -> Self {
        let mut info = Self { path: path.into(), verb: method.as_str().to_ascii_lowercase(), ..Self::default() };
        info.query = Query::parse(query);
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let mut parts = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => {
                info.version = (*version).into();
                rest
            }
            ["apis", group, version, rest @ ..] if !rest.is_empty() => {
                (info.group, info.version) = ((*group).into(), (*version).into());
                rest
            }
            _ => return info,
        };
        info.verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        }
        .into();
        if let [first, rest @ ..] = parts
            && *first == "watch"
            && !rest.is_empty()
        {
            info.verb = "watch".into();
            parts = rest;
        }
        // A namespace is a scope, unless it or one of its own subresources is what is asked for.
        if let ["namespaces", namespace, rest @ ..] = parts {
            info.namespace = decode(namespace);
            if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) {
                parts = rest;
            }
        }
        let mut parts = parts.iter();
        info.resource = parts.next().map(|part| decode(part)).unwrap_or_default();
        info.name = parts.next().map(|part| decode(part)).unwrap_or_default();
        info.subresource = parts.next().map(|part| (*part).to_owned()).unwrap_or_default();
        info.rest = parts.fold(String::new(), |rest, part| rest + "/" + part);
        if !info.rest.is_empty() && path.ends_with('/') {
            info.rest.push('/');
        }
        // The old path of one object's watch is a watch of all with its name.
        if info.verb == "watch" && info.subresource.is_empty() && !info.name.is_empty() {
            info.query.select_name(&std::mem::take(&mut info.name));
        }
        if info.name.is_empty() {
            match info.verb.as_str() {
                "get" if info.query.flag("watch") => info.verb = "watch".into(),
                "get" => info.verb = "list".into(),
                "delete" => info.verb = "deletecollection".into(),
                _ => {}
            }
        }
        info
    }

    /// The name of the object it is about, for who decides whether it may be asked: that by which a list or
    /// a watch selects, too.
    pub fn name_asked(&self) -> String {
        if matches!(self.verb.as_str(), "list" | "watch")
            && let Ok(selector) = fields::Selector::parse(self.query.get("fieldSelector"))
            && let Some(name) = selector.exact("metadata.name")
            && names::is_path_segment_name(name).is_empty()
        {
            return name.to_owned();
        }
        self.name.clone()
    }

    /// Whether it is about a resource.
    pub fn is_resource_request(&self) -> bool {
        !self.resource.is_empty()
    }
}

fn decode(part: &str) -> String {
    let bytes: Cow<'_, [u8]> = percent_encoding::percent_decode_str(part).into();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_upstream_reads_them() {
        let cases = [
            ("GET", "/api/v1/pods", "list||pods||"),
            ("GET", "/api/v1/pods?watch=1", "watch||pods||"),
            ("GET", "/api/v1/pods?watch=false", "list||pods||"),
            ("GET", "/api/v1/watch/namespaces/a/pods", "watch|a|pods||"),
            ("GET", "/api/v1/watch/namespaces/a/pods/p", "watch|a|pods||"),
            ("GET", "/api/v1/namespaces", "list||namespaces||"),
            ("GET", "/api/v1/namespaces/a", "get|a|namespaces|a|"),
            ("PUT", "/api/v1/namespaces/a/finalize", "update|a|namespaces|a|finalize"),
            ("POST", "/api/v1/namespaces/a/pods", "create|a|pods||"),
            ("GET", "/apis/apps/v1/namespaces/a/deployments/d/scale", "get|a|deployments|d|scale"),
            ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection|a|pods||"),
            ("GET", "/apis/apps/v1", "get||||"),
            ("GET", "/version", "get||||"),
            ("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", "get||clusterroles|system:node|"),
        ];
        for (method, url, expected) in cases {
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let info = RequestInfo::parse(&method, path, query);
            let got = [info.verb, info.namespace, info.resource, info.name, info.subresource].join("|");
            assert_eq!(got, expected, "{url}");
        }
        let asked = |path: &str, query: &str| RequestInfo::parse(&Method::GET, path, query).name_asked();
        assert_eq!(asked("/api/v1/watch/namespaces/a/pods/p", "fieldSelector=spec.nodeName%3Dn"), "p");
        assert_eq!(asked("/api/v1/namespaces/a/pods", "fieldSelector=metadata.name%3Dp"), "p");
        assert_eq!(asked("/api/v1/namespaces/a/pods", "fieldSelector=metadata.name!%3Dp"), "");
        assert_eq!(asked("/api/v1/namespaces/a/pods/q", "fieldSelector=metadata.name%3Dp"), "q");
        let info = RequestInfo::parse(&Method::GET, "/api/v1/namespaces/a/services/http:s:80/proxy/x/y/", "");
        assert_eq!((info.name.as_str(), info.rest.as_str()), ("http:s:80", "/x/y/"));
    }
}
