//! Credentials that a program of this machine gives: the `exec:` of a kubeconfig's user (client.authentication.k8s.io,
//! upstream's plugin/pkg/client/auth/exec).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::error::Error;
use crate::host::{Host, SendError};
use crate::kubeconfig::Endpoint;
use crate::resources::{items, text};

const INSTALL: &str = "It looks like you are trying to use a client-go credential plugin that is not installed.\n\nTo \
                       learn more about this feature, consult the documentation available at:\n      \
                       https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins";

/// What a plugin gave.
pub struct Credentials {
    /// A bearer token; empty for none.
    pub token: String,
    /// PEM of a client certificate and its key.
    pub certificate: Vec<u8>,
    /// The key.
    pub key: Vec<u8>,
}

/// Runs a user's plugin for a cluster.
///
/// # Errors
/// What failed, as a request that got no answer: upstream asks for credentials when it sends one.
pub async fn credentials(host: &dyn Host, plugin: &Value, endpoint: &Endpoint) -> Result<Credentials, Error> {
    let failed = |reason: String| Error::Send {
        server: endpoint.server.clone(),
        error: SendError::Failed(format!("getting credentials: {reason}")),
    };
    let (command, version) = (text(&plugin["command"]), text(&plugin["apiVersion"]));
    let mode = text(&plugin["interactiveMode"]);
    if mode == "Always" && host.terminal().is_none() {
        return Err(failed("exec: plugin requires interactive mode, but standard input is not a terminal".into()));
    }
    let interactive = mode != "Never" && host.terminal().is_some();
    let mut spec = json!({ "interactive": interactive });
    if plugin["provideClusterInfo"] == true {
        spec["cluster"] = json!({ "server": endpoint.server });
        for (field, value) in [
            ("certificate-authority-data", BASE64.encode(&endpoint.certificate_authority)),
            ("tls-server-name", endpoint.tls_server_name.clone()),
        ] {
            if !value.is_empty() {
                spec["cluster"][field] = value.into();
            }
        }
        if endpoint.insecure_skip_tls_verify {
            spec["cluster"]["insecure-skip-tls-verify"] = true.into();
        }
    }
    let asked = json!({ "kind": "ExecCredential", "apiVersion": version, "spec": spec });
    let mut variables: Vec<(String, String)> =
        items(&plugin["env"]).map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect();
    variables.push(("KUBERNETES_EXEC_INFO".into(), asked.to_string()));
    let mut words = vec![command.clone()];
    words.extend(items(&plugin["args"]).map(text));
    let (code, output) = host.run_program(&words, &variables).await.map_err(|reason| match reason {
        SendError::Refused => {
            let hint = text(&plugin["installHint"]);
            let hint = if hint.is_empty() { hint } else { format!("\n\n{hint}") };
            failed(format!("exec: executable {command} not found\n\n{INSTALL}{hint}"))
        }
        SendError::Failed(reason) => failed(format!("exec: {reason}")),
    })?;
    if code != 0 {
        return Err(failed(format!("exec: executable {command} failed with exit code {code}")));
    }
    let answer: Value = serde_json::from_slice(&output)
        .map_err(|error| failed(format!("decoding stdout: couldn't get version/kind; json parse error: {error}")))?;
    if answer["apiVersion"] != version.as_str() {
        let found = text(&answer["apiVersion"]);
        return Err(failed(format!(
            "exec plugin is configured to use API version {version}, plugin returned version {found}"
        )));
    }
    let status = &answer["status"];
    if status.is_null() {
        return Err(failed("exec plugin didn't return a status field".into()));
    }
    let found = Credentials {
        token: text(&status["token"]),
        certificate: text(&status["clientCertificateData"]).into_bytes(),
        key: text(&status["clientKeyData"]).into_bytes(),
    };
    if found.certificate.is_empty() != found.key.is_empty() {
        return Err(failed("exec plugin returned only certificate or key, not both".into()));
    }
    if found.token.is_empty() && found.certificate.is_empty() {
        return Err(failed("exec plugin didn't return a token or cert/key pair".into()));
    }
    Ok(found)
}
