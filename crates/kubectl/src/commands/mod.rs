//! The commands, a file each.

mod apply;
mod apply_set;
mod auth;
mod config;
mod convert;
mod cp;
mod create;
mod debug;
mod delete;
mod describe;
mod diff;
mod edit;
mod events;
mod exec;
mod explain;
mod expose;
mod forward;
mod get;
mod label;
mod last_applied;
mod logs;
mod nodes;
mod patch;
mod policy_rules;
mod preferences;
mod proxy;
mod prune;
mod raw;
mod reconcile;
mod record;
mod references;
mod replace;
mod rollout;
mod run;
mod scale;
pub(crate) mod server;
mod set;
mod shell;
mod top;
mod wait;

use futures::future::LocalBoxFuture;

use crate::error::Error;
use crate::session::Session;

/// Content type of JSON patches (RFC 6902).
const JSON_PATCH: &str = "application/json-patch+json";
/// Content type of merge patches (RFC 7386).
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Content type of Kubernetes' own merge patches.
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";

type Run = for<'s, 'h> fn(&'s Session<'h>) -> LocalBoxFuture<'s, Result<(), Error>>;

/// Commands by the first word of their path.
const COMMANDS: &[(&str, Run)] = &[
    ("annotate", |session| Box::pin(label::annotate(session))),
    ("api-resources", |session| Box::pin(server::api_resources(session))),
    ("api-versions", |session| Box::pin(server::api_versions(session))),
    ("apply", |session| Box::pin(apply::run(session))),
    ("attach", |session| Box::pin(exec::attach(session))),
    ("auth", |session| Box::pin(auth::run(session))),
    ("autoscale", |session| Box::pin(scale::autoscale(session))),
    ("certificate", |session| Box::pin(auth::certificate(session))),
    ("cluster-info", |session| Box::pin(server::cluster_info(session))),
    ("completion", |session| Box::pin(async { shell::completion(session) })),
    ("config", |session| Box::pin(config::run(session))),
    ("convert", |session| Box::pin(convert::run(session))),
    ("cordon", |session| Box::pin(nodes::cordon(session, true))),
    ("cp", |session| Box::pin(cp::run(session))),
    ("create", |session| Box::pin(create::run(session))),
    ("debug", |session| Box::pin(debug::run(session))),
    ("delete", |session| Box::pin(delete::run(session))),
    ("describe", |session| Box::pin(describe::run(session))),
    ("diff", |session| Box::pin(diff::run(session))),
    ("drain", |session| Box::pin(nodes::drain(session))),
    ("edit", |session| Box::pin(edit::run(session))),
    ("events", |session| Box::pin(events::run(session))),
    ("exec", |session| Box::pin(exec::exec(session))),
    ("explain", |session| Box::pin(explain::run(session))),
    ("expose", |session| Box::pin(expose::run(session))),
    ("get", |session| Box::pin(get::run(session))),
    ("kuberc", |session| Box::pin(preferences::run(session))),
    ("kustomize", |session| Box::pin(shell::kustomize(session))),
    ("label", |session| Box::pin(label::label(session))),
    ("logs", |session| Box::pin(logs::run(session))),
    ("patch", |session| Box::pin(patch::run(session))),
    ("plugin", |session| Box::pin(shell::plugin(session))),
    ("port-forward", |session| Box::pin(forward::port_forward(session))),
    ("proxy", |session| Box::pin(proxy::run(session))),
    ("replace", |session| Box::pin(replace::replace(session))),
    ("rollout", |session| Box::pin(rollout::run(session))),
    ("run", |session| Box::pin(run::run(session))),
    ("scale", |session| Box::pin(scale::scale(session))),
    ("set", |session| Box::pin(set::run(session))),
    ("taint", |session| Box::pin(nodes::taint(session))),
    ("top", |session| Box::pin(top::run(session))),
    ("uncordon", |session| Box::pin(nodes::cordon(session, false))),
    ("version", |session| Box::pin(server::version(session))),
    ("wait", |session| Box::pin(wait::run(session))),
];

/// Runs the command of a session.
///
/// # Errors
/// What the command says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let first = session.args.command.path.split(' ').next().unwrap_or_default();
    match COMMANDS.iter().find(|(name, _)| *name == first) {
        Some((_, run)) => run(session).await,
        None => Err(Error::message(format!("{first}: not available"))),
    }
}
