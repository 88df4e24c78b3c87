//! A node that has the pod's images already is the better one.

use crate::framework::{MAX_NODE_SCORE, NodeInfo, PodInfo, Score};

const MEBIBYTE: i64 = 1024 * 1024;
/// Below this the images' size makes no difference.
const MIN_THRESHOLD: i64 = 23 * MEBIBYTE;
/// Above this, for each container, neither.
const MAX_CONTAINER_THRESHOLD: i64 = 1000 * MEBIBYTE;

/// See the module's documentation.
pub struct ImageLocality;

impl Score for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn weight(&self) -> i64 {
        1
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let Some(spec) = pod.spec() else { return 0 };
        let images = node.node.as_ref().and_then(|node| node.status.as_ref()).and_then(|status| status.images.as_ref());
        let size_of = |wanted: &str| {
            let image =
                images.into_iter().flatten().find(|image| image.names.iter().flatten().any(|name| name == wanted));
            image.and_then(|image| image.size_bytes).unwrap_or(0)
        };
        let sizes = spec.containers.iter().filter_map(|it| it.image.as_deref()).map(size_of);
        let present = sizes.fold(0, i64::saturating_add);
        let most = MAX_CONTAINER_THRESHOLD.saturating_mul(i64::try_from(spec.containers.len()).unwrap_or(1));
        MAX_NODE_SCORE * (present.clamp(MIN_THRESHOLD, most.max(MIN_THRESHOLD)) - MIN_THRESHOLD)
            / (most - MIN_THRESHOLD).max(1)
    }
}
