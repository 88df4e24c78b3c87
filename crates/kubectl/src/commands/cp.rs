//! `kubectl cp`, by `cat` and `sh` in the container: images without `tar` work, folders need it.

use bytes::Bytes;

use super::exec::{choose_container, run_for_output, the_pod};
use crate::error::Error;
use crate::session::Session;

/// A place: a file of this machine, or of a pod.
struct Place<'a> {
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    path: &'a str,
}

fn place(text: &str) -> Result<Place<'_>, Error> {
    let Some((pod, path)) = text.split_once(':') else {
        return Ok(Place { pod: None, namespace: None, path: text });
    };
    if pod.is_empty() || path.is_empty() {
        return Err(Error::message("filepath can not be empty"));
    }
    match pod.split_once('/') {
        Some((namespace, pod)) => Ok(Place { pod: Some(pod), namespace: Some(namespace), path }),
        None => Ok(Place { pod: Some(pod), namespace: None, path }),
    }
}

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let [from, to] = session.args.args.as_slice() else {
        return Err(Error::message("source and destination are required"));
    };
    let (from, to) = (place(from)?, place(to)?);
    match (from.pod, to.pod) {
        (Some(_), Some(_)) => Err(Error::message("one of src or dest must be a local file specification")),
        (None, None) => Err(Error::message("one of src or dest must be a remote file specification")),
        (Some(pod), None) => {
            let data = in_pod(session, &from, pod, &["cat", from.path], None).await?;
            let name = from.path.rsplit('/').next().unwrap_or(from.path);
            let path = match session.host.read_dir(to.path).await {
                Ok(_) => format!("{}/{name}", to.path.trim_end_matches('/')),
                Err(_) => to.path.to_owned(),
            };
            session
                .host
                .write_file(&path, data)
                .await
                .map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))
        }
        (None, Some(pod)) => {
            let data = session
                .host
                .read_file(from.path)
                .await
                .map_err(|_| Error::message(format!("{} doesn't exist in local filesystem", from.path)))?;
            let name = from.path.rsplit('/').next().unwrap_or(from.path);
            let script = "if [ -d \"$0\" ]; then cat > \"$0/$1\"; else cat > \"$0\"; fi";
            in_pod(session, &to, pod, &["sh", "-c", script, to.path, name], Some(data)).await.map(|_| ())
        }
    }
}

async fn in_pod(
    session: &Session<'_>,
    place: &Place<'_>,
    pod: &str,
    command: &[&str],
    input: Option<Bytes>,
) -> Result<Bytes, Error> {
    let pod = match place.namespace {
        None => the_pod(session, &[pod.to_owned()]).await?,
        Some(namespace) => {
            let path = super::logs::pods().path(namespace, pod);
            session.client().await?.get(path).await?
        }
    };
    let container = choose_container(session, &pod, session.args.string("container"), false)?;
    run_for_output(session, &pod, &container, command, input).await
}
