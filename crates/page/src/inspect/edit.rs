//! An object as YAML to change: the server checks it, the difference is shown, then it is applied.

use web_sys::HtmlTextAreaElement;
use yew::prelude::*;

use super::yaml;
use crate::api::{Api, Call};
use crate::text::{APPLY, CANCEL, CHECK, EDIT, WOULD_CHANGE, t};
use crate::ui::kinds::Kind;

const YAML: &str = "application/yaml";

/// What the editor is given.
#[derive(Properties, PartialEq)]
pub struct EditProps {
    /// The way to the cluster.
    pub api: Api,
    /// The object's kind.
    pub kind: Kind,
    /// `namespace/name`.
    pub object_key: String,
    /// What is shown while nobody edits.
    pub shown: Vec<yaml::Line>,
}

#[derive(Clone, Default, PartialEq)]
struct Draft {
    before: String,
    now: String,
    /// What the server said; the difference is shown once it has nothing against it.
    verdict: Option<Result<(), String>>,
}

/// The editor.
#[component]
pub fn Edit(props: &EditProps) -> Html {
    let draft = use_state_eq(|| None::<Draft>);
    let path = props.kind.path_of(&props.object_key);
    let begin = {
        let (draft, api, path) = (draft.clone(), props.api.clone(), path.clone());
        Callback::from(move |_: MouseEvent| {
            let (draft, api, path) = (draft.clone(), api.clone(), path.clone());
            wasm_bindgen_futures::spawn_local(async move {
                let Ok(answer) = api.send(Call::get(path).header("accept", YAML)).await else { return };
                let text = without_managed_fields(&String::from_utf8_lossy(&answer.bytes().await));
                draft.set(Some(Draft { before: text.clone(), now: text, verdict: None }));
            });
        })
    };
    let Some(now) = (*draft).clone() else {
        return html! {
            <>
                <div class="actions"><button type="button" class="small" onclick={begin}>{ t(EDIT) }</button></div>
                { yaml::show(&props.shown) }
            </>
        };
    };
    let oninput = {
        let (draft, now) = (draft.clone(), now.clone());
        Callback::from(move |event: InputEvent| {
            if let Some(area) = event.target_dyn_into::<HtmlTextAreaElement>() {
                draft.set(Some(Draft { now: area.value(), verdict: None, ..now.clone() }));
            }
        })
    };
    let put = |dry_run: bool| {
        let (draft, now, api, path) = (draft.clone(), now.clone(), props.api.clone(), path.clone());
        Callback::from(move |_: MouseEvent| {
            let (draft, now, api) = (draft.clone(), now.clone(), api.clone());
            let query = if dry_run { "?dryRun=All&fieldValidation=Strict" } else { "?fieldValidation=Strict" };
            let mut call = Call::get(format!("{path}{query}")).header("content-type", YAML);
            call.method = "PUT".into();
            call.body = now.now.clone().into();
            wasm_bindgen_futures::spawn_local(async move {
                match api.json(call).await {
                    Ok(_) if !dry_run => draft.set(None),
                    outcome => {
                        let verdict = Some(outcome.map(drop).map_err(|error| error.0));
                        draft.set(Some(Draft { verdict, ..now }));
                    }
                }
            });
        })
    };
    let cancel = {
        let draft = draft.clone();
        Callback::from(move |_: MouseEvent| draft.set(None))
    };
    html! {
        <div class="edit">
            <label><span class="hidden">{ "YAML" }</span>
                <textarea spellcheck="false" autocapitalize="off" value={now.now.clone()} {oninput} />
            </label>
            { match &now.verdict {
                None => html! {},
                Some(Err(error)) => html! { <p class="error" role="alert">{ error }</p> },
                Some(Ok(())) => difference(&now.before, &now.now),
            } }
            <div class="actions">
                if now.verdict == Some(Ok(())) {
                    <button type="button" class="primary small" onclick={put(false)}>{ t(APPLY) }</button>
                } else {
                    <button type="button" class="small" disabled={now.now == now.before} onclick={put(true)}>{ t(CHECK) }</button>
                }
                <button type="button" class="small" onclick={cancel}>{ t(CANCEL) }</button>
            </div>
        </div>
    }
}

/// What nobody wants to edit goes: it stays as it is when an update does not name it.
fn without_managed_fields(text: &str) -> String {
    let mut inside = false;
    let kept = text.lines().filter(|line| {
        let deep = line.starts_with("    ") || line.starts_with("  -");
        inside = line.starts_with("  managedFields:") || (inside && deep);
        !inside
    });
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// The lines that go and the lines that come.
fn difference(before: &str, now: &str) -> Html {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), now.lines().collect());
    let rows = diff(&old, &new).into_iter().map(|(sign, line)| {
        let class = if sign == '+' { "plus" } else { "minus" };
        html! { <span {class}>{ format!("{sign} {line}\n") }</span> }
    });
    html! { <pre class="diff" tabindex="0" aria-label={t(WOULD_CHANGE)}>{ for rows }</pre> }
}

/// The shortest way from one text to the other, without the lines that stay.
fn diff<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<(char, &'a str)> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[same..], &new[same..]);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    // The lengths of longest common subsequences; what is left after the cuts above is short.
    let width = new.len() + 1;
    let mut common = vec![0u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            out.push(('-', old[i]));
            i += 1;
        } else {
            out.push(('+', new[j]));
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn a_difference_is_what_goes_and_what_comes() {
        assert_eq!(diff(&["a", "b", "c"], &["a", "x", "c"]), [('-', "b"), ('+', "x")]);
        assert_eq!(diff(&["a"], &["a"]), []);
        assert_eq!(diff(&["a", "b"], &["b", "c"]), [('-', "a"), ('+', "c")]);
    }

    #[wasm_bindgen_test]
    fn managed_fields_are_left_out() {
        let text = "metadata:\n  labels:\n    a: b\n  managedFields:\n  - apiVersion: v1\n    fieldsV1: {}\n  name: web\nspec: {}\n";
        assert_eq!(without_managed_fields(text), "metadata:\n  labels:\n    a: b\n  name: web\nspec: {}\n");
    }
}
