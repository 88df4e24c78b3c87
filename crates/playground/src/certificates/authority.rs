//! What signs CertificateSigningRequests: the authority of the server's own certificates.

use anyhow::{Context, Result};
use controllers::certificates::{Authority, Requested};
use jiff::Timestamp;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::DecodePrivateKey;
use rustls::crypto::SecureRandom;
use std::time::Duration;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::flagset::FlagSet;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{DateTime, Decode, DecodePem, EncodePem};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

/// The PEM label of a request.
const REQUEST_LABEL: &str = "CERTIFICATE REQUEST";
/// A serial number's random bytes.
const SERIAL_BYTES: usize = 16;
const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");

/// Names of the API and what they are in a certificate (`keyUsageDict`).
const USAGES: &[(&str, KeyUsages)] = &[
    ("signing", KeyUsages::DigitalSignature),
    ("digital signature", KeyUsages::DigitalSignature),
    ("content commitment", KeyUsages::NonRepudiation),
    ("key encipherment", KeyUsages::KeyEncipherment),
    ("key agreement", KeyUsages::KeyAgreement),
    ("data encipherment", KeyUsages::DataEncipherment),
    ("cert sign", KeyUsages::KeyCertSign),
    ("crl sign", KeyUsages::CRLSign),
    ("encipher only", KeyUsages::EncipherOnly),
    ("decipher only", KeyUsages::DecipherOnly),
];

/// The same of extended usages (`extKeyUsageDict`), in the order in which a certificate has them.
const EXTENDED_USAGES: &[(&str, &str)] = &[
    ("any", "2.5.29.37.0"),
    ("server auth", "1.3.6.1.5.5.7.3.1"),
    ("client auth", "1.3.6.1.5.5.7.3.2"),
    ("code signing", "1.3.6.1.5.5.7.3.3"),
    ("email protection", "1.3.6.1.5.5.7.3.4"),
    ("s/mime", "1.3.6.1.5.5.7.3.4"),
    ("ipsec end system", "1.3.6.1.5.5.7.3.5"),
    ("ipsec tunnel", "1.3.6.1.5.5.7.3.6"),
    ("ipsec user", "1.3.6.1.5.5.7.3.7"),
    ("timestamping", "1.3.6.1.5.5.7.3.8"),
    ("ocsp signing", "1.3.6.1.5.5.7.3.9"),
    ("microsoft sgc", "1.3.6.1.4.1.311.10.3.3"),
    ("netscape sgc", "2.16.840.1.113730.4.1"),
];

/// The authority's certificate and key.
#[derive(Debug)]
pub struct RequestSigner {
    certificate: Certificate,
    key: SigningKey,
    random: &'static dyn SecureRandom,
}

impl RequestSigner {
    /// From the PEM of a certificate and of its key, which is of curve P-256.
    ///
    /// # Errors
    /// When they are not that.
    pub fn new(certificate: &str, key: &str, random: &'static dyn SecureRandom) -> Result<Self> {
        let key = p256::SecretKey::from_pkcs8_pem(key).context("the authority's key")?;
        Ok(Self {
            certificate: Certificate::from_pem(certificate).context("the authority's certificate")?,
            key: SigningKey::from(key),
            random,
        })
    }

    fn issue(&self, request: &[u8], usages: &[String], valid: (Timestamp, Timestamp)) -> Result<Vec<u8>> {
        let authority = self.certificate.tbs_certificate();
        let end = authority.validity().not_after.to_unix_duration();
        let not_after = since_epoch(valid.1).min(end);
        anyhow::ensure!(since_epoch(valid.0) < end, "the signer has expired");
        let der = unwrap_pem(request)?;
        let request = verified(&der)?;
        let info = &request.certification_request_info;
        let mut extensions = self.extensions(usages)?;
        extensions.extend(alternative_names(&request)?);
        let template = Template {
            issuer: authority.subject().clone(),
            subject: Name::from_der(info.subject.as_raw()).context("the subject")?,
            extensions,
        };
        let mut serial = [0; SERIAL_BYTES];
        self.random.fill(&mut serial).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
        let validity = Validity::new(time(since_epoch(valid.0))?, time(not_after)?);
        let key = SubjectPublicKeyInfoOwned::from_der(info.subject_pki.raw).context("the key")?;
        let builder = CertificateBuilder::new(template, SerialNumber::new(&serial)?, validity, key)?;
        let certificate = builder.build::<_, DerSignature>(&self.key)?;
        Ok(certificate.to_pem(LineEnding::LF)?.into_bytes())
    }

    /// What a certificate says beside whose it is.
    fn extensions(&self, usages: &[String]) -> Result<Vec<Extension>> {
        let (mut plain, mut extended) = (FlagSet::default(), Vec::new());
        for usage in usages {
            match (
                USAGES.iter().find(|(name, _)| name == usage),
                EXTENDED_USAGES.iter().find(|(name, _)| name == usage),
            ) {
                (Some((_, flag)), _) => plain |= *flag,
                (None, Some((_, oid))) => {
                    extended.push(ObjectIdentifier::new(oid).map_err(|e| anyhow::anyhow!("{e}"))?)
                }
                (None, None) => anyhow::bail!("unrecognized usage values: [{usage:?}]"),
            }
        }
        extended.sort();
        extended.dedup();
        let nobody = Name::default();
        let mut all = Vec::new();
        if !plain.is_empty() {
            all.push(KeyUsage(plain).to_extension(&nobody, &all)?);
        }
        if !extended.is_empty() {
            all.push(ExtendedKeyUsage(extended).to_extension(&nobody, &all)?);
        }
        let ordinary = BasicConstraints { ca: false, path_len_constraint: None };
        all.push(Extension { critical: true, ..ordinary.to_extension(&nobody, &all)? });
        if let Ok(Some((_, id))) = self.certificate.tbs_certificate().get_extension::<SubjectKeyIdentifier>() {
            let by = AuthorityKeyIdentifier { key_identifier: Some(id.0), ..AuthorityKeyIdentifier::default() };
            all.push(by.to_extension(&nobody, &all)?);
        }
        Ok(all)
    }
}

impl Authority for RequestSigner {
    fn read(&self, request: &[u8]) -> std::result::Result<Requested, String> {
        let read = || -> Result<Requested> {
            let der = unwrap_pem(request)?;
            let request = verified(&der)?;
            let subject = &request.certification_request_info.subject;
            let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| value.as_str().map(str::to_owned);
            let mut requested = Requested {
                common_name: subject.iter_common_name().last().map(text).transpose()?.unwrap_or_default(),
                organizations: subject.iter_organization().map(text).collect::<std::result::Result<_, _>>()?,
                ..Requested::default()
            };
            for extension in request.requested_extensions().into_iter().flatten() {
                let ParsedExtension::SubjectAlternativeName(names) = extension else { continue };
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(_) => requested.dns_names += 1,
                        GeneralName::IPAddress(_) => requested.addresses += 1,
                        GeneralName::RFC822Name(_) => requested.emails += 1,
                        GeneralName::URI(_) => requested.uris += 1,
                        _ => {}
                    }
                }
            }
            Ok(requested)
        };
        read().map_err(|error| format!("{error:#}"))
    }

    fn sign(
        &self,
        request: &[u8],
        usages: &[String],
        valid: (Timestamp, Timestamp),
    ) -> std::result::Result<Vec<u8>, String> {
        self.issue(request, usages, valid).map_err(|error| format!("{error:#}"))
    }

    fn not_after(&self, certificate: &[u8]) -> Option<Timestamp> {
        let end = Certificate::from_pem(certificate).ok()?.tbs_certificate().validity().not_after.to_unix_duration();
        Timestamp::from_second(i64::try_from(end.as_secs()).ok()?).ok()
    }
}

/// What the builder takes a certificate's fixed parts from.
struct Template {
    issuer: Name,
    subject: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Template {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

/// The bytes in a PEM request.
fn unwrap_pem(request: &[u8]) -> Result<Vec<u8>> {
    // As Go's, whatever stands around the block, and however long its lines are.
    let block = x509_parser::pem::parse_x509_pem(request).ok().map(|(_, block)| block);
    let block = block.filter(|block| block.label == REQUEST_LABEL);
    Ok(block.context("PEM block type must be CERTIFICATE REQUEST")?.contents)
}

/// A request whose signature was made with its key.
fn verified(der: &[u8]) -> Result<X509CertificationRequest<'_>> {
    let (_, request) = X509CertificationRequest::from_der(der).map_err(|error| anyhow::anyhow!("{error}"))?;
    request.verify_signature().context("unable to verify certificate request signature")?;
    Ok(request)
}

/// The extension with the alternative names, as the request has it.
fn alternative_names(request: &X509CertificationRequest<'_>) -> Result<Option<Extension>> {
    for attribute in request.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(requested) = attribute.parsed_attribute() else { continue };
        for extension in &requested.extensions {
            if extension.oid.to_id_string() == SUBJECT_ALTERNATIVE_NAME.to_string() {
                return Ok(Some(Extension {
                    extn_id: SUBJECT_ALTERNATIVE_NAME,
                    critical: extension.critical,
                    extn_value: OctetString::new(extension.value)?,
                }));
            }
        }
    }
    Ok(None)
}

/// Certificates count in whole seconds.
fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0))
}

fn time(since_epoch: Duration) -> Result<Time> {
    Ok(Time::from(DateTime::from_unix_duration(since_epoch)?))
}

#[cfg(test)]
mod tests {
    use x509_cert::der::Encode;

    use super::*;

    /// `openssl req -new -subj /O=dev/O=ops/CN=jane -addext subjectAltName=DNS:jane.example,IP:10.0.0.1`
    const REQUEST: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIICoDCCAYgCAQAwKzEMMAoGA1UECgwDZGV2MQwwCgYDVQQKDANvcHMxDTALBgNV\n\
BAMMBGphbmUwggEiMA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCcAq3gnwI2\n\
PKb7ThOdDlVFN9guWeBb/VnADh4IpajpWZaZ5cYtEKbf+DtLlkWY/mvKBSpJNR80\n\
TqS3kyNWQtSy9qRPYY0opqXkGU/3+YRpJDxFp3nPpnD70CxKQO4U3dpOeKIvYfsc\n\
JE9s2vE1CgG5skHX/SkZpht8uFs4QlkqY0K6bi+Ndu41Vz5PZcJEE+hxmrktdFgS\n\
2OfuCH1LleKKlpV25tCuXe0x9j6BXNsKhtxItCSdq2P08MFDx4wVQnXRpfsi5i33\n\
hf686T+JpYYuO+cXCKbXU5qOAy7BmiPtTCxIHeu2HIMUqL0qM9tcG7+QorAc3dZf\n\
4Do4sRYe5YTnAgMBAAGgMDAuBgkqhkiG9w0BCQ4xITAfMB0GA1UdEQQWMBSCDGph\n\
bmUuZXhhbXBsZYcECgAAATANBgkqhkiG9w0BAQsFAAOCAQEAX/lE4EI0vPOnKq8B\n\
BamTryh/9tuGjWV6Wu9DxDIiErWsZPXt12HOgTPaQKndj52nKY6anYS2b2thzGJn\n\
hTf5cmdfCWrGR5bJg3O7+Y0IZZ+RjtHAN/wwCOfONyBxO3XP37qKxTdw6rSpOP0N\n\
8NBFXNkDquc9g8c/tVEgNkRCtuPb0f6hnWfxQeAHgebRk5e4Y8iVlIraBu8rIPGK\n\
w0jA98TmdVG4QzvdwbL0W1yuRZ7TqSfUJis4+SS3ksiYneT353wUP9v43ALBniw9\n\
Km8xZ5uXvMGI39cdQMNnWplqqUFMKB8AZj0gSgrjelmI8f7UV1i5/FPjiXjOOFsa\n\
aoZS7A==\n\
-----END CERTIFICATE REQUEST-----\n\n";

    fn signer() -> RequestSigner {
        let folder = tempfile::tempdir().unwrap();
        let certificates = crate::certificates::Certificates::load_or_create(folder.path(), &[]).unwrap();
        certificates.request_signer(rustls::crypto::ring::default_provider().secure_random).unwrap()
    }

    #[test]
    fn certificates_have_the_whole_subject_and_what_the_request_may_be_used_for() {
        let signer = signer();
        let requested = signer.read(REQUEST.as_bytes()).unwrap();
        assert_eq!(requested.common_name, "jane");
        assert_eq!(requested.organizations, ["dev", "ops"]);
        assert_eq!((requested.dns_names, requested.addresses, requested.emails), (1, 1, 0));
        let (from, to) = ("2026-01-01T00:00:00Z".parse().unwrap(), "2026-01-02T00:00:00Z".parse().unwrap());
        let usages = ["digital signature".to_owned(), "client auth".to_owned()];
        let pem = signer.sign(REQUEST.as_bytes(), &usages, (from, to)).unwrap();
        assert_eq!(signer.not_after(&pem), Some(to));
        let (_, der) = x509_cert::der::pem::decode_vec(&pem).unwrap();
        let (_, read) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
        let groups: Vec<_> = read.subject().iter_organization().map(|group| group.as_str().unwrap()).collect();
        assert_eq!(groups, ["dev", "ops"]);
        assert_eq!(read.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 2);
        let extended = read.extended_key_usage().unwrap().unwrap().value;
        assert!(extended.client_auth && !extended.server_auth && !read.is_ca());
        let authority = signer.certificate.to_der().unwrap();
        let (_, authority) = x509_parser::certificate::X509Certificate::from_der(&authority).unwrap();
        read.verify_signature(Some(authority.public_key())).unwrap();

        let unknown = signer.sign(REQUEST.as_bytes(), &["magic".into()], (from, to)).unwrap_err();
        assert_eq!(unknown, "unrecognized usage values: [\"magic\"]");
        let late = signer.sign(REQUEST.as_bytes(), &usages, (from, "2200-01-01T00:00:00Z".parse().unwrap())).unwrap();
        assert_eq!(signer.not_after(&late), Some("2100-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_no_request_or_not_signed_by_its_key_is_not_read() {
        let signer = signer();
        let no_request = "PEM block type must be CERTIFICATE REQUEST";
        assert_eq!(signer.read(b"no PEM").unwrap_err(), no_request);
        assert_eq!(signer.read(signer.certificate.to_pem(LineEnding::LF).unwrap().as_bytes()).unwrap_err(), no_request);
        let mut der = unwrap_pem(REQUEST.as_bytes()).unwrap();
        *der.last_mut().unwrap() ^= 1;
        let forged = x509_cert::der::pem::encode_string(REQUEST_LABEL, LineEnding::LF, &der).unwrap();
        assert!(
            signer.read(forged.as_bytes()).unwrap_err().starts_with("unable to verify certificate request signature")
        );
    }
}
