//! A node that has the pod's images already is the better one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;

use crate::cache::Cache;
use crate::framework::{Cycle, MAX_NODE_SCORE, NodeInfo, PodInfo, Score};

const MEBIBYTE: i64 = 1024 * 1024;
/// Below this the images' size makes no difference.
const MIN_THRESHOLD: i64 = 23 * MEBIBYTE;
/// Above this, for each container, neither.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MEBIBYTE;

/// See the module's documentation.
pub struct ImageLocality;

/// An image of one of a pod's containers.
#[derive(Debug)]
pub struct Wanted {
    /// Its name with a tag; empty for a container that names none.
    name: String,
    /// On how many nodes it is.
    nodes: i64,
}

/// Finds out on how many nodes the images of a pod's containers are.
pub fn prepare(pod: &PodInfo, cache: &Cache) -> Vec<Wanted> {
    let containers =
        pod.spec().into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let wanted = containers.map(|container| {
        let name = container.image.as_deref().map(normalized).unwrap_or_default();
        let nodes = i64::try_from(cache.nodes_with_image(&name)).unwrap_or(i64::MAX);
        Wanted { name, nodes }
    });
    wanted.collect()
}

impl Score for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// The sizes of the images that are there; those that few nodes have count less, lest all pods of an
    /// image go to the one node that has it.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        if !node.has_images {
            return 0;
        }
        let images = node.node.as_ref().and_then(|node| node.status.as_ref()?.images.as_deref()).unwrap_or_default();
        let all = i64::try_from(cycle.cache.len().max(1)).unwrap_or(i64::MAX);
        let size_of = |wanted: &Wanted| {
            let image = images.iter().find(|image| image.names.iter().flatten().any(|name| *name == wanted.name));
            let size = image.and_then(|image| image.size_bytes).unwrap_or(0);
            i64::try_from(i128::from(size) * i128::from(wanted.nodes) / i128::from(all)).unwrap_or(i64::MAX)
        };
        let wanted = &cycle.prepared.images;
        let present = wanted.iter().map(size_of).fold(0, i64::saturating_add);
        let most = MAX_CONTAINER_THRESHOLD.saturating_mul(i64::try_from(wanted.len()).unwrap_or(1));
        MAX_NODE_SCORE * (present.clamp(MIN_THRESHOLD, most.max(MIN_THRESHOLD)) - MIN_THRESHOLD)
            / (most - MIN_THRESHOLD).max(1)
    }
}

/// An image's name with the tag that it has when none is given.
fn normalized(name: &str) -> String {
    let path = name.rfind('/').unwrap_or(0);
    let tagged = name.get(path..).is_some_and(|last| last.contains(':'));
    if tagged { name.to_owned() } else { format!("{name}:latest") }
}

/// Counts a node's images in, or out.
pub fn count(images: &mut BTreeMap<String, usize>, node: Option<&Node>, there: bool) {
    let Some(status) = node.and_then(|node| node.status.as_ref()) else { return };
    for name in status.images.iter().flatten().flat_map(|image| image.names.iter().flatten()) {
        if there {
            *images.entry(name.clone()).or_default() += 1;
        } else if let Some(count) = images.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                images.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_tag_means_the_latest() {
        for (name, expected) in [
            ("nginx", "nginx:latest"),
            ("nginx:1.27", "nginx:1.27"),
            ("localhost:5000/nginx", "localhost:5000/nginx:latest"),
            ("nginx@sha256:0123", "nginx@sha256:0123"),
        ] {
            assert_eq!(normalized(name), expected);
        }
    }
}
