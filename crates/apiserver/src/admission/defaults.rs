//! DefaultStorageClass, DefaultIngressClass and StorageObjectInUseProtection.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::storage::v1::StorageClass;
use machinery::quantity::Quantity;
use machinery::sort::Order;
use machinery::{ApiError, Kind, Object};

use super::{Operation, Terms};
use crate::call::{Call, Result};

/// The name of the class that its annotation makes the default; of several the newest, as upstream.
fn default_class<K: Kind>(call: &Call, resource: (&str, &str), annotation: &str) -> Option<String> {
    let classes = super::all::<K>(call, resource, "").into_iter().map(|(_, class)| class);
    let metadata = |class: &K| Object::metadata(class).clone();
    let is_default = |class: &K| {
        metadata(class).annotations.as_ref().and_then(|all| all.get(annotation)).is_some_and(|value| value == "true")
    };
    let mut classes: Vec<_> = classes.filter(|class| is_default(class)).map(|class| metadata(&class)).collect();
    classes.order_by_key(|class| {
        (std::cmp::Reverse(class.creation_timestamp.as_ref().map(|time| time.0)), class.name.clone())
    });
    classes.into_iter().next()?.name
}

fn has_annotation(object: &dyn Object, name: &str) -> bool {
    object.metadata().annotations.as_ref().is_some_and(|all| all.contains_key(name))
}

/// A claim that names no class gets the default one.
pub(super) fn storage_class(
    call: &Call,
    operation: Operation,
    object: &mut dyn Object,
    _: Option<&dyn Object>,
) -> Result<()> {
    if operation != Operation::Create || has_annotation(object, "volume.beta.kubernetes.io/storage-class") {
        return Ok(());
    }
    let Some(claim) = object.as_any_mut().downcast_mut::<PersistentVolumeClaim>() else { return Ok(()) };
    let spec = claim.spec.get_or_insert_default();
    if spec.storage_class_name.is_none() {
        let annotation = "storageclass.kubernetes.io/is-default-class";
        spec.storage_class_name = default_class::<StorageClass>(call, ("storage.k8s.io", "storageclasses"), annotation);
    }
    Ok(())
}

/// An ingress that names no class gets the default one.
pub(super) fn ingress_class(
    call: &Call,
    operation: Operation,
    object: &mut dyn Object,
    _: Option<&dyn Object>,
) -> Result<()> {
    if operation != Operation::Create || has_annotation(object, "kubernetes.io/ingress.class") {
        return Ok(());
    }
    let Some(ingress) = object.as_any_mut().downcast_mut::<Ingress>() else { return Ok(()) };
    let spec = ingress.spec.get_or_insert_default();
    if spec.ingress_class_name.is_none() {
        let annotation = "ingressclass.kubernetes.io/is-default-class";
        spec.ingress_class_name =
            default_class::<IngressClass>(call, ("networking.k8s.io", "ingressclasses"), annotation);
    }
    Ok(())
}

/// A bound claim grows where its class lets it (`plugin/pkg/admission/storage/persistentvolume/resize`).
pub(super) fn resize(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
    old: Option<&dyn Object>,
    _: &mut Terms,
) -> Result<()> {
    if operation != Operation::Update || !call.info.subresource.is_empty() {
        return Ok(());
    }
    let claim = |object: &dyn Object| object.as_any().downcast_ref::<PersistentVolumeClaim>().cloned();
    let (Some(new), Some(old)) = (claim(object), old.and_then(claim)) else { return Ok(()) };
    let size = |claim: &PersistentVolumeClaim| {
        let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
        Quantity::of(resources.and_then(|resources| resources.requests.as_ref()?.get("storage")))
    };
    if size(&new) <= size(&old) {
        return Ok(());
    }
    let name = old.metadata.name.clone().unwrap_or_default();
    let refuse = |why: &str| Err(ApiError::forbidden(&call.resource(), &name, why));
    if old.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound") {
        return refuse("Only bound persistent volume claims can be expanded");
    }
    let class = old.spec.as_ref().and_then(|spec| spec.storage_class_name.clone()).unwrap_or_default();
    let classes = super::all::<StorageClass>(call, ("storage.k8s.io", "storageclasses"), "");
    let grows = classes.iter().any(|(_, known)| {
        known.metadata.name.as_deref() == Some(&*class) && known.allow_volume_expansion == Some(true)
    });
    if grows {
        return Ok(());
    }
    refuse(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    )
}

/// Claims and volumes get the finalizer with which their controllers keep them while they are used.
pub(super) fn in_use_protection(
    _: &Call,
    operation: Operation,
    object: &mut dyn Object,
    _: Option<&dyn Object>,
) -> Result<()> {
    let finalizer = if object.as_any().is::<PersistentVolumeClaim>() {
        "kubernetes.io/pvc-protection"
    } else if object.as_any().is::<PersistentVolume>() {
        "kubernetes.io/pv-protection"
    } else {
        return Ok(());
    };
    let has = object.metadata().finalizers.iter().flatten().any(|other| other == finalizer);
    if operation == Operation::Create && !has {
        object.metadata_mut().finalizers.get_or_insert_default().push(finalizer.into());
    }
    Ok(())
}
