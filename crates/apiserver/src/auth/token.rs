//! ServiceAccount tokens: made, read, and what the world needs to check them
//! (`pkg/serviceaccount/jwt.go`, `claims.go`, `openidmetadata.go`).
//!
//! They are JSON Web Tokens signed with ES256, one of the two algorithms that upstream signs with: every
//! OpenID library can check them, the signature is deterministic (RFC 6979), and the code is small.
//! Whoever signed a token can check it by signing again, so that there is no verification here.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::UserInfo;
use crate::server::ApiServer;
use crate::{registry, storage};

/// Who issues tokens, and whom they are for unless they say otherwise: kubeadm's choice.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Where the key is published.
pub(crate) const JWKS_PATH: &str = "/openid/v1/jwks";
/// Where the issuer is described.
pub(crate) const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";
/// How many tokens are remembered that were found good: the next request comes with the same.
const REMEMBERED: usize = 128;
/// How long what a token is bound to may be overdue.
const LEEWAY_SECONDS: i64 = 60;

/// DER of a public key of P-256 in front of its point (RFC 5480), whose hash names the key as upstream
/// names it.
const PUBLIC_KEY_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Signs tokens, and knows those it signed.
pub(crate) struct TokenSigner {
    key: SigningKey,
    /// The encoded header, the same for all tokens.
    header: String,
    key_id: String,
    remembered: Mutex<VecDeque<String>>,
}

impl TokenSigner {
    /// With a private key; of 32 bytes that are none (one in four billion) a hash is taken.
    pub(crate) fn new(mut bytes: [u8; 32]) -> Self {
        let key = loop {
            match SigningKey::from_slice(&bytes) {
                Ok(key) => break key,
                Err(_) => bytes = Sha256::digest(bytes).into(),
            }
        };
        let mut info = PUBLIC_KEY_INFO.to_vec();
        info.extend(point(&key));
        let key_id = encode(&Sha256::digest(info));
        let header = encode(json!({"alg": "ES256", "kid": key_id}).to_string().as_bytes());
        Self { key, header, key_id, remembered: Mutex::default() }
    }

    /// The token with these claims, a JSON object.
    pub(crate) fn sign(&self, claims: &str) -> String {
        let text = format!("{}.{}", self.header, encode(claims.as_bytes()));
        let signature = self.signature(&text);
        format!("{text}.{signature}")
    }

    fn signature(&self, text: &str) -> String {
        let signature: Signature = self.key.sign(text.as_bytes());
        encode(&signature.to_bytes())
    }

    /// The claims of a token that this key has signed.
    pub(crate) fn verify(&self, token: &str) -> Option<Value> {
        let (text, signature) = token.rsplit_once('.')?;
        let claims = text.strip_prefix(&self.header)?.strip_prefix('.')?;
        let remembered = || self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let known = remembered().iter().any(|known| known == token);
        if !known {
            if !equal(signature, &self.signature(text)) {
                return None;
            }
            let mut remembered = remembered();
            remembered.truncate(REMEMBERED - 1);
            remembered.push_front(token.to_owned());
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    /// The public key as a JSON Web Key Set.
    pub(crate) fn key_set(&self) -> Value {
        let point = point(&self.key);
        // An uncompressed point is a 4 and two coordinates of 32 bytes.
        let (x, y) = point[1..].split_at(32);
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": encode(x), "y": encode(y),
        }]})
    }

    /// What OpenID Connect clients read first.
    pub(crate) fn discovery(&self, server: &ApiServer) -> Value {
        let options = server.options();
        json!({
            "issuer": ISSUER,
            "jwks_uri": format!("https://{}:{}{JWKS_PATH}", options.advertise_address, options.advertise_port),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }
}

fn point(key: &SigningKey) -> Vec<u8> {
    key.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Compares without leaving early, so that timing tells nothing.
fn equal(given: &str, wanted: &str) -> bool {
    given.len() == wanted.len()
        && given.bytes().zip(wanted.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// Whom claims are about, and for which of the audiences asked for (none: the API server's); as
/// `claims.go` validates them.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn identify(
    server: &ApiServer,
    claims: &Value,
    audiences: &[String],
) -> Result<(UserInfo, Vec<String>), String> {
    let text = |pointer: &str| claims.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let time = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    let meant = claims.get("aud").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let here = [ISSUER.to_owned()];
    let wanted = if audiences.is_empty() { &here } else { audiences };
    let common: Vec<String> = wanted.iter().filter(|name| meant.iter().any(|other| other == *name)).cloned().collect();
    if common.is_empty() {
        let quoted =
            |names: &mut dyn Iterator<Item = &str>| names.map(machinery::go::quote).collect::<Vec<_>>().join(" ");
        let given = quoted(&mut meant.iter().filter_map(Value::as_str));
        let wanted = quoted(&mut wanted.iter().map(String::as_str));
        return Err(format!("token audiences [{given}] is invalid for the target audiences [{wanted}]"));
    }
    let now = server.now().as_second();
    if now > time("exp").saturating_add(LEEWAY_SECONDS) {
        return Err("service account token has expired".into());
    }
    if now < time("nbf").saturating_sub(LEEWAY_SECONDS) {
        return Err("service account token is not valid yet".into());
    }
    let namespace = text("/kubernetes.io/namespace");
    let (name, uid) = (text("/kubernetes.io/serviceaccount/name"), text("/kubernetes.io/serviceaccount/uid"));
    let current = bound(server, "serviceaccounts", namespace, name)
        .ok_or_else(|| format!("serviceaccounts {} not found", machinery::go::quote(name)))?;
    if current != uid {
        return Err(format!("service account UID ({current}) does not match claim ({uid})"));
    }
    let mut user = UserInfo::service_account(namespace, name, uid);
    let mut extra = |name: &str, value: String| {
        if !value.is_empty() {
            user.extra.insert(format!("authentication.kubernetes.io/{name}"), vec![value]);
        }
    };
    let has_pod = claims.pointer("/kubernetes.io/pod").is_some();
    for (kind, resource, namespace) in
        [("pod", "pods", namespace), ("secret", "secrets", namespace), ("node", "nodes", "")]
    {
        let part = |part: &str| text(&format!("/kubernetes.io/{kind}/{part}")).to_owned();
        let (name, uid) = (part("name"), part("uid"));
        if name.is_empty() {
            continue;
        }
        // The node of a pod-bound token is only told; the pod's end is the token's.
        if (kind != "node" || !has_pod) && bound(server, resource, namespace, &name).as_deref() != Some(uid.as_str()) {
            return Err("service account token has been invalidated".into());
        }
        if kind != "secret" {
            extra(&format!("{kind}-name"), name);
            extra(&format!("{kind}-uid"), uid);
        }
    }
    let id = text("/jti");
    if !id.is_empty() {
        extra("credential-id", format!("JTI={id}"));
    }
    Ok((user, if audiences.is_empty() { Vec::new() } else { common }))
}

/// The uid of an object that is there, and has not been dying for long.
fn bound(server: &ApiServer, resource: &str, namespace: &str, name: &str) -> Option<String> {
    let now = server.now().as_second();
    let row = registry::by_resource("", "v1", resource)?;
    let kv = server.store().get(&storage::key(row, namespace, name))?;
    let object = storage::typed(row, &storage::stored(&kv)).ok()?;
    let metadata = object.metadata();
    let dead = metadata.deletion_timestamp.as_ref().is_some_and(|time| time.0.as_second() < now - LEEWAY_SECONDS);
    (!dead).then(|| metadata.uid.clone().unwrap_or_default())
}
