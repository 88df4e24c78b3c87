//! ServiceAccount.

use k8s_openapi::api::core::v1::ServiceAccount;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::strategy::{Typed, parts};

/// ServiceAccount's strategy.
pub static STRATEGY: Typed<ServiceAccount> = Typed {
    columns: &[NAME, column("Secrets", "string", "Number of secrets its pods may use."), AGE],
    cells,
    unconditional_update: false,
    ..Typed::new(parts!(ServiceAccount: automount_service_account_token, image_pull_secrets, secrets))
};

fn cells(account: &ServiceAccount, now: Timestamp) -> Vec<Value> {
    let secrets = account.secrets.as_ref().map_or(0, Vec::len);
    vec![name(&account.metadata), secrets.into(), age(&account.metadata, now)]
}
