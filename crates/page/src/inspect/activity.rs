//! What has passed lately, in words: the map's dots for those who read.

use std::rc::Rc;

use playground_control::HopKind;
use yew::prelude::*;

use crate::text::{NOTHING_PASSED, t};
use crate::trace::{Trace, sentence};

const SHOWN_MAX: usize = 80;

/// What the list is given.
#[derive(Properties)]
pub struct ActivityProps {
    /// What has passed.
    pub trace: Rc<Trace>,
    /// Counts up when there is news.
    pub news: u32,
}

impl PartialEq for ActivityProps {
    fn eq(&self, other: &Self) -> bool {
        self.news == other.news
    }
}

/// The list, newest first.
#[component]
pub fn Activity(props: &ActivityProps) -> Html {
    let hops = props.trace.since(0);
    if hops.is_empty() {
        return html! { <p class="empty">{ t(NOTHING_PASSED) }</p> };
    }
    html! {
        <ol class="activity">
            { for hops.iter().rev().take(SHOWN_MAX).map(|hop| {
                let kind = match hop.kind {
                    HopKind::Request => "request",
                    HopKind::Write => "write",
                    HopKind::Watch => "watch",
                    HopKind::Runtime => "runtime",
                    HopKind::Network => "network",
                };
                html! {
                    <li key={format!("{}→{}", hop.sequence, hop.to)} class={classes!(kind, hop.error.as_ref().map(|_| "failed"))}>
                        <time>{ hop.time.get(11..19).unwrap_or_default().to_owned() }</time><span>{ sentence(hop) }</span>
                    </li>
                }
            }) }
        </ol>
    }
}
