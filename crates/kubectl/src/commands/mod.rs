//! The commands, a file each.

mod create;
mod delete;
mod get;

use futures::future::LocalBoxFuture;

use crate::error::Error;
use crate::session::Session;

type Run = for<'s, 'h> fn(&'s Session<'h>) -> LocalBoxFuture<'s, Result<(), Error>>;

/// Commands by the first word of their path.
const COMMANDS: &[(&str, Run)] = &[
    ("create", |session| Box::pin(create::run(session))),
    ("delete", |session| Box::pin(delete::run(session))),
    ("get", |session| Box::pin(get::run(session))),
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
