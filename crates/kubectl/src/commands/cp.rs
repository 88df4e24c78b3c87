//! `kubectl cp`, by `tar` in the container.

use bytes::Bytes;

use super::exec::{Tell, choose_container, run_for_output};
use crate::error::Error;
use crate::session::Session;
use crate::tar::{self, Member};

/// A place: a path of this machine, or of a pod.
struct Place<'a> {
    pod: Option<&'a str>,
    namespace: Option<&'a str>,
    path: &'a str,
}

fn place(text: &str) -> Result<Place<'_>, Error> {
    let Some((pod, path)) = text.split_once(':') else {
        return Ok(Place { pod: None, namespace: None, path: without_slash(text) });
    };
    if pod.is_empty() || pod.matches('/').count() > 1 {
        return Err(Error::message("filespec must match the canonical format: [[namespace/]pod:]file/path"));
    }
    if path.is_empty() {
        return Err(Error::message("filepath can not be empty"));
    }
    let path = without_slash(path);
    match pod.split_once('/') {
        Some((namespace, pod)) => Ok(Place { pod: Some(pod), namespace: Some(namespace), path }),
        None => Ok(Place { pod: Some(pod), namespace: None, path }),
    }
}

/// Without the slash at its end: whether it is a folder, only the machine it is of knows.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
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
        (Some(pod), None) => from_pod(session, &from, pod, to.path).await,
        (None, Some(pod)) => to_pod(session, from.path, &to, pod).await,
    }
}

async fn from_pod(session: &Session<'_>, from: &Place<'_>, pod: &str, to: &str) -> Result<(), Error> {
    let archive = fetched(session, from, pod).await?;
    let top = cleaned(from.path);
    for Member { path, content } in tar::members(&archive) {
        let path = path.trim_start_matches('/').trim_start_matches("./").trim_end_matches('/');
        let path = if path == "." { "" } else { path };
        let Some(below) = path.strip_prefix(top.as_str()) else { return Err(Error::message("tar contents corrupted")) };
        let place = match below.trim_start_matches('/') {
            "" => to.to_owned(),
            below => format!("{}/{below}", to.trim_end_matches('/')),
        };
        // Nothing that an archive says leads out of the target.
        if below.split('/').any(|part| part == "..") {
            session.errln(format!("warning: file {place:?} is outside target destination, skipping"));
            continue;
        }
        if let Some(content) = content {
            let written = session.host.write_file(&place, content.into()).await;
            written.map_err(|error| Error::message(format!("open {place}: {}", error.as_str())))?;
        }
    }
    Ok(())
}

/// A path without slashes around it, and without what leads to itself or above.
fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What is at a place of a pod, as an archive; tried again as often as `--retries` says when the line breaks.
async fn fetched(session: &Session<'_>, from: &Place<'_>, pod: &str) -> Result<Bytes, Error> {
    let limit = session.args.int("retries");
    let mut tries = 0;
    loop {
        // What `tar` has to say stands beside what it copies.
        let told = |text: &[u8]| session.host.stdout(text);
        match in_pod(session, from, pod, &["tar", "cf", "-", from.path], None, Some(&told)).await {
            // Where the archive has its end, how `tar` ended is not looked at.
            Ok((archive, ended)) if ended.is_ok() || tar::is_whole(&archive) => return Ok(archive),
            Ok((_, ended)) => ended?,
            Err(Error::Message(_) | Error::Send { .. }) if limit < 0 || tries < limit => {
                tries += 1;
                session.outln(format!("Resuming copy at 0 bytes, retry {tries}/{limit}"));
            }
            Err(error) => return Err(error),
        }
    }
}

async fn to_pod(session: &Session<'_>, from: &str, to: &Place<'_>, pod: &str) -> Result<(), Error> {
    let there = session.host.read_dir(from).await.is_ok() || session.host.read_file(from).await.is_ok();
    if !there {
        return Err(Error::message(format!("{from} doesn't exist in local filesystem")));
    }
    let path = to.path.trim_end_matches('/');
    // Into a folder, under the old name; anything else is the new name.
    let looked = in_pod(session, to, pod, &["test", "-d", to.path], None, None).await;
    let is_folder = looked.is_ok_and(|(_, ended)| ended.is_ok());
    let target = if is_folder { format!("{path}/{}", file_name(from.trim_end_matches('/'))) } else { path.to_owned() };
    let (folder, name) = target.rsplit_once('/').unwrap_or((".", &target));
    let mut archive = Vec::new();
    gather(session, from.trim_end_matches('/'), name, &mut archive).await?;
    tar::finish(&mut archive);
    let folder = if folder.is_empty() { "/" } else { folder };
    let command = match session.args.bool("no-preserve") {
        true => vec!["tar", "--no-same-permissions", "--no-same-owner", "-xmf", "-", "-C", folder],
        false => vec!["tar", "-xmf", "-", "-C", folder],
    };
    let told = |text: &[u8]| session.host.stderr(text);
    let (output, ended) = in_pod(session, to, pod, &command, Some(archive.into()), Some(&told)).await?;
    session.host.stdout(&output);
    ended
}

/// Puts a file or a folder, with all below it, into an archive.
async fn gather(session: &Session<'_>, from: &str, name: &str, archive: &mut Vec<u8>) -> Result<(), Error> {
    let mut waiting = vec![(from.to_owned(), name.to_owned())];
    while let Some((path, name)) = waiting.pop() {
        let member = match session.host.read_dir(&path).await {
            Ok(entries) => {
                for entry in entries.iter().rev() {
                    waiting.push((format!("{path}/{}", entry.name), format!("{name}/{}", entry.name)));
                }
                Member { path: name, content: None }
            }
            Err(_) => {
                let data = session.host.read_file(&path).await;
                let data = data.map_err(|_| Error::message(format!("{path} doesn't exist in local filesystem")))?;
                Member { path: name, content: Some(data.to_vec()) }
            }
        };
        if !tar::append(archive, &member) {
            return Err(Error::message(format!("archive/tar: cannot encode header: {}: name too long", member.path)));
        }
    }
    Ok(())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

async fn in_pod(
    session: &Session<'_>,
    place: &Place<'_>,
    pod: &str,
    command: &[&str],
    input: Option<Bytes>,
    told: Option<&Tell<'_>>,
) -> Result<(Bytes, Result<(), Error>), Error> {
    let namespace = match place.namespace {
        None => session.namespace().await?.0,
        Some(namespace) => namespace.to_owned(),
    };
    let pod = session.client().await?.get(super::logs::pods().path(&namespace, pod)).await?;
    // Whether there is a container of a given name, the server says. The look for a folder says nothing.
    let container = match session.args.string("container") {
        "" => choose_container(session, &pod, "", told.is_none())?,
        given => given.to_owned(),
    };
    run_for_output(session, &pod, &container, command, input, told).await
}
