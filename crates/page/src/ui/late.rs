//! Views that a visit begins without: their code is a chunk (`cargo xtask split`) that the browser fetches when
//! the first of them is shown.

use yew::prelude::*;

use super::clusters::{Clusters, ClustersProps};
use super::edit_file::{EditFile, EditFileProps};
use super::explorer::{Explorer, ExplorerProps};
use super::faults::{Faults, FaultsProps};
use super::palette::{Palette, PaletteProps};
use crate::inspect::{Chosen, InspectorProps};

/// How each of the views is drawn.
pub struct Views {
    /// The commands.
    pub palette: fn(PaletteProps) -> Html,
    /// The saved clusters.
    pub clusters: fn(ClustersProps) -> Html,
    /// What can go wrong.
    pub faults: fn(FaultsProps) -> Html,
    /// A file of the terminal's.
    pub edit_file: fn(EditFileProps) -> Html,
    /// The tables.
    pub explorer: fn(ExplorerProps) -> Html,
    /// A chosen object.
    pub chosen: fn(InspectorProps) -> Html,
}

const VIEWS: Views = Views {
    palette: |props| html! { <Palette ..props /> },
    clusters: |props| html! { <Clusters ..props /> },
    faults: |props| html! { <Faults ..props /> },
    edit_file: |props| html! { <EditFile ..props /> },
    explorer: |props| html! { <Explorer ..props /> },
    chosen: |props| html! { <Chosen ..props /> },
};

/// The chunk could not be fetched. The next use tries again.
pub struct NotLoaded;

#[cfg(feature = "split")]
impl From<wasm_split_helpers::SplitLoaderError> for NotLoaded {
    fn from(_: wasm_split_helpers::SplitLoaderError) -> Self {
        Self
    }
}

/// Fetches the views' code.
#[cfg(feature = "split")]
#[wasm_split_helpers::wasm_split(views, fallible)]
fn fetch() -> Result<Views, NotLoaded> {
    Ok(VIEWS)
}

#[cfg(not(feature = "split"))]
#[allow(clippy::unused_async)]
async fn fetch() -> Result<Views, NotLoaded> {
    Ok(VIEWS)
}

/// The views, from when they are first wanted. `failed` hears that they could not be fetched; `wanted` is tried
/// again when it changes.
#[hook]
pub fn use_views<W: PartialEq + 'static>(
    wanted: Option<W>,
    failed: impl Fn() + 'static,
) -> UseStateHandle<Option<Views>> {
    let views = use_state(|| None::<Views>);
    {
        let views = views.clone();
        use_effect_with(wanted, move |wanted| {
            if wanted.is_none() || views.is_some() {
                return;
            }
            wasm_bindgen_futures::spawn_local(async move {
                match fetch().await {
                    Ok(found) => views.set(Some(found)),
                    Err(NotLoaded) => failed(),
                }
            });
        });
    }
    views
}
