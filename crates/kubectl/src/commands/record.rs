//! `--record`, which is deprecated: the command line as the cause of a change (upstream's `pkg/cmd/util`).

use serde_json::{Value, json};

use crate::api::Url;
use crate::error::Error;
use crate::resources;
use crate::select::Info;
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

const CAUSE: &str = "kubernetes.io/change-cause";

/// The command line, if it is to be kept: its words, then its flags in their order.
fn cause(session: &Session<'_>) -> Option<String> {
    let args = &session.args;
    if !args.bool("record") {
        return None;
    }
    let words = args.args.iter().map(|word| format!(" {word}")).collect::<String>();
    let flags = args.given().iter().map(|(name, value)| format!(" --{name}={value}")).collect::<String>();
    Some(format!("{}{words}{flags}", args.command.full_name()))
}

/// Notes the cause in an object that is about to be sent.
pub(super) fn note(session: &Session<'_>, object: &mut Value) {
    if let Some(cause) = cause(session) {
        object.put(&["metadata", "annotations", CAUSE], cause);
    }
}

/// The same in what is to become its metadata.
pub(super) fn note_in(session: &Session<'_>, metadata: &mut Value) {
    if let Some(cause) = cause(session) {
        metadata.put(&["annotations", CAUSE], cause);
    }
}

/// Notes the cause in an object that has been changed otherwise.
///
/// # Errors
/// As [`resources::patch`].
pub(super) async fn afterwards(session: &Session<'_>, info: &Info, dry_run: DryRun) -> Result<(), Error> {
    let Some(cause) = cause(session).filter(|_| dry_run == DryRun::None) else { return Ok(()) };
    let change = json!({ "metadata": { "annotations": { CAUSE: cause } } });
    resources::patch(session.client().await?, Url::new(info.path()), super::MERGE_PATCH, &change).await?;
    Ok(())
}
