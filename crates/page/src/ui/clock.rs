//! The cluster's clock: pause, step, speed.

use playground_control::{ClockPatch, ClockStatus};
use yew::prelude::*;

use super::icon::{Icon, IconName};
use crate::api::{Api, ApiError, Call};
use crate::text::{CLOCK, CLUSTER_TIME, GO_ON, PAUSE, SPEED, TO_NEXT_EVENT, t};

const PATH: &str = "/playground/v1/clock";
/// The speeds there are to choose from.
pub const SPEEDS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0];

/// Asks for the clock.
///
/// # Errors
/// When the cluster does not answer or has no clock.
pub async fn read(api: &Api) -> Result<ClockStatus, ApiError> {
    status(api, Call::get(PATH)).await
}

/// Changes the clock.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub async fn patch(api: &Api, patch: &ClockPatch) -> Result<ClockStatus, ApiError> {
    status(api, Call::json("PATCH", PATH, "application/merge-patch+json", patch)).await
}

/// Goes to the next event and stops there.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub async fn step(api: &Api) -> Result<ClockStatus, ApiError> {
    let mut call = Call::get(format!("{PATH}/step"));
    call.method = "POST".into();
    status(api, call).await
}

async fn status(api: &Api, call: Call) -> Result<ClockStatus, ApiError> {
    let value = api.json(call).await?;
    serde_json::from_value(value).map_err(|error| ApiError(error.to_string()))
}

/// What a person does to the clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClockAct {
    /// Pause, or go on.
    Toggle,
    /// One event on.
    Step,
    /// The next higher (1) or lower (-1) speed.
    Faster(i32),
    /// This speed.
    Speed(f64),
}

/// Does it.
///
/// # Errors
/// When the cluster does not answer or refuses.
pub async fn act(api: &Api, status: &ClockStatus, act: ClockAct) -> Result<ClockStatus, ApiError> {
    let speed = match act {
        ClockAct::Toggle => {
            return patch(api, &ClockPatch { paused: Some(!status.paused), speed: None }).await;
        }
        ClockAct::Step => return step(api).await,
        ClockAct::Speed(speed) => speed,
        ClockAct::Faster(by) => neighbour(status.speed, by),
    };
    patch(api, &ClockPatch { speed: Some(speed), paused: None }).await
}

fn neighbour(speed: f64, by: i32) -> f64 {
    let higher = SPEEDS.into_iter().find(|candidate| *candidate > speed * 1.001);
    let lower = SPEEDS.into_iter().rev().find(|candidate| *candidate < speed * 0.999);
    if by > 0 { higher } else { lower }.unwrap_or(speed)
}

/// What the clock is given.
#[derive(Properties, PartialEq)]
pub struct ClockProps {
    /// What it says; `None` until the cluster has answered.
    pub status: Option<ClockStatus>,
    /// Hears what the person does.
    pub on_act: Callback<ClockAct>,
}

/// The clock.
#[component]
pub fn Clock(props: &ClockProps) -> Html {
    let Some(status) = &props.status else { return html! { <div class="clock" /> } };
    let act = |act: ClockAct| props.on_act.reform(move |_: MouseEvent| act);
    let on_speed = {
        let on_act = props.on_act.clone();
        Callback::from(move |event: Event| {
            let chosen =
                event.target_dyn_into::<web_sys::HtmlSelectElement>().and_then(|select| select.value().parse().ok());
            if let Some(speed) = chosen {
                on_act.emit(ClockAct::Speed(speed));
            }
        })
    };
    let time = status.now.get(11..19).unwrap_or(&status.now).to_owned();
    let (label, icon) = if status.paused { (t(GO_ON), IconName::Play) } else { (t(PAUSE), IconName::Pause) };
    let fixed = !status.adjustable;
    html! {
        <div class={classes!("clock", status.paused.then_some("paused"))} role="group" aria-label={t(CLOCK)}>
            <button type="button" class="icon" aria-label={label} title={format!("{label} (space)")} disabled={fixed}
                onclick={act(ClockAct::Toggle)}><Icon name={icon} /></button>
            <button type="button" class="icon" aria-label={t(TO_NEXT_EVENT)} title={format!("{} (.)", t(TO_NEXT_EVENT))}
                disabled={fixed} onclick={act(ClockAct::Step)}><Icon name={IconName::Step} /></button>
            <time class="now" title={CLUSTER_TIME.with(&[&status.now])}>{ time }</time>
            <label class="speed"><span class="hidden">{ t(SPEED) }</span>
                <select onchange={on_speed} disabled={fixed} title={format!("{} ([ ])", t(SPEED))}>
                    { for SPEEDS.into_iter().map(|speed| html! {
                        <option value={speed.to_string()} selected={(speed - status.speed).abs() < 1e-9}>
                            { format!("{speed}×") }
                        </option>
                    }) }
                </select>
            </label>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::neighbour;

    #[wasm_bindgen_test]
    fn speeds_go_up_and_down_and_stop_at_the_ends() {
        assert_eq!(neighbour(1.0, 1), 2.0);
        assert_eq!(neighbour(1.0, -1), 0.5);
        assert_eq!(neighbour(100.0, 1), 100.0);
        assert_eq!(neighbour(3.0, -1), 2.0);
    }
}
