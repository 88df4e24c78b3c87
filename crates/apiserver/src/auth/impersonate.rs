//! Impersonation headers (`apiserver/pkg/endpoints/filters/impersonation.go`).

use http::HeaderMap;
use machinery::ApiError;

use super::{
    ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED, UserInfo, service_account_of, service_accounts_of,
};
use crate::call::Result;
use crate::request_info::RequestInfo;
use crate::server::{ApiServer, forbidden};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA_PREFIX: &str = "impersonate-extra-";
/// The API group of what is impersonated besides users, groups and ServiceAccounts.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user that the headers name, if `user` may be somebody else; `user` where they name nobody. The
/// headers are taken off.
///
/// # Errors
/// 403 for what may not be impersonated, 500 for headers that name no user.
pub(crate) fn impersonated(server: &ApiServer, user: UserInfo, headers: &mut HeaderMap) -> Result<UserInfo> {
    let mut wanted = Wanted::take(headers);
    if wanted.is_nobody() {
        return Ok(user);
    }
    if wanted.user.is_empty() {
        return Err(ApiError::internal(format!(
            "requested {} without impersonating a user",
            machinery::go::quote(&wanted.describe())
        )));
    }
    let account = service_account_of(&wanted.user).map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    let request = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| RequestInfo {
        verb: "impersonate".into(),
        group: group.into(),
        version: "v1".into(),
        namespace: namespace.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        name: name.into(),
        ..RequestInfo::default()
    };
    let mut checks = vec![match &account {
        Some((namespace, name)) => request("", "serviceaccounts", "", namespace, name),
        None => request("", "users", "", "", &wanted.user),
    }];
    checks.extend(wanted.groups.iter().map(|group| request("", "groups", "", "", group)));
    for (key, value) in &wanted.extra {
        checks.push(request(AUTHENTICATION, "userextras", key, "", value));
    }
    if !wanted.uid.is_empty() {
        checks.push(request(AUTHENTICATION, "uids", "", "", &wanted.uid));
    }
    for check in &checks {
        if let Err(reason) = server.authorize(&user, check) {
            return Err(forbidden(&user, check, &reason));
        }
    }
    if let Some((namespace, _)) = &account
        && wanted.groups.is_empty()
    {
        wanted.groups = vec![SERVICE_ACCOUNTS.into(), service_accounts_of(namespace)];
    }
    let standing = [AUTHENTICATED, UNAUTHENTICATED];
    if !wanted.groups.iter().any(|group| standing.contains(&group.as_str())) {
        let group = if wanted.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        wanted.groups.push(group.into());
    }
    let mut user = UserInfo { username: wanted.user, uid: wanted.uid, groups: wanted.groups, ..UserInfo::default() };
    for (key, value) in wanted.extra {
        user.extra.entry(key).or_default().push(value);
    }
    Ok(user)
}

/// What the headers ask for.
#[derive(Default)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    /// Keys, in lower case and without escapes, each with one value.
    extra: Vec<(String, String)>,
}

impl Wanted {
    fn take(headers: &mut HeaderMap) -> Self {
        let mut wanted = Self::default();
        for (name, value) in &*headers {
            let value = || value.to_str().unwrap_or_default().to_owned();
            match name.as_str() {
                USER => wanted.user = value(),
                UID => wanted.uid = value(),
                GROUP => wanted.groups.push(value()),
                name => {
                    if let Some(key) = name.strip_prefix(EXTRA_PREFIX) {
                        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
                        wanted.extra.push((key, value()));
                    }
                }
            }
        }
        if !wanted.is_nobody() {
            let named: Vec<_> =
                headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
            for name in named {
                headers.remove(name);
            }
        }
        wanted
    }

    fn is_nobody(&self) -> bool {
        self.user.is_empty() && self.uid.is_empty() && self.groups.is_empty() && self.extra.is_empty()
    }

    fn describe(&self) -> String {
        let extra = self.extra.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
        format!("groups=[{}] extra=[{extra}] uid={}", self.groups.join(" "), self.uid)
    }
}
