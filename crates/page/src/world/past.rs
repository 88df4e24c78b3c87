//! The objects as they were at a revision of the store, by the ordinary list API.

use playground_lesson::RESOURCES;
use serde_json::Value;

use super::{Object, Snapshot, World};
use crate::api::{Api, ApiError, Call};

impl World {
    /// The revision that is shown, if it is not the present one.
    pub fn revision(&self) -> Option<u64> {
        self.past.borrow().as_ref().map(|(revision, _)| *revision)
    }

    /// Shows a revision, or the present again. The last wish counts, whichever answers come first.
    ///
    /// # Errors
    /// When the API does not answer, or has forgotten the revision.
    pub async fn go_to(&self, api: &Api, revision: Option<u64>) -> Result<(), ApiError> {
        let wish = self.wish.get().wrapping_add(1);
        self.wish.set(wish);
        let past = match revision {
            None => None,
            Some(revision) => Some((revision, at(api, revision).await?)),
        };
        if self.wish.get() == wish {
            *self.past.borrow_mut() = past;
            self.changed();
        }
        Ok(())
    }
}

async fn at(api: &Api, revision: u64) -> Result<Snapshot, ApiError> {
    let mut snapshot = Snapshot::default();
    for (resource, path) in RESOURCES {
        let path = format!("{path}?resourceVersion={revision}&resourceVersionMatch=Exact");
        let mut list = api.json(Call::get(path)).await?;
        if let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) {
            for item in items {
                snapshot.put(resource, Object(item));
            }
        }
    }
    Ok(snapshot)
}
