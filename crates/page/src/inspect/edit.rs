//! An object as YAML to change: the server checks it, the difference is shown, then it is applied.

use std::rc::Rc;

use gloo::timers::callback::Timeout;
use serde_json::Value;
use yew::prelude::*;

use super::diff::diff;
use super::{mistake, yaml};
use crate::api::{Api, Call};
use crate::text::{APPLY, ASKING, CANCEL, EDIT, WOULD_CHANGE, YAML_OF, t};
use crate::ui::area::Area;
use crate::ui::kinds::Kind;
use crate::world::{Object, text as in_text};

const YAML: &str = "application/yaml";
/// What kinds say that take no update without a revision.
const MUST_NAME_REVISION: &str = "must be specified for an update";
/// How long nobody types before the server is asked.
const PAUSE_MS: u32 = 500;

/// What the editor is given.
#[derive(Properties, PartialEq)]
pub struct EditProps {
    /// The way to the cluster.
    pub api: Api,
    /// The object's kind.
    pub kind: Kind,
    /// What is shown while nobody edits.
    pub object: Rc<Object>,
    /// Whether it is as it was at an earlier revision.
    pub past: bool,
}

#[derive(Clone, Default, PartialEq)]
struct Draft {
    before: String,
    now: String,
    /// What the server said of the text as it is now; nothing while it is asked.
    verdict: Option<Result<(), String>>,
}

/// What happens to a draft.
enum Act {
    Begin(String),
    Write(String),
    /// The server's word on a text.
    Judge(String, Result<(), String>),
    /// What has become of the object.
    Apply(Object),
    End,
}

/// What is edited, if anything is.
#[derive(Default, PartialEq)]
struct Desk {
    draft: Option<Draft>,
    /// What the server has answered last: the page hears of it by its watch only then.
    applied: Option<Rc<Object>>,
}

impl Reducible for Desk {
    type Action = Act;

    fn reduce(self: Rc<Self>, act: Act) -> Rc<Self> {
        let mut applied = self.applied.clone();
        let draft = match (act, self.draft.clone()) {
            (Act::Begin(text), _) => Some(Draft { before: text.clone(), now: text, verdict: None }),
            (Act::Write(now), Some(draft)) => Some(Draft { now, verdict: None, ..draft }),
            (Act::Judge(of, verdict), Some(draft)) if of == draft.now => {
                Some(Draft { verdict: Some(verdict), ..draft })
            }
            (Act::Apply(object), _) => {
                applied = Some(Rc::new(object));
                None
            }
            (Act::End, _) => None,
            (_, draft) => draft,
        };
        Self { draft, applied }.into()
    }
}

/// The editor.
#[component]
pub fn Edit(props: &EditProps) -> Html {
    let desk = use_reducer_eq(Desk::default);
    let key = props.object.key();
    let path = props.kind.path_of(&key);
    let begin = {
        let (desk, api, path) = (desk.dispatcher(), props.api.clone(), path.clone());
        Callback::from(move |_: MouseEvent| {
            let (desk, api, path) = (desk.clone(), api.clone(), path.clone());
            wasm_bindgen_futures::spawn_local(async move {
                let Ok(answer) = api.send(Call::get(path).header("accept", YAML)).await else { return };
                desk.dispatch(Act::Begin(editable(&String::from_utf8_lossy(&answer.bytes().await))));
            });
        })
    };
    let put = {
        let (desk, api, path) = (desk.dispatcher(), props.api.clone(), path.clone());
        move |text: String, dry_run: bool| {
            let (desk, api) = (desk.clone(), api.clone());
            let query = if dry_run { "?dryRun=All&fieldValidation=Strict" } else { "?fieldValidation=Strict" };
            let path = path.clone();
            let put = move |text: String| {
                let mut call = Call::get(format!("{path}{query}")).header("content-type", YAML);
                call.method = "PUT".into();
                call.body = text.into();
                (path.clone(), call)
            };
            wasm_bindgen_futures::spawn_local(async move {
                // The object goes on living while it is edited, so that the update names no revision, unless it must.
                let (path, call) = put(text.clone());
                let mut outcome = api.json(call).await;
                if outcome.as_ref().is_err_and(|error| error.0.contains(MUST_NAME_REVISION)) {
                    let now = api.json(Call::get(path)).await.unwrap_or_default();
                    outcome = api.json(put(at_revision(&text, in_text(&now, "/metadata/resourceVersion"))).1).await;
                }
                desk.dispatch(match outcome {
                    Ok(object) if !dry_run => Act::Apply(Object(object)),
                    outcome => Act::Judge(text, outcome.map(drop).map_err(|error| error.0)),
                });
            });
        }
    };
    {
        // The server is asked whenever nobody has typed for a moment.
        let put = put.clone();
        let asked = desk.draft.as_ref().filter(|draft| draft.now != draft.before).map(|draft| draft.now.clone());
        use_effect_with(asked, move |asked| {
            let timer = asked.clone().map(|text| Timeout::new(PAUSE_MS, move || put(text, true)));
            move || drop(timer)
        });
    }
    // The past is not written: what somebody has begun waits for the present.
    let Some(draft) = desk.draft.clone().filter(|_| !props.past) else {
        let newer = |applied: &&Rc<Object>| !props.past && revision(applied) > revision(&props.object);
        let shown = desk.applied.as_ref().filter(newer);
        return html! {
            <>
                if !props.past {
                    <div class="actions"><button type="button" class="small" onclick={begin}>{ t(EDIT) }</button></div>
                }
                { yaml::show(&lines(shown.unwrap_or(&props.object), Some(&props.kind))) }
            </>
        };
    };
    let on_write = {
        let desk = desk.dispatcher();
        Callback::from(move |text: String| desk.dispatch(Act::Write(text)))
    };
    let apply = {
        let text = draft.now.clone();
        Callback::from(move |_: MouseEvent| put(text.clone(), false))
    };
    let cancel = {
        let desk = desk.dispatcher();
        Callback::from(move |_: MouseEvent| desk.dispatch(Act::End))
    };
    let said = draft.verdict.clone().and_then(Result::err).unwrap_or_default();
    let error = mistake::explain(&said, &draft.now);
    html! {
        <div class="edit">
            <Area api={Some(props.api.clone())} label={YAML_OF.with(&[&key])} text={draft.before.clone()} now={draft.now.clone()}
                error={error.clone()} {on_write} />
            { match &draft.verdict {
                _ if draft.now == draft.before => html! {},
                None => html! { <p class="soft" role="status">{ t(ASKING) }</p> },
                Some(Err(_)) => html! { <p class="error" role="alert">{ error }</p> },
                Some(Ok(())) => difference(&draft.before, &draft.now),
            } }
            <div class="actions">
                <button type="button" class="primary small" disabled={draft.verdict != Some(Ok(()))} onclick={apply}>{ t(APPLY) }</button>
                <button type="button" class="small" onclick={cancel}>{ t(CANCEL) }</button>
            </div>
        </div>
    }
}

/// The revision of an object, by which newer ones are told from older ones.
fn revision(object: &Object) -> u64 {
    object.text("/metadata/resourceVersion").parse().unwrap_or(0)
}

/// What a person wants to read: kind and version first, without the bookkeeping of field owners.
pub(super) fn lines(object: &Object, known: Option<&Kind>) -> Vec<yaml::Line> {
    let mut value = object.0.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(known) = known {
        known.complete(&mut value);
    }
    yaml::lines(&value)
}

/// What nobody edits goes: what the server writes itself, and the status, which an update leaves as it is.
fn editable(text: &str) -> String {
    const SERVERS: [&str; 5] =
        ["  creationTimestamp:", "  generation:", "  managedFields:", "  resourceVersion:", "  uid:"];
    // The indentation of the field that is left out, while its lines last.
    let mut left_out = None::<usize>;
    let kept = text.lines().filter(|line| {
        let indent = line.len() - line.trim_start().len();
        let (item, blank) = (line.trim_start().starts_with('-'), line.trim().is_empty());
        if left_out.is_some_and(|of| blank || indent > of || (indent == of && item)) {
            return false;
        }
        let goes = line.starts_with("status:") || SERVERS.iter().any(|field| line.starts_with(field));
        left_out = goes.then_some(indent);
        !goes
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// The text as an update of the object at a revision.
fn at_revision(text: &str, revision: &str) -> String {
    if revision.is_empty() || text.contains("\n  resourceVersion:") {
        return text.to_owned();
    }
    text.replacen("metadata:\n", &format!("metadata:\n  resourceVersion: \"{revision}\"\n"), 1)
}

/// The lines that go and the lines that come.
fn difference(before: &str, now: &str) -> Html {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let rows = diff(&old, &new).into_iter().map(|(sign, _, line)| {
        let class = if sign == '+' { "plus" } else { "minus" };
        html! { <span {class}>{ format!("{sign} {line}\n") }</span> }
    });
    html! { <pre class="diff" tabindex="0" aria-label={t(WOULD_CHANGE)}>{ for rows }</pre> }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn what_the_server_writes_is_left_out() {
        let text = "metadata:\n  labels:\n    a: b\n  managedFields:\n  - apiVersion: v1\n    fieldsV1: {}\n  name: web\n  uid: x\nspec: {}\nstatus:\n  conditions:\n  - type: Ready\n";
        assert_eq!(editable(text), "metadata:\n  labels:\n    a: b\n  name: web\nspec: {}\n");
        assert_eq!(
            at_revision("kind: Pod\nmetadata:\n  name: a\n", "7"),
            "kind: Pod\nmetadata:\n  resourceVersion: \"7\"\n  name: a\n"
        );
    }
}
