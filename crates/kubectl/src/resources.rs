//! Which resources the server has: discovery, and names, short names, kinds and categories to resources.

use http::Method;
use machinery::sort::Order;
use serde_json::Value;

use crate::api::Client;
use crate::error::Error;

/// A resource in one version of its group, as discovery describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name: `deployments`.
    pub name: String,
    /// Singular name: `deployment`.
    pub singular: String,
    /// `Deployment`
    pub kind: String,
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// `deploy`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// `get`, `list`, …
    pub verbs: Vec<String>,
    /// `status`, `scale`, …
    pub subresources: Vec<String>,
}

impl Resource {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        machinery::gvk::api_version(&self.group, &self.version)
    }

    /// `deployments.apps` or `pods`.
    pub fn qualified(&self) -> String {
        qualify(&self.name, &self.group)
    }

    /// `deployment.apps` or `pod`: how commands name an object of this kind.
    pub fn kind_name(&self) -> String {
        qualify(&self.kind.to_lowercase(), &self.group)
    }

    /// `/apis/apps/v1/namespaces/default/deployments/web`. Cluster-scoped resources ignore the namespace; an
    /// empty namespace means all, an empty name the collection.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        };
        if self.namespaced && !namespace.is_empty() {
            path.push_str("/namespaces/");
            path.push_str(&escape(namespace));
        }
        path.push('/');
        path.push_str(&self.name);
        if !name.is_empty() {
            path.push('/');
            path.push_str(&escape(name));
        }
        path
    }

    /// Whether the server offers a verb.
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    fn is_called(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.name == name || self.singular == name || self.kind.to_lowercase() == name
    }
}

fn escape(segment: &str) -> String {
    const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'#')
        .add(b'%')
        .add(b'/')
        .add(b'<')
        .add(b'>')
        .add(b'?')
        .add(b'[')
        .add(b']')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    percent_encoding::utf8_percent_encode(segment, SEGMENT).to_string()
}

/// `name.group`, or only the name in the core group.
pub fn qualify(name: &str, group: &str) -> String {
    if group.is_empty() { name.into() } else { format!("{name}.{group}") }
}

/// All resources of a server, in its order: the core group first, a group's preferred version first.
#[derive(Clone, Debug, Default)]
pub struct Mapper {
    /// The resources.
    pub resources: Vec<Resource>,
    /// `(group, versions)` in the server's order.
    pub groups: Vec<(String, Vec<String>)>,
}

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                          application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

impl Mapper {
    /// Asks the server.
    ///
    /// # Errors
    /// No answer, or a Status.
    pub async fn discover(client: &Client<'_>) -> Result<Self, Error> {
        let mut mapper = Self::default();
        for root in ["/api", "/apis"] {
            let answer = client.get_as(root, AGGREGATED).await?;
            if answer["kind"] == "APIGroupDiscoveryList" {
                mapper.read_aggregated(&answer);
            } else {
                mapper.read_classic(client, root, &answer).await?;
            }
        }
        Ok(mapper)
    }

    fn read_aggregated(&mut self, list: &Value) {
        for group in items(&list["items"]) {
            let name = text(&group["metadata"]["name"]);
            let mut versions = Vec::new();
            for version in items(&group["versions"]) {
                let version_name = text(&version["version"]);
                for resource in items(&version["resources"]) {
                    let kind = &resource["responseKind"];
                    self.resources.push(Resource {
                        group: name.clone(),
                        version: version_name.clone(),
                        name: text(&resource["resource"]),
                        singular: text(&resource["singularResource"]),
                        kind: text(&kind["kind"]),
                        namespaced: resource["scope"] == "Namespaced",
                        short_names: texts(&resource["shortNames"]),
                        categories: texts(&resource["categories"]),
                        verbs: texts(&resource["verbs"]),
                        subresources: items(&resource["subresources"])
                            .map(|subresource| text(&subresource["subresource"]))
                            .collect(),
                    });
                }
                versions.push(version_name);
            }
            self.groups.push((name, versions));
        }
    }

    async fn read_classic(&mut self, client: &Client<'_>, root: &str, answer: &Value) -> Result<(), Error> {
        let mut versions: Vec<(String, String)> = Vec::new();
        if root == "/api" {
            versions.extend(texts(&answer["versions"]).into_iter().map(|version| (String::new(), version)));
        }
        for group in items(&answer["groups"]) {
            let name = text(&group["name"]);
            let preferred = text(&group["preferredVersion"]["version"]);
            let mut all: Vec<String> = items(&group["versions"]).map(|version| text(&version["version"])).collect();
            all.order_by_key(|version| *version != preferred);
            versions.extend(all.into_iter().map(|version| (name.clone(), version)));
        }
        for (group, version) in versions {
            let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            let list = client.get(path).await?;
            self.read_resource_list(&group, &version, &list);
            match self.groups.iter_mut().find(|(known, _)| *known == group) {
                Some((_, versions)) => versions.push(version),
                None => self.groups.push((group, vec![version])),
            }
        }
        Ok(())
    }

    fn read_resource_list(&mut self, group: &str, version: &str, list: &Value) {
        for resource in items(&list["resources"]) {
            let name = text(&resource["name"]);
            if let Some((parent, subresource)) = name.split_once('/') {
                let owner = self
                    .resources
                    .iter_mut()
                    .find(|known| known.group == group && known.version == version && known.name == parent);
                owner.into_iter().for_each(|owner| owner.subresources.push(subresource.to_owned()));
                continue;
            }
            self.resources.push(Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                name,
                singular: text(&resource["singularName"]),
                kind: text(&resource["kind"]),
                namespaced: resource["namespaced"] == true,
                short_names: texts(&resource["shortNames"]),
                categories: texts(&resource["categories"]),
                verbs: texts(&resource["verbs"]),
                subresources: Vec::new(),
            });
        }
    }

    /// The resource that a user means by `po`, `pods`, `Pod`, `deployments.apps` or `deployments.v1.apps`.
    ///
    /// # Errors
    /// `the server doesn't have a resource type "x"`.
    pub fn find(&self, typed: &str) -> Result<Resource, Error> {
        let parts: Vec<&str> = typed.splitn(3, '.').collect();
        let found = match parts.as_slice() {
            [""] => None,
            [name, version, group] => {
                let in_group = |resource: &&Resource| resource.group == *group;
                let short = |resource: &&Resource| resource.short_names.iter().any(|short| short == name);
                let of_group = || self.resources.iter().filter(in_group);
                of_group()
                    .find(|resource| resource.version == *version && resource.is_called(name))
                    .or_else(|| self.find_in_group(name, &format!("{version}.{group}")))
                    // Behind a short name no version is asked for.
                    .or_else(|| of_group().filter(short).find(|resource| resource.version == *version))
                    .or_else(|| of_group().find(short))
            }
            [name, group] => self.find_in_group(name, group),
            _ => self.find_by_name(typed),
        };
        let shown = parts.first().copied().unwrap_or_default();
        found.cloned().ok_or_else(|| Error::message(format!("the server doesn't have a resource type {shown:?}")))
    }

    /// The resources whose short name is the same as that of the one [`Self::find`] finds by it, after it.
    pub fn others_by_short_name(&self, typed: &str) -> Vec<&Resource> {
        let has_it = |resource: &&Resource| resource.short_names.iter().any(|short| short == typed);
        let named: Vec<&Resource> = self.resources.iter().filter(has_it).collect();
        match named.split_first() {
            Some((first, others)) if !self.resources.iter().any(|resource| resource.is_called(typed)) => {
                others.iter().copied().filter(|other| other.group != first.group).collect()
            }
            _ => Vec::new(),
        }
    }

    fn find_by_name(&self, name: &str) -> Option<&Resource> {
        let by_name = self.resources.iter().find(|resource| resource.is_called(name));
        by_name
            .or_else(|| self.resources.iter().find(|resource| resource.short_names.iter().any(|short| short == name)))
    }

    fn find_in_group(&self, name: &str, group: &str) -> Option<&Resource> {
        let matches =
            |resource: &&Resource| resource.is_called(name) || resource.short_names.iter().any(|short| short == name);
        let exact = self.resources.iter().filter(|resource| resource.group == group).find(matches);
        exact.or_else(|| {
            let begins = |resource: &&Resource| !group.is_empty() && resource.group.starts_with(group);
            self.resources.iter().filter(begins).find(matches)
        })
    }

    /// The resources of a category such as `all`; empty if it is none.
    pub fn category(&self, name: &str) -> Vec<Resource> {
        let mut found: Vec<Resource> = Vec::new();
        for resource in &self.resources {
            let known = found.iter().any(|other| other.name == resource.name && other.group == resource.group);
            if !known && resource.categories.iter().any(|category| category == name) {
                found.push(resource.clone());
            }
        }
        found
    }

    /// The resource that holds objects of a kind.
    pub fn for_kind(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.kind == kind && resource.api_version() == api_version)
    }
}

/// The elements of a JSON list; none if it is no list.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A JSON string; empty if it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    items(value).map(text).collect()
}

/// What is no object but a path that the server does not have: the answer is no Status of its own, and client-go
/// says what was asked.
pub fn unknown_path(error: Error, verb: &str, resource: &Resource, name: &str) -> Error {
    const MISSING: &str = "the server could not find the requested resource";
    match error {
        Error::Status(mut status) if status.message() == MISSING => {
            let resource = qualify(&resource.name, &resource.group);
            status.0.message = Some(format!("{MISSING} ({verb} {resource} {name})"));
            Error::Status(status)
        }
        other => other,
    }
}

/// Reads one object.
///
/// # Errors
/// As [`Client::get`], and as [`or_no_namespace`].
pub async fn get(client: &Client<'_>, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Error> {
    match client.get(resource.path(namespace, name)).await {
        Err(error) => Err(or_no_namespace(client, namespace, error).await),
        found => found,
    }
}

/// Why there is no object: a namespace that is not there is the better reason (upstream's `Info.Get`).
pub async fn or_no_namespace(client: &Client<'_>, namespace: &str, error: Error) -> Error {
    if !error.is_not_found() || matches!(namespace, "" | "default") {
        return error;
    }
    match client.get(format!("/api/v1/namespaces/{namespace}")).await {
        Err(missing) if missing.is_not_found() => missing,
        _ => error,
    }
}

/// Patches one object.
///
/// # Errors
/// As [`Client::get`].
pub async fn patch(
    client: &Client<'_>,
    url: impl Into<crate::api::Url>,
    content_type: &str,
    patch: &Value,
) -> Result<Value, Error> {
    client.write(Method::PATCH, url, content_type, patch).await
}
