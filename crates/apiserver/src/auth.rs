//! Who asks, and whether they may.

use std::collections::BTreeMap;

use crate::request_info::RequestInfo;

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
