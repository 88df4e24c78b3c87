//! PodTemplate.

use k8s_openapi::api::core::v1::PodTemplate;
use machinery::Timestamp;
use machinery::field::{ErrorList, Path};
use serde_json::Value;

use super::pod;
use crate::registry::shared::printer::{NAME, column, containers_and_images, format_labels, name};
use crate::registry::strategy::{Typed, parts};

/// PodTemplate's strategy.
pub static STRATEGY: Typed<PodTemplate> = Typed {
    generation: true,
    defaults: |template| pod::defaults::pod_template(template.template.get_or_insert_default()),
    validate: |template| validate(template),
    validate_update: |new, _| validate(new),
    columns: &[
        NAME,
        column("Containers", "string", "Names of the containers in the template."),
        column("Images", "string", "Images of the containers in the template."),
        column("Pod Labels", "string", "Labels of the template."),
    ],
    cells,
    ..Typed::new(parts!(PodTemplate: template))
};

fn cells(template: &PodTemplate, _now: Timestamp) -> Vec<Value> {
    let [containers, images] = containers_and_images(template.template.as_ref());
    let labels = template.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.as_ref());
    vec![name(&template.metadata), containers, images, format_labels(labels)]
}

fn validate(template: &PodTemplate) -> ErrorList {
    pod::validation::template(&Path::new("template"), &template.template.clone().unwrap_or_default())
}
