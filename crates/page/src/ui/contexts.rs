//! With which of the learner's clusters kubectl speaks: the page shows that one.

use playground_control::ClusterStatus;
use yew::AttrValue;

use crate::api::{Api, ApiError, Call};

/// The context of the cluster with which kubectl speaks; none where that is the computer's own.
///
/// # Errors
/// When the computer does not answer.
pub async fn current(api: &Api) -> Result<Option<AttrValue>, ApiError> {
    let answer = api.json(Call::get("/playground/v1/clusters")).await?;
    let all: Vec<ClusterStatus> = serde_json::from_value(answer).map_err(|error| ApiError(error.to_string()))?;
    // The computer's own is the first.
    Ok(all.into_iter().skip(1).find(|cluster| cluster.current).map(|cluster| cluster.context.into()))
}
