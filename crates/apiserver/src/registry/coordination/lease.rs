//! Lease.

use k8s_openapi::api::coordination::v1::Lease;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::validate::nonnegative;
use crate::registry::strategy::{Typed, parts};

/// Lease's strategy.
pub static STRATEGY: Typed<Lease> = Typed {
    validate,
    validate_update: |new, _| validate(new),
    columns: &[NAME, column("Holder", "string", "Who holds the lease."), AGE],
    cells,
    create_on_update: true,
    unconditional_update: false,
    ..Typed::new(parts!(Lease: spec))
};

fn validate(lease: &Lease) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = lease.spec.clone().unwrap_or_default();
    if let Some(seconds) = spec.lease_duration_seconds.filter(|seconds| *seconds <= 0) {
        errors.push(Error::invalid(&path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
    }
    nonnegative(&mut errors, &path.child("leaseTransitions"), spec.lease_transitions.unwrap_or_default());
    errors
}

fn cells(lease: &Lease, now: Timestamp) -> Vec<Value> {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
    vec![name(&lease.metadata), holder.into(), age(&lease.metadata, now)]
}
