//! The cluster's own certificate authority, and what it signs: the server's certificate and the
//! administrator's. The authority is kept in the data directory, so that a kubeconfig file outlives a
//! restart.

mod authority;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
pub use authority::RequestSigner;
use p256::pkcs8::DecodePrivateKey;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::crypto::SecureRandom;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// PEM texts of the authority and of the two certificates.
pub struct Certificates {
    /// The authority's certificate.
    pub authority: String,
    authority_key: String,
    server: Pair,
    /// The administrator's certificate and key, for kubeconfig files.
    pub administrator: Pair,
    /// The private key that signs ServiceAccounts' tokens, kept so that pods' tokens outlive a restart.
    pub service_account_key: [u8; 32],
}

/// A certificate and its private key, both PEM.
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Certificates {
    /// Reads the authority of a data directory, or makes it; the other certificates are signed anew
    /// each time.
    ///
    /// # Errors
    /// When files cannot be read or written, or are no certificates.
    pub fn load_or_create(directory: &Path, addresses: &[IpAddr]) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let file = |name: &str| directory.join(name);
        let (authority, authority_key) = (file("ca.crt"), file("ca.key"));
        if !authority.exists() || !authority_key.exists() {
            let pair = create_authority()?;
            write_private(&authority_key, &pair.key)?;
            write_private(&authority, &pair.certificate)?;
        }
        let authority_key_pem = read(&authority_key)?;
        let key = KeyPair::from_pem(&authority_key_pem).with_context(|| damaged(&authority_key))?;
        let authority_pem = read(&authority)?;
        let issuer = Issuer::from_ca_cert_pem(&authority_pem, key).with_context(|| damaged(&authority))?;
        Ok(Self {
            server: sign_server(&issuer, addresses)?,
            administrator: sign_administrator(&issuer)?,
            authority: authority_pem,
            authority_key: authority_key_pem,
            service_account_key: load_or_create_key(file("sa.key"))?,
        })
    }

    /// What signs the requests of the cluster's users.
    ///
    /// # Errors
    /// When the authority's key is of another kind than this program makes.
    pub fn request_signer(&self, random: &'static dyn SecureRandom) -> Result<RequestSigner> {
        RequestSigner::new(&self.authority, &self.authority_key, random)
    }

    /// TLS with this server certificate, asking clients for a certificate of this authority but not
    /// insisting on one.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn server_config(&self) -> Result<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes())?)?;
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).allow_unauthenticated().build()?;
        let chain = vec![CertificateDer::from_pem_slice(self.server.certificate.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(self.server.key.as_bytes())?;
        let mut config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// The key that signs ServiceAccounts' tokens: PKCS #8 PEM, as kubeadm keeps it, of a curve P-256 key.
fn load_or_create_key(file: PathBuf) -> Result<[u8; 32]> {
    if !file.exists() {
        write_private(&file, &KeyPair::generate()?.serialize_pem())?;
    }
    let key = p256::SecretKey::from_pkcs8_pem(&read(&file)?).with_context(|| damaged(&file))?;
    Ok(key.to_bytes().into())
}

fn create_authority() -> Result<Pair> {
    let mut params = parameters("kubernetes", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn sign_server(issuer: &Issuer<'_, KeyPair>, addresses: &[IpAddr]) -> Result<Pair> {
    const NAMES: [&str; 5] = [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut params = parameters("kube-apiserver", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for name in NAMES {
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
    }
    params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    sign(issuer, params)
}

fn sign_administrator(issuer: &Issuer<'_, KeyPair>) -> Result<Pair> {
    let mut params = parameters("kubernetes-admin", &["system:masters"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    sign(issuer, params)
}

fn sign(issuer: &Issuer<'_, KeyPair>, mut params: CertificateParams) -> Result<Pair> {
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.signed_by(&key, issuer)?.pem(), key: key.serialize_pem() })
}

/// A subject's common name is the user, its organizations are the user's groups.
fn parameters(user: &str, groups: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    params.distinguished_name.push(DnType::CommonName, user);
    for group in groups {
        params.distinguished_name.push(DnType::OrganizationName, *group);
    }
    params
}

/// What to do about a file that is not what it should be.
/// What to say of a file that is not what this program wrote.
pub fn damaged(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path).display();
    format!("{} is damaged: move {folder} away, and new certificates are made", path.display())
}

/// Reads a file, or says which one cannot be read.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file that only its owner can read, whole or not at all.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || -> std::io::Result<()> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
