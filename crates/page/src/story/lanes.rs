//! A step as the arrow of a sequence diagram: a lane for each part, time from top to bottom.

use playground_control::HopKind;
use yew::prelude::*;

use super::chain::{Step, is_part};
use crate::text::*;

/// Pixels from lane to lane, as the style sheet has them, and of a row.
const LANE: f64 = 21.0;
const ROW: f64 = 34.0;

/// The lanes from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    You,
    Server,
    Store,
    Controllers,
    Scheduler,
    Kubelet,
    Runtime,
}

const LANES: [(Lane, Text); 7] = [
    (Lane::You, YOU),
    (Lane::Server, API_SERVER),
    (Lane::Store, STORE),
    (Lane::Controllers, CONTROLLERS),
    (Lane::Scheduler, SCHEDULER),
    (Lane::Kubelet, KUBELETS),
    (Lane::Runtime, CONTAINERS),
];

fn lane(part: &str) -> Lane {
    match part.split('/').next().unwrap_or_default() {
        "kube-apiserver" => Lane::Server,
        "etcd" => Lane::Store,
        "kube-scheduler" => Lane::Scheduler,
        "kubelet" => Lane::Kubelet,
        "runtime" => Lane::Runtime,
        part if is_part(part) => Lane::Controllers,
        _ => Lane::You,
    }
}

fn x(lane: Lane) -> f64 {
    (lane as usize as f64 + 0.5) * LANE
}

/// The names of the lanes, above the rows.
pub fn heads() -> Html {
    html! {
        <div class="lane-heads" aria-hidden="true">
            { for LANES.into_iter().map(|(_, name)| html! { <span>{ t(name) }</span> }) }
        </div>
    }
}

/// The arrows of a step between the lanes.
pub fn arrows(step: &Step) -> Html {
    let width = LANE * LANES.len() as f64;
    let legs: Vec<(&str, f64, f64)> = match step {
        Step::Hear { who, .. } => vec![("watch", x(Lane::Server), x(lane(who)))],
        Step::Do(acts) => acts.first().map_or_else(Vec::new, |first| {
            let from = x(lane(&first.hop.from));
            if first.hop.kind == HopKind::Runtime {
                return vec![("runtime", from, x(Lane::Runtime))];
            }
            let asks = if first.hop.error.is_some() { "refused" } else { "request" };
            let mut legs = vec![(asks, from, x(Lane::Server))];
            if first.revision.is_some() {
                legs.push(("write", x(Lane::Server), x(Lane::Store)));
            }
            legs
        }),
    };
    // Two arrows of a row lie one below the other.
    let apart = if legs.len() > 1 { 5.0 } else { 0.0 };
    html! {
        <svg class="lanes" width={width.to_string()} height={ROW.to_string()} viewBox={format!("0 0 {width} {ROW}")} aria-hidden="true">
            { for legs.into_iter().enumerate().map(|(index, (class, from, to))| {
                let y = ROW / 2.0 - apart + 2.0 * apart * index as f64;
                let back = if to > from { -4.5 } else { 4.5 };
                html! {
                    <g class={class}>
                        <path d={format!("M{from} {y}H{to}")} />
                        <path d={format!("M{} {}L{to} {y}L{} {}", to + back, y - 3.5, to + back, y + 3.5)} />
                        <circle cx={from.to_string()} cy={y.to_string()} r="2.6" />
                    </g>
                }
            }) }
        </svg>
    }
}
