//! `--raw`: a request to a path, without a look at what it carries.

use bytes::Bytes;
use http::Method;

use crate::error::Error;
use crate::files;
use crate::session::Session;

/// Sends the one file of `-f`, or nothing where the command needs none, and prints the answer byte for byte.
///
/// # Errors
/// Flags that do not go with `--raw`, the server's answer.
pub(super) async fn raw(session: &Session<'_>, method: Method) -> Result<(), Error> {
    let args = &session.args;
    let files = args.list("filename");
    let deletes = method == Method::DELETE;
    let problem = match files {
        [name] if name.starts_with("http://") || name.starts_with("https://") => "--raw cannot read from a url",
        [] if deletes => "",
        [_] => "",
        _ => "--raw can only use a single local file or stdin",
    };
    let exclusive = [
        ("--recursive", args.bool("recursive")),
        ("--edit", args.bool("edit")),
        ("--selector (-l)", !args.string("selector").is_empty()),
        ("--output", !args.string("output").is_empty()),
    ];
    let clash = exclusive.iter().find(|(_, given)| *given).map(|(flag, _)| *flag);
    match (problem, clash) {
        ("", None) => {}
        ("", Some(flag)) => return Err(Error::message(format!("--raw and {flag} are mutually exclusive"))),
        (problem, _) => return Err(Error::message(problem)),
    }
    let path = args.string("raw");
    if !path.starts_with('/') {
        return Err(Error::message(format!("--raw must be a valid URL path: parse {path:?}: invalid URI for request")));
    }
    let data = match files.first() {
        Some(name) => Bytes::from(files::load(session, name).await?.1),
        None => Bytes::new(),
    };
    let headers = [("Accept", "application/json, */*"), ("Content-Type", "application/json")];
    let answer = session.client().await?.send(method, path, &headers, data).await?;
    let body = answer.into_body().collect().await;
    session.host.stdout(&body);
    Ok(())
}
