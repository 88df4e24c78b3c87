//! Which resources the server has.

use machinery::GroupVersionResource;
use machinery::status::ApiError;
use serde_json::Value;

use crate::client::Client;
use crate::resource::ApiResource;

impl Client {
    /// All resources in their group's preferred version, without subresources; groups that do not
    /// answer are errors, so that nobody takes their resources for gone.
    ///
    /// # Errors
    /// What the server answered.
    pub fn preferred_resources(&self) -> Result<Vec<ApiResource>, ApiError> {
        let mut resources = self.resources("", "v1")?;
        let groups = self.get_path("/apis")?;
        for group in groups["groups"].as_array().into_iter().flatten() {
            let text = |pointer: &str| group.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (name, version) = (text("/name"), text("/preferredVersion/version"));
            resources.extend(self.resources(name, version)?);
        }
        resources.retain(|it| !it.resource.resource.contains('/'));
        Ok(resources)
    }

    /// The resources of one version of a group, with their subresources (`deployments/scale`).
    ///
    /// # Errors
    /// What the server answered: not found, where it does not serve the version.
    pub fn resources(&self, group: &str, version: &str) -> Result<Vec<ApiResource>, ApiError> {
        let list = match group {
            "" => self.get_path(&format!("/api/{version}")),
            _ => self.get_path(&format!("/apis/{group}/{version}")),
        }?;
        let resources = list["resources"].as_array().into_iter().flatten().filter_map(|resource| {
            let name = resource["name"].as_str()?;
            Some(ApiResource {
                resource: GroupVersionResource { group: group.into(), version: version.into(), resource: name.into() },
                kind: resource["kind"].as_str()?.into(),
                namespaced: resource["namespaced"] == Value::Bool(true),
                verbs: resource["verbs"].as_array()?.iter().filter_map(|verb| Some(verb.as_str()?.into())).collect(),
            })
        });
        Ok(resources.collect())
    }
}
