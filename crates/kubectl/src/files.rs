//! Manifests from files, folders, standard input and URLs.

use machinery::sort::Order;
use serde_json::Value;

use crate::error::Error;
use crate::host::{FileError, SendError};
use crate::session::Session;
use crate::value::ValueExt;
use crate::{kustomize, yaml};

/// One object of a manifest.
#[derive(Clone, Debug)]
pub struct Document {
    /// The object.
    pub object: Value,
    /// The file it stands in; `STDIN` for standard input.
    pub source: String,
}

const EXTENSIONS: [&str; 3] = [".json", ".yaml", ".yml"];

/// Reads what `-f`, `-k` and `-R` name. Lists are taken apart.
///
/// # Errors
/// When a path does not exist; errors inside of files stand between the documents.
pub async fn read(session: &Session<'_>) -> Result<Vec<Result<Document, Error>>, Error> {
    let args = &session.args;
    let kustomization = args.string("kustomize");
    let names = args.list("filename");
    if !kustomization.is_empty() && (!names.is_empty() || args.bool("recursive")) {
        return Err(Error::message("only one of -f or -k can be specified"));
    }
    let mut documents = Vec::new();
    if !kustomization.is_empty() {
        let built = kustomize::build(session.host, kustomization, true, None).await?;
        documents.extend(built.into_iter().map(|object| Ok(Document { object, source: kustomization.to_owned() })));
    }
    let mut errors = Vec::new();
    let mut sources = Vec::new();
    for name in names {
        match expand(session, name).await {
            Ok(found) => sources.extend(found),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)?;
    for source in sources {
        let (source, bytes) = match load(session, &source).await {
            Ok(loaded) => loaded,
            Err(error) => {
                documents.push(Err(error));
                continue;
            }
        };
        parse(&source, &String::from_utf8_lossy(&bytes), &mut documents);
    }
    Ok(documents)
}

/// Whether `-f` or `-k` is given.
pub fn given(session: &Session<'_>) -> bool {
    !session.args.list("filename").is_empty() || !session.args.string("kustomize").is_empty()
}

/// Takes a manifest's text apart.
fn parse(source: &str, text: &str, documents: &mut Vec<Result<Document, Error>>) {
    for document in yaml::documents(text) {
        match document {
            Ok(Value::Null) => {}
            Ok(object) => flatten(object, source, documents),
            Err(error) => {
                documents.push(Err(Error::message(format!("error parsing {source}: {error}"))));
                return;
            }
        }
    }
}

fn flatten(mut object: Value, source: &str, documents: &mut Vec<Result<Document, Error>>) {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match object.list_mut(&["items"]) {
        Some(items) if is_list => {
            for item in std::mem::take(items) {
                flatten(item, source, documents);
            }
        }
        _ => documents.push(Ok(Document { object, source: source.to_owned() })),
    }
}

/// The files that an argument of `-f` means.
async fn expand(session: &Session<'_>, name: &str) -> Result<Vec<String>, Error> {
    if name == "-" || name.starts_with("http://") || name.starts_with("https://") {
        return Ok(vec![name.to_owned()]);
    }
    if name.contains(['*', '?', '[']) {
        let found = glob(session, name).await;
        if found.is_empty() {
            return Err(Error::message(format!("the path {name:?} does not exist")));
        }
        let mut files = Vec::new();
        for path in found {
            files.extend(path_files(session, &path).await?);
        }
        return Ok(files);
    }
    path_files(session, name).await
}

/// A file, or the files of a folder.
async fn path_files(session: &Session<'_>, name: &str) -> Result<Vec<String>, Error> {
    match session.host.read_dir(name).await {
        Ok(_) => {
            let files = walk(session, name, session.args.bool("recursive")).await;
            if files.is_empty() {
                return Err(Error::message(format!(
                    "error reading [{name}]: recognized file extensions are [.json .yaml .yml]"
                )));
            }
            Ok(files)
        }
        Err(FileError::NotFound) => Err(Error::message(format!("the path {name:?} does not exist"))),
        Err(FileError::PermissionDenied) => {
            Err(Error::message(format!("the path {name:?} cannot be accessed: stat {name}: permission denied")))
        }
        Err(_) => Ok(vec![name.to_owned()]),
    }
}

/// Manifests in a folder, by name.
async fn walk(session: &Session<'_>, folder: &str, recursive: bool) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.trim_end_matches('/').to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = session.host.read_dir(&folder).await.unwrap_or_default();
        for entry in entries {
            let path = format!("{folder}/{}", entry.name);
            if entry.is_dir {
                if recursive {
                    folders.push(path);
                }
            } else if EXTENSIONS.iter().any(|extension| path.ends_with(extension)) {
                files.push(path);
            }
        }
    }
    files.order();
    files
}

/// Names that match a pattern in their last segment.
async fn glob(session: &Session<'_>, pattern: &str) -> Vec<String> {
    let (folder, pattern) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    let entries = session.host.read_dir(folder).await.unwrap_or_default();
    let pattern: Vec<char> = pattern.chars().collect();
    let names = entries.into_iter().filter(|entry| matches_glob(&pattern, &entry.name.chars().collect::<Vec<_>>()));
    names.map(|entry| if folder == "." { entry.name } else { format!("{folder}/{}", entry.name) }).collect()
}

fn matches_glob(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            matches_glob(rest, name) || name.split_first().is_some_and(|(_, name)| matches_glob(pattern, name))
        }
        (Some(('?', pattern)), Some((_, name))) => matches_glob(pattern, name),
        (Some((expected, pattern)), Some((found, name))) => expected == found && matches_glob(pattern, name),
        _ => false,
    }
}

/// A file's name for messages, and its contents.
///
/// # Errors
/// Files and addresses that cannot be read.
pub async fn load(session: &Session<'_>, source: &str) -> Result<(String, Vec<u8>), Error> {
    if source == "-" {
        let mut all = Vec::new();
        while let Some(part) = session.host.read_stdin().await {
            all.extend_from_slice(&part);
        }
        return Ok(("STDIN".into(), all));
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        return match session.host.fetch(source).await {
            Ok((200, body)) => Ok((source.to_owned(), body.to_vec())),
            Ok((code, _)) => {
                let reason = http::StatusCode::from_u16(code).ok().and_then(|code| code.canonical_reason());
                let reason = reason.unwrap_or_default();
                Err(Error::message(format!(
                    "unable to read URL {source:?}, server reported {code} {reason}, status code={code}"
                )))
            }
            Err(error @ SendError::Refused) => Err(Error::Send { server: source.to_owned(), error }),
            Err(SendError::Failed(text)) => Err(Error::message(format!("Get {source:?}: {text}"))),
        };
    }
    match session.host.read_file(source).await {
        Ok(bytes) => Ok((source.to_owned(), bytes.to_vec())),
        Err(error) => Err(Error::message(format!("open {source}: {}", error.as_str()))),
    }
}
