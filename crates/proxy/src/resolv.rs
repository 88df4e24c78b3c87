//! What a pod's `/etc/resolv.conf` says, and which names a resolver tries because of it.

use std::fmt;
use std::net::IpAddr;

/// A resolver's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// Name servers, in the order they are asked.
    pub nameservers: Vec<IpAddr>,
    /// Domains to try after a short name.
    pub search: Vec<String>,
    /// A name with fewer dots than this is tried with the search domains first.
    pub ndots: usize,
}

impl ResolvConf {
    /// The configuration of a pod with `dnsPolicy: ClusterFirst`.
    pub fn cluster_first(nameserver: IpAddr, namespace: &str, domain: &str) -> Self {
        Self {
            nameservers: vec![nameserver],
            search: vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.to_owned()],
            ndots: 5,
        }
    }

    /// Reads a file's text; what it does not understand it skips, as resolvers do.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self { ndots: 1, ..Self::default() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    conf.nameservers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok()))
                }
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:")).find_map(|n| n.parse().ok());
                    conf.ndots = ndots.unwrap_or(conf.ndots);
                }
                _ => {}
            }
        }
        conf
    }

    /// The absolute names a resolver asks for, in order, until one exists.
    pub fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_suffix('.') {
            return vec![absolute.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
        let as_is = std::iter::once(name.to_owned());
        if name.matches('.').count() >= self.ndots {
            as_is.chain(searched).collect()
        } else {
            searched.chain(as_is).collect()
        }
    }
}

impl fmt::Display for ResolvConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.search.is_empty() {
            writeln!(f, "search {}", self.search.join(" "))?;
        }
        for server in &self.nameservers {
            writeln!(f, "nameserver {server}")?;
        }
        writeln!(f, "options ndots:{}", self.ndots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_go_through_the_search_path_first() {
        let conf = ResolvConf::cluster_first([10, 96, 0, 10].into(), "shop", "cluster.local");
        assert_eq!(conf.candidates("web")[0], "web.shop.svc.cluster.local");
        assert_eq!(conf.candidates("web.other")[1], "web.other.svc.cluster.local");
        assert_eq!(conf.candidates("web")[3], "web");
        assert_eq!(conf.candidates("a.b.c.d.e.f")[0], "a.b.c.d.e.f");
        assert_eq!(conf.candidates("web."), ["web"]);
    }

    #[test]
    fn what_is_written_reads_back() {
        let conf = ResolvConf::cluster_first([10, 96, 0, 10].into(), "shop", "cluster.local");
        assert_eq!(ResolvConf::parse(&conf.to_string()), conf);
        assert_eq!(ResolvConf::parse("nameserver bogus\noptions edns0\n").ndots, 1);
    }
}
