//! Adopts what an object should control and releases what it should not, as upstream's
//! `ControllerRefManager`.

use std::sync::Arc;

use client::{Client, Patch, key_of};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use machinery::Kind;
use machinery::labels::Selector;
use machinery::status::ApiError;
use serde_json::json;

use crate::pods::{controller_of, is_deleting, uid};

/// The reference with which `owner` controls what it creates or adopts.
pub fn controller_reference<O: Kind>(owner: &O) -> OwnerReference {
    OwnerReference {
        api_version: O::API_VERSION.into(),
        kind: O::KIND.into(),
        name: owner.metadata().name.clone().unwrap_or_default(),
        uid: owner.metadata().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Of `candidates` (what `owner` controls, and orphans of its namespace), those that are `owner`'s
/// now: its own that match stay, its own that do not match are released, orphans that match are
/// adopted. An owner that is being deleted adopts and releases nothing.
///
/// # Errors
/// What kept it from adopting or releasing; the sync is to be tried again.
pub fn claim<O: Kind, K: Kind>(
    client: &Client,
    owner: &O,
    selector: &Selector,
    candidates: impl IntoIterator<Item = Arc<K>>,
) -> Result<Vec<Arc<K>>, ApiError> {
    let mut claimed = Vec::new();
    let mut may_adopt = None;
    for object in candidates {
        let matches = selector.matches(object.metadata().labels.as_ref());
        match controller_of(object.metadata()) {
            Some(controller) if controller.uid != uid(owner) => {}
            Some(_) if matches => claimed.push(object),
            Some(_) if is_deleting(owner) => {}
            Some(_) => release(client, owner, &*object)?,
            None if !matches || is_deleting(owner) || is_deleting(&*object) => {}
            None => {
                // The cache may be behind: ask the server whether the owner still is what it was.
                if may_adopt.is_none() {
                    may_adopt = Some(can_adopt(client, owner)?);
                }
                if let Some(adopted) = adopt(client, owner, &*object)? {
                    claimed.push(adopted);
                }
            }
        }
    }
    Ok(claimed)
}

fn can_adopt<O: Kind>(client: &Client, owner: &O) -> Result<(), ApiError> {
    let key = key_of(owner);
    let fresh = client.get::<O>(&key)?;
    if uid(&*fresh) != uid(owner) {
        let (kind, got, wanted) = (O::KIND, uid(&*fresh), uid(owner));
        return Err(ApiError::internal(format!("original {kind} {key} is gone: got uid {got}, wanted {wanted}")));
    }
    match &fresh.metadata().deletion_timestamp {
        Some(time) => Err(ApiError::internal(format!("{key} has just been deleted at {}", time.0))),
        None => Ok(()),
    }
}

fn adopt<O: Kind, K: Kind>(client: &Client, owner: &O, object: &K) -> Result<Option<Arc<K>>, ApiError> {
    let patch = json!({ "metadata": { "ownerReferences": [controller_reference(owner)], "uid": uid(object) } });
    absent_is_fine(client.patch::<K>(&key_of(object), &Patch::Strategic(patch)))
}

fn release<O: Kind, K: Kind>(client: &Client, owner: &O, object: &K) -> Result<(), ApiError> {
    let patch = json!({
        "metadata": { "ownerReferences": [{ "$patch": "delete", "uid": uid(owner) }], "uid": uid(object) },
    });
    match absent_is_fine(client.patch::<K>(&key_of(object), &Patch::Strategic(patch))) {
        // It has no owners any more, or it was made anew under its name.
        Err(error) if error.is_invalid() => Ok(()),
        other => other.map(drop),
    }
}

fn absent_is_fine<T>(result: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
