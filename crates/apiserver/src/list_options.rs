//! The parameters of lists and watches, as upstream's `ValidateListOptions` checks them.

use machinery::field::{Error, ErrorList, Path};
use machinery::{ApiError, GroupVersionKind};

use crate::call::Result;
use crate::request_info::Query;

const EXACT: &str = "Exact";
const NOT_OLDER_THAN: &str = "NotOlderThan";

/// Refuses what cannot be asked for together.
///
/// # Errors
/// 422 with everything that is wrong.
pub(crate) fn validate(query: &Query, watch: bool) -> Result<()> {
    let errors = if watch { of_watch(query) } else { of_list(query) };
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(&GroupVersionKind::from_api_version("meta.k8s.io/v1", "ListOptions"), "", &errors))
}

fn of_list(query: &Query) -> ErrorList {
    let (field, matching) = (Path::new("resourceVersionMatch"), query.get("resourceVersionMatch"));
    let mut errors = ErrorList::new();
    if !matching.is_empty() {
        if query.get("resourceVersion").is_empty() {
            let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            errors.push(Error::forbidden(&field, detail));
        }
        if !query.get("continue").is_empty() {
            errors.push(Error::forbidden(&field, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !matches!(matching, EXACT | NOT_OLDER_THAN) {
            errors.push(Error::not_supported(&field, matching, &[EXACT, NOT_OLDER_THAN, ""]));
        }
        if matching == EXACT && query.get("resourceVersion") == "0" {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(Error::forbidden(&field, detail));
        }
    }
    if query.has("sendInitialEvents") {
        errors.push(Error::forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list"));
    }
    errors
}

fn of_watch(query: &Query) -> ErrorList {
    let (field, matching) = (Path::new("resourceVersionMatch"), query.get("resourceVersionMatch"));
    let mut errors = ErrorList::new();
    let initial_events = query.has("sendInitialEvents");
    if initial_events && matching != NOT_OLDER_THAN {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(Error::forbidden(&field, detail));
    }
    if !matching.is_empty() {
        if !initial_events {
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(Error::forbidden(&field, detail));
        }
        if matching != NOT_OLDER_THAN {
            errors.push(Error::not_supported(&field, matching, &[NOT_OLDER_THAN]));
        }
        if !query.get("continue").is_empty() {
            errors.push(Error::forbidden(&field, "resourceVersionMatch is forbidden when continue is provided"));
        }
    }
    errors
}
