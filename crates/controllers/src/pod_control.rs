//! Creates and deletes pods for a controller and records that it did, as upstream's `PodControl`.

use client::{Client, DeleteOptions, EventRecorder, EventType, key_of};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::status::ApiError;
use machinery::{Kind, Timestamp, names};

use crate::pods;

/// The first batch of pods to create; each that went well is followed by one twice as large.
const SLOW_START_INITIAL: usize = 1;

/// A pod from a template, controlled by `owner`, with a generated name after it.
pub fn pod_from_template<O: Kind>(template: &PodTemplateSpec, owner: &O, reference: OwnerReference) -> Pod {
    let metadata = template.metadata.as_ref();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(name_prefix(pods::name(owner))),
            namespace: owner.metadata().namespace.clone(),
            labels: metadata.and_then(|metadata| metadata.labels.clone()),
            annotations: metadata.and_then(|metadata| metadata.annotations.clone()),
            finalizers: metadata.and_then(|metadata| metadata.finalizers.clone()),
            owner_references: Some(vec![reference]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// The owner's name and a dash, or without the dash where that is no name.
fn name_prefix(owner: &str) -> String {
    let prefix = format!("{owner}-");
    // A generated name goes on after the prefix, hence its last character is no matter here.
    if names::is_dns1123_subdomain(&format!("{prefix}a")).is_empty() { prefix } else { owner.into() }
}

/// Creates a pod for `owner`. In a namespace that is being deleted nothing can be created, and that
/// is no news.
///
/// # Errors
/// What the server answered.
pub fn create<O: Kind>(
    client: &Client,
    recorder: &mut EventRecorder,
    now: Timestamp,
    owner: &O,
    pod: Pod,
) -> Result<std::sync::Arc<Pod>, ApiError> {
    let created = client.create(pod);
    match &created {
        Ok(pod) => {
            let message = format!("Created pod: {}", pods::name(&**pod));
            recorder.event(now, owner, EventType::Normal, "SuccessfulCreate", &message);
        }
        Err(error) if error.has_cause("NamespaceTerminating") => {}
        Err(error) => {
            recorder.event(now, owner, EventType::Warning, "FailedCreate", &format!("Error creating: {error}"));
        }
    }
    created
}

/// Deletes a pod of `owner`.
///
/// # Errors
/// What the server answered, NotFound included.
pub fn delete<O: Kind>(
    client: &Client,
    recorder: &mut EventRecorder,
    now: Timestamp,
    owner: &O,
    pod: &Pod,
) -> Result<(), ApiError> {
    let deleted = client.delete::<Pod>(&key_of(pod), &DeleteOptions::default());
    match &deleted {
        Ok(()) => {
            let message = format!("Deleted pod: {}", pods::name(pod));
            recorder.event(now, owner, EventType::Normal, "SuccessfulDelete", &message);
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => {
            recorder.event(now, owner, EventType::Warning, "FailedDelete", &format!("Error deleting: {error}"));
        }
    }
    deleted
}

/// Calls `make` up to `count` times in batches of 1, 2, 4, …, and stops after the batch in which one
/// failed: a quota that is used up costs a few attempts, not hundreds. Gives how many went well, and
/// the first error.
pub fn slow_start(count: usize, mut make: impl FnMut() -> Result<(), ApiError>) -> (usize, Result<(), ApiError>) {
    let mut succeeded = 0;
    let mut batch = SLOW_START_INITIAL.min(count);
    while batch > 0 {
        let mut result = Ok(());
        for _ in 0..batch {
            match make() {
                Ok(()) => succeeded += 1,
                Err(error) => result = result.and(Err(error)),
            }
        }
        if result.is_err() {
            return (succeeded, result);
        }
        batch = (2 * batch).min(count - succeeded);
    }
    (succeeded, Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_server_is_asked_less() {
        let mut calls = 0;
        let (succeeded, result) = slow_start(100, || {
            calls += 1;
            if calls > 5 { Err(ApiError::internal("no")) } else { Ok(()) }
        });
        // 1 + 2 + a batch of 4 in which two went well.
        assert_eq!((calls, succeeded), (7, 5));
        assert!(result.is_err());
        assert_eq!(slow_start(10, || Ok(())).0, 10);
    }
}
