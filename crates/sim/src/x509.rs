//! Certificates, read as far as people look at them: whose they are, who signed them, for how long. Signatures
//! are not checked: nothing in the simulated network is encrypted.

use base64::Engine;

/// What a certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as openssl prints it: `CN=shop.example; O=Shop`.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// The names it is for; without such, its common name.
    pub names: Vec<String>,
    /// From when it holds: `20260101000000Z`.
    pub not_before: String,
    /// Until when it holds.
    pub not_after: String,
}

/// Object identifiers of a name's parts, behind 2.5.4.
const PARTS: [(u8, &str); 6] = [(3, "CN"), (6, "C"), (7, "L"), (8, "ST"), (10, "O"), (11, "OU")];
/// subjectAltName.
const ALTERNATIVE_NAMES: [u8; 3] = [0x55, 0x1d, 0x11];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;

impl Certificate {
    /// All certificates in a PEM text.
    pub fn of_pem(text: &[u8]) -> Vec<Self> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        let text = String::from_utf8_lossy(text);
        let blocks = text.split(BEGIN).skip(1).filter_map(|block| {
            let body: String = block.split("-----END").next()?.split_whitespace().collect();
            Self::of_der(&base64::engine::general_purpose::STANDARD.decode(body).ok()?)
        });
        blocks.collect()
    }

    /// From its DER bytes.
    pub fn of_der(der: &[u8]) -> Option<Self> {
        let mut signed = Der(Der(der).take(SEQUENCE)?);
        let mut fields = Der(signed.take(SEQUENCE)?);
        // The version, the serial number and the algorithm.
        if fields.0.first() == Some(&0xa0) {
            fields.next()?;
        }
        fields.next()?;
        fields.next()?;
        let (issuer, _) = name(fields.take(SEQUENCE)?);
        let mut validity = Der(fields.take(SEQUENCE)?);
        let (not_before, not_after) = (time(validity.next()?), time(validity.next()?));
        let (subject, common) = name(fields.take(SEQUENCE)?);
        let mut names = Vec::new();
        while let Some((tag, content)) = fields.next() {
            if tag == 0xa3 {
                names = alternative_names(Der(content).take(SEQUENCE).unwrap_or_default());
            }
        }
        if names.is_empty() {
            names.extend(common);
        }
        Some(Self { subject, issuer, names, not_before, not_after })
    }

    /// Whether it is for a host.
    pub fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }
}

/// Whether a name, perhaps a wildcard for one label, is that of a host.
pub fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => {
            host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(domain))
        }
        None => name.eq_ignore_ascii_case(host),
    }
}

/// What is left of a sequence of DER values.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next value: its tag, its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, mut rest) = rest.split_first()?;
        let mut length = usize::from(*first);
        if length >= 0x80 {
            let bytes = rest.get(..length - 0x80).filter(|bytes| bytes.len() <= 4)?;
            rest = rest.get(bytes.len()..)?;
            length = bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }

    /// The next value's content, if it has that tag.
    fn take(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

/// A name as openssl prints it, and the common name in it.
fn name(content: &[u8]) -> (String, Option<String>) {
    let (mut out, mut common, mut parts) = (Vec::new(), None, Der(content));
    while let Some(set) = parts.take(SET) {
        let Some(mut pair) = Der(set).take(SEQUENCE).map(Der) else { continue };
        let (Some(object), Some((_, value))) = (pair.take(OBJECT), pair.next()) else { continue };
        let value = String::from_utf8_lossy(value).into_owned();
        let known = object.strip_prefix(&[0x55, 0x04]).and_then(|rest| PARTS.iter().find(|(id, _)| rest == [*id]));
        let Some((_, word)) = known else { continue };
        out.push(format!("{word}={value}"));
        if *word == "CN" {
            common = Some(value);
        }
    }
    (out.join("; "), common)
}

/// A time with the century.
fn time((tag, content): (u8, &[u8])) -> String {
    let text = String::from_utf8_lossy(content);
    match tag {
        UTC_TIME if text.as_ref() < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        _ => text.into_owned(),
    }
}

/// DNS names and addresses out of a certificate's extensions.
fn alternative_names(extensions: &[u8]) -> Vec<String> {
    const DNS: u8 = 0x82;
    const ADDRESS: u8 = 0x87;
    let (mut out, mut extensions) = (Vec::new(), Der(extensions));
    while let Some(extension) = extensions.take(SEQUENCE) {
        let mut extension = Der(extension);
        if extension.take(OBJECT) != Some(&ALTERNATIVE_NAMES) {
            continue;
        }
        // Whether it is critical comes first, where it is.
        let octets = std::iter::from_fn(|| extension.next()).find(|(tag, _)| *tag == OCTETS);
        let names = octets.and_then(|(_, content)| Der(content).take(SEQUENCE));
        let mut names = Der(names.unwrap_or_default());
        while let Some((tag, content)) = names.next() {
            match (tag, <[u8; 4]>::try_from(content)) {
                (DNS, _) => out.push(String::from_utf8_lossy(content).into_owned()),
                (ADDRESS, Ok(address)) => out.push(std::net::Ipv4Addr::from(address).to_string()),
                _ => {}
            }
        }
    }
    out
}
