//! kubeconfig: which clusters there are, who we are there, and which context is current.

/// The cluster and the user that a request is for, from the kubeconfig and the flags that override it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The context's name; empty where there is no kubeconfig.
    pub context: String,
    /// `https://127.0.0.1:6443`
    pub server: String,
    /// PEM of the certificate authority to trust; empty for the system's.
    pub certificate_authority: Vec<u8>,
    /// Whether to accept any certificate.
    pub insecure_skip_tls_verify: bool,
    /// Name to expect in the server's certificate, where it differs from the host.
    pub tls_server_name: String,
    /// PEM of the client certificate.
    pub client_certificate: Vec<u8>,
    /// PEM of its key.
    pub client_key: Vec<u8>,
}
