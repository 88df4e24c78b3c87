//! Tokens in Secrets that somebody makes for a ServiceAccount, of type `kubernetes.io/service-account-token`
//! (`pkg/controller/serviceaccount/tokens_controller.go`). The API server signs them, bound to their Secret: they end
//! with it, or with the account.

use std::rc::Rc;
use std::sync::Arc;

use client::{Client, Context, DeleteOptions, Informer, ListOptions, key_of};
use http::Method;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use machinery::status::ApiError;
use machinery::wire::Body;
use machinery::{Encoded, ObjectKey};
use serde_json::{Value, json};

use crate::controller::{Controller, Queue};
use crate::{Options, Setup, pods};

/// The type of such Secrets.
const TYPE: &str = "kubernetes.io/service-account-token";
/// Annotations: the account's name, and its uid.
const ACCOUNT: [&str; 2] = ["kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"];
/// The longest that the API server signs for, in seconds: as good as for ever.
const SECONDS: i64 = 1 << 32;
/// The index of Secrets by `namespace/account`.
const BY_ACCOUNT: &str = "account";

/// The controller of tokens in Secrets; its keys are Secrets.
pub struct TokensController {
    client: Client,
    options: Rc<Options>,
    secrets: Informer<Secret>,
    accounts: Informer<ServiceAccount>,
}

/// The Secrets that are for tokens.
pub fn secrets(setup: &Setup) -> Informer<Secret> {
    setup.informers.filtered(&ListOptions::fields(format!("type={TYPE}")))
}

impl TokensController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        let by_account = |secret: &Secret| {
            let account = pods::annotation(secret, ACCOUNT[0]);
            account.map(|name| format!("{}/{name}", pods::namespace(secret))).into_iter().collect::<Vec<_>>()
        };
        Self {
            client: client.clone(),
            options: setup.options.clone(),
            secrets: secrets(setup).indexed(BY_ACCOUNT, by_account),
            accounts: setup.informers.informer(),
        }
    }

    /// The account that the Secret is for, as the server has it.
    fn account_of(&self, secret: &Secret) -> Result<Option<Arc<ServiceAccount>>, ApiError> {
        let name = pods::annotation(secret, ACCOUNT[0]).unwrap_or_default();
        let key = ObjectKey::new(pods::namespace(secret), name);
        let account = match self.client.get::<ServiceAccount>(&key) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let uid = pods::annotation(secret, ACCOUNT[1]).filter(|uid| !uid.is_empty());
        let is_same = uid.is_none_or(|uid| uid == pods::uid(&*account));
        Ok(Some(account).filter(|_| is_same))
    }

    fn token(&self, secret: &Secret, account: &ServiceAccount) -> Result<String, ApiError> {
        let path =
            format!("/api/v1/namespaces/{}/serviceaccounts/{}/token", pods::namespace(secret), pods::name(account));
        let bound =
            json!({ "apiVersion": "v1", "kind": "Secret", "name": pods::name(secret), "uid": pods::uid(secret) });
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "audiences": [], "expirationSeconds": SECONDS, "boundObjectRef": bound },
        });
        let body = Body::Bytes(body.to_string().into());
        let answer = match self.client.send(Method::POST, &path, "application/json", body)?.into_body() {
            Body::Object(object) => object,
            Body::Bytes(bytes) => Encoded::from_bytes(bytes),
            _ => return Err(ApiError::internal("the answer is no object")),
        };
        let value = answer.value().map_err(|error| ApiError::internal(error.to_string()))?;
        let token = value.pointer("/status/token").and_then(Value::as_str).unwrap_or_default();
        if token.is_empty() { Err(ApiError::internal("the answer has no token")) } else { Ok(token.to_owned()) }
    }
}

impl Controller for TokensController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.secrets.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.accounts.poll(cx) {
            let account = event.object();
            for secret in self.secrets.by_index(BY_ACCOUNT, &key_of(&**account).to_string()) {
                queue.add_for(key_of(&*secret), &**account);
            }
        }
    }

    fn synced(&self) -> bool {
        self.secrets.synced() && self.accounts.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        let Some(secret) = self.secrets.get(key).filter(|secret| !pods::is_deleting(&**secret)) else { return Ok(()) };
        let Some(account) = self.account_of(&secret)? else {
            return match self.client.delete::<Secret>(key, &DeleteOptions::uid(pods::uid(&*secret))) {
                Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
                _ => Ok(()),
            };
        };
        let mut updated = (*secret).clone();
        let data = updated.data.get_or_insert_default();
        let root_ca = self.options.root_ca.as_bytes();
        if !root_ca.is_empty() && data.get("ca.crt").is_none_or(|present| present.0 != root_ca) {
            data.insert("ca.crt".into(), ByteString(root_ca.to_vec()));
        }
        if data.get("namespace").is_none_or(|present| present.0.is_empty()) {
            data.insert("namespace".into(), ByteString(key.namespace.clone().into_bytes()));
        }
        if data.get("token").is_none_or(|present| present.0.is_empty()) {
            data.insert("token".into(), ByteString(self.token(&secret, &account)?.into_bytes()));
        }
        if updated.data == secret.data {
            return Ok(());
        }
        let annotations = updated.metadata.annotations.get_or_insert_default();
        annotations.insert(ACCOUNT[0].into(), pods::name(&*account).into());
        annotations.insert(ACCOUNT[1].into(), pods::uid(&*account).into());
        match self.client.update(updated) {
            // Somebody else changed it, or it is gone: its next event tells.
            Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
