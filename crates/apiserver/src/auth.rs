//! Who asks, and whether they may.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::request_info::RequestInfo;

/// What may be read without saying who one is: upstream's role `system:public-info-viewer`.
const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// Who a request comes from. Hosts put it among the request's extensions; a bearer token is read by
/// the [`Authenticator`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserInfo {
    /// Name, such as `system:node:worker1` or `system:serviceaccount:default:builder`.
    pub username: String,
    /// Unique id, if any.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// More, as the authenticator knows it.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    /// A user of some groups, and of `system:authenticated`.
    pub fn new(username: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
        Self { username: username.into(), groups, ..Self::default() }
    }

    /// The administrator of kubeadm's and kind's kubeconfig files.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &["system:masters"])
    }

    /// Somebody unknown.
    pub fn anonymous() -> Self {
        let groups = vec!["system:unauthenticated".into()];
        Self { username: "system:anonymous".into(), groups, ..Self::default() }
    }

    /// Whether it is not known who this is.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.username.as_str(), "" | "system:anonymous")
            || self.groups.iter().any(|group| group == "system:unauthenticated")
    }
}

/// What is allowed where no [`Authorizer`] decides: everything to those who are known, to others only
/// the public paths.
pub(crate) fn known_or_public(user: &UserInfo, request: &RequestInfo) -> bool {
    let public =
        !request.is_resource_request() && request.verb == "get" && PUBLIC_PATHS.contains(&request.path.as_str());
    public || !user.is_anonymous()
}

/// Takes a request's bearer token out of its headers, so that it goes no further: to a pod, say.
pub(crate) fn take_bearer_token(headers: &mut HeaderMap) -> Option<String> {
    let value = headers.remove(AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Reads bearer tokens.
pub trait Authenticator: Send + Sync {
    /// Whose token it is; `None` if it is nobody's, which is answered with 401.
    fn authenticate_token(&self, token: &str) -> Option<UserInfo>;
}

/// Decides who may do what.
pub trait Authorizer: Send + Sync {
    /// # Errors
    /// Why not, as the end of upstream's message; may be empty. Answered with 403.
    fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> Result<(), String>;
}
