//! Who asks, and whether they may.
//!
//! A host tells who asks, or a bearer token does: one that this server signed for a ServiceAccount
//! ([`token`]), or one that the host's [`Authenticator`] knows. Who may [`impersonate`] is then somebody
//! else. Whether they may is for the host's [`Authorizer`] to say, and without one for [`rbac`].

pub(crate) mod escalation;
pub(crate) mod impersonate;
pub(crate) mod rbac;
pub(crate) mod token;

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use machinery::ApiError;
use machinery::wire::Request;

use crate::call::Result;
use crate::request_info::RequestInfo;
use crate::server::ApiServer;

/// The group of everybody who is known.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody else.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The user nobody is.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// The group that may do everything, whatever RBAC says.
const MASTERS: &str = "system:masters";

/// Who a request comes from. Hosts put it among the request's extensions; a bearer token is read by
/// the API server itself or the [`Authenticator`].
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
        let groups = groups.iter().chain(&[AUTHENTICATED]).map(|group| (*group).to_owned()).collect();
        Self { username: username.into(), groups, ..Self::default() }
    }

    /// The administrator of kubeadm's and kind's kubeconfig files.
    pub fn admin() -> Self {
        Self::new("kubernetes-admin", &[MASTERS])
    }

    /// Somebody unknown.
    pub fn anonymous() -> Self {
        Self { username: ANONYMOUS.into(), groups: vec![UNAUTHENTICATED.into()], ..Self::default() }
    }

    /// A ServiceAccount.
    pub(crate) fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        let groups = vec![SERVICE_ACCOUNTS.into(), service_accounts_of(namespace), AUTHENTICATED.into()];
        let username = format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}");
        Self { username, uid: uid.into(), groups, ..Self::default() }
    }

    fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|other| other == group)
    }
}

/// What the names of ServiceAccounts as users begin with.
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";
/// The group of all ServiceAccounts.
const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

/// The group of a namespace's ServiceAccounts.
fn service_accounts_of(namespace: &str) -> String {
    format!("{SERVICE_ACCOUNTS}:{namespace}")
}

/// Namespace and name of the ServiceAccount that a user is, if it is one.
fn service_account_of(username: &str) -> Option<(&str, &str)> {
    username.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
}

impl ApiServer {
    /// Who asks: as the host knows, or by a bearer token, or the default; and on whose behalf.
    pub(crate) fn authenticate(&self, request: &mut Request) -> Result<UserInfo> {
        let token = take_bearer_token(request.headers_mut());
        let known = request.extensions_mut().remove::<UserInfo>();
        let user = match (known, token) {
            (Some(user), _) => user,
            (None, Some(token)) => self.authenticate_token(&token, &[]).map_err(|_| ApiError::unauthorized())?.0,
            (None, None) => self.options().default_user.clone(),
        };
        impersonate::impersonated(self, user, request.headers_mut())
    }

    /// Whose token it is, and for which of the audiences that are asked for (none: the API server's).
    ///
    /// # Errors
    /// Why it is nobody's, as a TokenReview says.
    pub(crate) fn authenticate_token(
        &self,
        token: &str,
        audiences: &[String],
    ) -> std::result::Result<(UserInfo, Vec<String>), String> {
        const INVALID: &str = "invalid bearer token";
        if let Some(claims) = self.signer().verify(token) {
            return token::identify(self, &claims, audiences).map_err(|reason| format!("[{INVALID}, {reason}]"));
        }
        let authenticator = self.options().authenticator.as_ref();
        let user = authenticator.and_then(|authenticator| authenticator.authenticate_token(token));
        // A token that says nothing of its audience is for the API server.
        let here: Vec<String> = audiences.iter().filter(|audience| *audience == token::ISSUER).cloned().collect();
        match user {
            Some(user) if audiences.is_empty() || !here.is_empty() => Ok((user, here)),
            _ => Err(INVALID.into()),
        }
    }

    /// Whether a user may do something, and the reason for the answer, which may be empty.
    pub(crate) fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> std::result::Result<String, String> {
        let name = request.name_asked();
        let named = (name != request.name).then(|| RequestInfo { name, ..request.clone() });
        let request = named.as_ref().unwrap_or(request);
        match &self.options().authorizer {
            Some(authorizer) => authorizer.authorize(user, request).map(|()| String::new()),
            None if user.is_in(MASTERS) => Ok(String::new()),
            None => rbac::authorize(&self.store().snapshot(), user, request),
        }
    }
}

/// Takes a request's bearer token out of its headers, so that it goes no further: to a pod, say.
pub(crate) fn take_bearer_token(headers: &mut HeaderMap) -> Option<String> {
    let value = headers.remove(AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

/// Reads bearer tokens other than ServiceAccounts'.
pub trait Authenticator: Send + Sync {
    /// Whose token it is; `None` if it is nobody's, which is answered with 401.
    fn authenticate_token(&self, token: &str) -> Option<UserInfo>;
}

/// Decides who may do what, in the place of RBAC.
pub trait Authorizer: Send + Sync {
    /// # Errors
    /// Why not, as the end of upstream's message; may be empty. Answered with 403.
    fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> std::result::Result<(), String>;
}
