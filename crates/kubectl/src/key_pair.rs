//! Whether a certificate and a private key belong together, as Go's `tls.X509KeyPair` finds out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::der::element;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
/// rsaEncryption (1.2.840.113549.1.1.1), id-ecPublicKey (1.2.840.10045.2.1) and id-Ed25519 (1.3.101.112).
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What is public of a key.
#[derive(Debug, PartialEq, Eq)]
enum Key {
    /// The modulus.
    Rsa(Vec<u8>),
    /// The point; none where a private key does not say it.
    Ec(Option<Vec<u8>>),
    /// Of a private key there is no telling without computing it.
    Ed25519,
}

/// Says why a certificate and a key in PEM are no pair.
///
/// # Errors
/// `tls: private key does not match public key`, and the other words of Go.
pub fn check(certificate: &[u8], key: &[u8]) -> Result<(), String> {
    let blocks = blocks(&String::from_utf8_lossy(certificate));
    let kinds: Vec<&str> = blocks.iter().map(|(kind, _)| kind.as_str()).collect();
    let Some((_, certificate)) = blocks.iter().find(|(kind, _)| kind == "CERTIFICATE") else {
        return Err(match kinds.as_slice() {
            [] => "tls: failed to find any PEM data in certificate input".into(),
            [one] if one.ends_with("PRIVATE KEY") => {
                "tls: failed to find certificate PEM data in certificate input, but \
                                                     did find a private key; PEM inputs may have been switched"
                    .into()
            }
            many => format!(
                "tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the \
                 following types: [{}]",
                many.join(" ")
            ),
        });
    };
    let blocks = self::blocks(&String::from_utf8_lossy(key));
    let kinds: Vec<&str> = blocks.iter().map(|(kind, _)| kind.as_str()).collect();
    let is_key = |kind: &str| kind == "PRIVATE KEY" || kind.ends_with(" PRIVATE KEY");
    let Some((_, private)) = blocks.iter().find(|(kind, _)| is_key(kind)) else {
        return Err(match kinds.as_slice() {
            [] => "tls: failed to find any PEM data in key input".into(),
            ["CERTIFICATE"] => "tls: found a certificate rather than a key in the PEM for the private key".into(),
            many => format!(
                "tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM \
                 blocks of the following types: [{}]",
                many.join(" ")
            ),
        });
    };
    let public = of_certificate(certificate).ok_or("x509: malformed certificate")?;
    let private = of_private(private).ok_or("tls: failed to parse private key")?;
    match (&public, &private) {
        (Key::Rsa(public), Key::Rsa(private)) if public != private => mismatch(),
        (Key::Ec(public), Key::Ec(private @ Some(_))) if public != private => mismatch(),
        (Key::Rsa(_), Key::Rsa(_)) | (Key::Ec(_), Key::Ec(_)) | (Key::Ed25519, Key::Ed25519) => Ok(()),
        _ => Err("tls: private key type does not match public key type".into()),
    }
}

fn mismatch() -> Result<(), String> {
    Err("tls: private key does not match public key".into())
}

/// The blocks of a PEM text: their types and contents.
fn blocks(text: &str) -> Vec<(String, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim().strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {kind}-----");
        let body: String = lines.by_ref().map(str::trim).take_while(|line| *line != end).collect();
        if let Ok(bytes) = BASE64.decode(body) {
            blocks.push((kind.to_owned(), bytes));
        }
    }
    blocks
}

/// The contents of the next element, which has to be of a kind, and what follows it.
fn next(data: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(data).filter(|(found, ..)| *found == tag).map(|(_, contents, rest)| (contents, rest))
}

/// A string of bits that are whole bytes.
fn bits(data: &[u8]) -> Option<&[u8]> {
    const BIT_STRING: u8 = 0x03;
    next(data, BIT_STRING)?.0.split_first().map(|(_unused, bytes)| bytes)
}

/// A number's digits, without leading zeros.
fn digits(data: &[u8]) -> Vec<u8> {
    data.iter().copied().skip_while(|digit| *digit == 0).collect()
}

fn of_certificate(der: &[u8]) -> Option<Key> {
    const VERSION: u8 = 0xa0;
    let (whole, _) = next(der, SEQUENCE)?;
    let (mut rest, _) = next(whole, SEQUENCE)?;
    if let Some((_, after)) = next(rest, VERSION) {
        rest = after;
    }
    // Serial number, algorithm, issuer, validity and subject stand before the key.
    for _ in 0..5 {
        rest = element(rest)?.2;
    }
    let (info, _) = next(rest, SEQUENCE)?;
    let (algorithm, key) = next(info, SEQUENCE)?;
    match element(algorithm)?.1 {
        RSA => rsa(next(bits(key)?, SEQUENCE)?.0),
        EC => Some(Key::Ec(Some(bits(key)?.to_vec()))),
        ED25519 => Some(Key::Ed25519),
        _ => None,
    }
}

/// PKCS #8, PKCS #1 or SEC 1.
fn of_private(der: &[u8]) -> Option<Key> {
    let versioned = |der| next(next(der, SEQUENCE)?.0, INTEGER).map(|(_version, rest)| rest);
    let rest = versioned(der)?;
    let Some((algorithm, rest)) = next(rest, SEQUENCE) else { return of_key(rest) };
    let (inner, _) = next(rest, OCTET_STRING)?;
    match element(algorithm)?.1 {
        ED25519 => Some(Key::Ed25519),
        RSA | EC => of_key(versioned(inner)?),
        _ => None,
    }
}

/// PKCS #1 or SEC 1, after its version.
fn of_key(rest: &[u8]) -> Option<Key> {
    const PUBLIC: u8 = 0xa1;
    if let Some((_, mut rest)) = next(rest, OCTET_STRING) {
        while let Some((tag, contents, after)) = element(rest) {
            if tag == PUBLIC {
                return Some(Key::Ec(Some(bits(contents)?.to_vec())));
            }
            rest = after;
        }
        return Some(Key::Ec(None));
    }
    rsa(rest)
}

/// An RSA key from where its modulus stands.
fn rsa(data: &[u8]) -> Option<Key> {
    next(data, INTEGER).map(|(modulus, _)| Key::Rsa(digits(modulus)))
}
