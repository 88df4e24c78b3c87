//! `kubectl wait`.

use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;

use super::delete;
use crate::api::Url;
use crate::error::Error;
use crate::jsonpath::JsonPath;
use crate::print::columns::relaxed;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{items, text};
use crate::select::{self, Choice, Info};
use crate::session::Session;

/// How long a negative timeout means.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is waited for.
enum Condition {
    Deleted,
    Created,
    /// A condition of the status has a value.
    Status(String, String),
    /// A path has a value, or any.
    Path(JsonPath, Option<String>),
}

fn parse(text: &str) -> Result<Condition, Error> {
    let lower = text.to_lowercase();
    if lower == "delete" {
        return Ok(Condition::Deleted);
    }
    if lower == "create" {
        return Ok(Condition::Created);
    }
    if let Some(condition) = text.strip_prefix("condition=") {
        let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
        return Ok(Condition::Status(name.to_owned(), value.to_owned()));
    }
    if let Some(input) = text.strip_prefix("jsonpath=") {
        let parts = split(input);
        let (path, value) = match parts.as_slice() {
            [path] => (path, None),
            [path, value] => (path, Some(value.trim_matches(['\'', '"']).to_owned())),
            _ => {
                return Err(Error::message(
                    "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or \
                     --for=jsonpath='{.status.readyReplicas}'",
                ));
            }
        };
        if path.is_empty() {
            return Err(Error::message("jsonpath expression cannot be empty"));
        }
        if value.as_deref() == Some("") {
            return Err(Error::message(
                "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3",
            ));
        }
        return Ok(Condition::Path(relaxed(path.trim_matches(['\'', '"']))?, value));
    }
    Err(Error::message(format!("unrecognized condition: {text:?}")))
}

/// Splits at single `=` signs; `==` belongs to a filter.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('=', Some('=')) => {
                chars.next();
                parts.last_mut().into_iter().for_each(|part| part.push_str("=="));
            }
            ('=', _) => parts.push(String::new()),
            (c, _) => parts.last_mut().into_iter().for_each(|part| part.push(c)),
        }
    }
    parts
}

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let wanted = args.list("for");
    if wanted.is_empty() {
        return Err(Error::message("unrecognized condition: \"\""));
    }
    let conditions = wanted.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    let output = Output::new(session, COMMON).await?;
    let text = args.string("timeout");
    let timeout = if text.starts_with('-') { WEEK } else { args.duration("timeout") };
    let choice = Choice {
        args: &args.args,
        selector: args.string("selector"),
        field_selector: args.string("field-selector"),
        all: args.bool("all"),
        all_namespaces: args.bool("all-namespaces"),
        latest: true,
        ..Choice::default()
    };
    for condition in &conditions {
        if matches!(condition, Condition::Created) {
            wait_for_creation(session, &choice, timeout).await?;
        }
    }
    if conditions.iter().all(|condition| matches!(condition, Condition::Created)) {
        let (infos, errors) = select::infos(session, &choice).await?;
        Error::all(errors)?;
        for info in infos {
            done(session, &output, &info.object, "condition met")?;
        }
        return Ok(());
    }
    let deleting = conditions.iter().any(|condition| matches!(condition, Condition::Deleted));
    let (infos, errors) = select::infos(session, &choice).await?;
    let errors: Vec<Error> = errors.into_iter().filter(|error| !(deleting && error.is_not_found())).collect();
    Error::all(errors)?;
    if infos.is_empty() && !deleting {
        return Err(Error::message("no matching resources found"));
    }
    let mut failures = Vec::new();
    // All of them share the time: who comes after its end is not looked at.
    let began = session.now();
    for info in infos {
        let left = timeout.saturating_sub(session.now().duration_since(began).unsigned_abs());
        let waited = match left.is_zero() && !timeout.is_zero() {
            true => Err(timed_out(&info)),
            false => wait_one(session, &info, &conditions, left).await,
        };
        match waited {
            Ok(object) => done(session, &output, &object, "condition met")?,
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    Error::all(failures)
}

async fn wait_for_creation(session: &Session<'_>, choice: &Choice<'_>, timeout: Duration) -> Result<(), Error> {
    let appear = async {
        loop {
            let (infos, errors) = select::infos(session, choice).await?;
            if !infos.is_empty() && errors.is_empty() {
                return Ok(());
            }
            Error::all(errors.into_iter().filter(|error| !error.is_not_found()).collect())?;
            session.sleep(Duration::from_millis(500)).await;
        }
    };
    let limit = Some(timeout);
    session.within(limit, appear).await.unwrap_or_else(|| Err(Error::message("timed out waiting for the condition")))
}

async fn wait_one(
    session: &Session<'_>,
    info: &Info,
    conditions: &[Condition],
    timeout: Duration,
) -> Result<Value, Error> {
    let mut last = info.object.clone();
    for condition in conditions {
        match condition {
            Condition::Created => {}
            Condition::Deleted if timeout.is_zero() => {
                return Err(Error::message(format!("condition not met for {}/{}", info.resource.name, info.name)));
            }
            Condition::Deleted => {
                let uid = text(&info.object["metadata"]["uid"]);
                delete::wait_until_gone(session, info, &uid, Some(timeout)).await?;
            }
            condition => last = until(session, info, condition, timeout).await?,
        }
    }
    Ok(last)
}

async fn until(session: &Session<'_>, info: &Info, condition: &Condition, timeout: Duration) -> Result<Value, Error> {
    let client = session.client().await?;
    if timeout.is_zero() {
        let object = client.get(info.path()).await?;
        if holds(condition, &object)? {
            return Ok(object);
        }
        return Err(Error::message(format!("condition not met for {}/{}", info.resource.name, info.name)));
    }
    let follow = async {
        loop {
            let object = client.get(info.path()).await?;
            if holds(condition, &object)? {
                return Ok(object);
            }
            let url = Url::new(info.resource.path(&info.namespace, ""))
                .with("fieldSelector", format!("metadata.name={}", info.name))
                .with("resourceVersion", object["metadata"]["resourceVersion"].as_str().unwrap_or_default());
            let mut events = client.watch(url, "application/json").await?;
            while let Some((event, object)) = events.next().await {
                match event.as_str() {
                    "ADDED" | "MODIFIED" if holds(condition, &object)? => return Ok(object),
                    "DELETED" | "ERROR" => break,
                    _ => {}
                }
            }
            session.sleep(Duration::from_millis(100)).await;
        }
    };
    session.within(Some(timeout), follow).await.unwrap_or_else(|| Err(timed_out(info)))
}

fn timed_out(info: &Info) -> Error {
    Error::message(format!("timed out waiting for the condition on {}/{}", info.resource.name, info.name))
}

fn holds(condition: &Condition, object: &Value) -> Result<bool, Error> {
    match condition {
        Condition::Status(name, value) => {
            let found = items(&object["status"]["conditions"])
                .find(|condition| text(&condition["type"]).eq_ignore_ascii_case(name));
            let Some(found) = found else { return Ok(false) };
            let observed = [&found["observedGeneration"], &object["status"]["observedGeneration"]];
            let observed = observed.iter().find_map(|generation| generation.as_i64());
            if let (Some(generation), Some(observed)) = (object["metadata"]["generation"].as_i64(), observed)
                && observed < generation
            {
                return Ok(false);
            }
            Ok(text(&found["status"]).eq_ignore_ascii_case(value))
        }
        Condition::Path(path, value) => {
            let found = path.find(object, true).map_err(Error::message)?;
            match (found.as_slice(), value) {
                ([], _) => Ok(false),
                ([_], None) => Ok(true),
                ([found], Some(value)) => match found {
                    Value::Object(_) | Value::Array(_) => {
                        Err(Error::message("jsonpath leads to a nested object or list which is not supported"))
                    }
                    found => Ok(machinery::go::display(found) == *value),
                },
                _ => Err(Error::message("given jsonpath expression matches more than one value")),
            }
        }
        Condition::Deleted | Condition::Created => Ok(true),
    }
}
