//! URLs, as curl and wget take them.

use crate::network::http::Response;

/// How many redirects are followed.
pub(super) const REDIRECTS_MAX: usize = 50;

/// A URL's parts.
pub(super) struct Url {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) target: String,
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') => (host, port.parse().ok()?),
            _ => (authority, if scheme == "https" { 443 } else { 80 }),
        };
        let target = match target.split('#').next().unwrap_or_default() {
            "" => "/".to_owned(),
            query if query.starts_with('?') => format!("/{query}"),
            path => path.to_owned(),
        };
        (!host.is_empty()).then(|| Self { scheme: scheme.to_lowercase(), host: host.to_owned(), port, target })
    }

    /// The `Host` header.
    pub(super) fn authority(&self) -> String {
        let default = if self.scheme == "https" { 443 } else { 80 };
        if self.port == default { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    pub(super) fn file_name(&self) -> &str {
        let path = self.target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("index.html")
    }
}

/// Where a redirect leads.
pub(super) fn redirected(url: &Url, response: &Response) -> Option<Url> {
    let location = response.header("Location").filter(|_| (300..400).contains(&response.status))?;
    match location.starts_with('/') {
        true => Some(Url {
            target: location.to_owned(),
            scheme: url.scheme.clone(),
            host: url.host.clone(),
            port: url.port,
        }),
        false => Url::parse(location),
    }
}
