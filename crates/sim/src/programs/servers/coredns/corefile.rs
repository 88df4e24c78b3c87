//! CoreDNS' configuration: blocks of zones, each with the plugins that answer for them.

/// Plugins that CoreDNS is built with.
const PLUGINS: [&str; 40] = [
    "acl",
    "any",
    "auto",
    "autopath",
    "azure",
    "bind",
    "bufsize",
    "cache",
    "cancel",
    "chaos",
    "clouddns",
    "debug",
    "dns64",
    "dnssec",
    "dnstap",
    "erratic",
    "errors",
    "etcd",
    "file",
    "forward",
    "geoip",
    "grpc",
    "header",
    "health",
    "hosts",
    "import",
    "k8s_external",
    "kubernetes",
    "loadbalance",
    "log",
    "loop",
    "metadata",
    "minimal",
    "nsid",
    "prometheus",
    "ready",
    "reload",
    "rewrite",
    "template",
    "whoami",
];
/// The default port of a zone.
const PORT: u16 = 53;

/// A directive of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The plugin.
    pub name: String,
    /// Words after its name.
    pub args: Vec<String>,
    /// Lines in its braces, in words.
    pub body: Vec<Vec<String>>,
}

/// What answers for some zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Zones without their last dot; the root is empty.
    pub zones: Vec<String>,
    /// As they are written: `.:53`.
    pub labels: Vec<String>,
    /// What is done with a query, in the order in which it is written.
    pub directives: Vec<Directive>,
}

impl Block {
    /// The directives of a plugin.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Directive> {
        self.directives.iter().filter(move |directive| directive.name == name)
    }

    /// Whether it has a plugin.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

/// How much of a name is a zone's: none if the name is not in it.
pub fn zone_match(zone: &str, name: &str) -> Option<usize> {
    let inside = zone.is_empty() || name == zone || name.strip_suffix(zone).is_some_and(|rest| rest.ends_with('.'));
    inside.then_some(zone.len())
}

/// Reads a Corefile.
///
/// # Errors
/// What is wrong with it, in CoreDNS' words.
pub fn parse(path: &str, text: &str) -> Result<Vec<Block>, String> {
    let fail = |line: usize, what: String| Err(format!("{path}:{line} - Error during parsing: {what}"));
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut inner = false;
    let mut last = 0;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.split('#').next().unwrap_or_default();
        let mut words: Vec<String> = line.split_whitespace().map(|word| word.trim_matches('"').to_owned()).collect();
        let opens = words.last().is_some_and(|word| word == "{");
        if opens {
            words.pop();
        }
        if words.is_empty() && !opens {
            continue;
        }
        last = number;
        match &mut open {
            None => {
                if !opens || words.is_empty() || words.first().is_some_and(|word| word == "}") {
                    return fail(number, "server block does not begin with a zone and '{'".into());
                }
                let zones = words.iter().filter_map(|label| zone(label)).collect();
                open = Some(Block { zones, labels: words, directives: Vec::new() });
            }
            Some(block) if words == ["}"] => {
                if inner {
                    inner = false;
                } else {
                    blocks.push(block.clone());
                    open = None;
                }
            }
            Some(block) if inner => match block.directives.last_mut() {
                Some(directive) if !opens => directive.body.push(words),
                _ => return fail(number, "Unexpected '{' because no matching opening brace".into()),
            },
            Some(block) => {
                let name = if words.is_empty() { String::new() } else { words.remove(0) };
                if !PLUGINS.contains(&name.as_str()) {
                    return fail(number, format!("Unknown directive '{name}'"));
                }
                block.directives.push(Directive { name, args: words, body: Vec::new() });
                inner = opens;
            }
        }
    }
    match open {
        Some(_) => fail(last, "Unexpected EOF".into()),
        None => Ok(blocks),
    }
}

/// The zone of a label such as `dns://cluster.local.:53`; none of another port than ours.
fn zone(label: &str) -> Option<String> {
    let label = label.strip_prefix("dns://").unwrap_or(label).trim_end_matches(',');
    let (zone, port) = match label.rsplit_once(':') {
        Some((zone, port)) => (zone, port.parse().ok()?),
        None => (label, PORT),
    };
    (port == PORT).then(|| zone.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corefile_is_read() {
        let text = "\
.:53 {
    errors # all of them
    health {
       lameduck 5s
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        fallthrough in-addr.arpa ip6.arpa
    }
    forward . /etc/resolv.conf
}
consul.local:53 {
    forward . 10.150.0.1
}
";
        let blocks = parse("Corefile", text).unwrap();
        assert_eq!(blocks.iter().map(|block| block.zones.concat()).collect::<Vec<_>>(), ["", "consul.local"]);
        assert_eq!(blocks[0].directives.len(), 4);
        assert_eq!(blocks[0].all("health").next().unwrap().body, [["lameduck", "5s"]]);
        assert_eq!(blocks[1].all("forward").next().unwrap().args, [".", "10.150.0.1"]);
        assert_eq!(zone_match("", "a.b"), Some(0));
        assert_eq!(zone_match("b", "a.b"), Some(1));
        assert_eq!(zone_match("b", "ab"), None);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, error) in [
            (".:53 {\n    erors\n}\n", "Corefile:2 - Error during parsing: Unknown directive 'erors'"),
            (".:53 {\n    errors\n", "Corefile:2 - Error during parsing: Unexpected EOF"),
        ] {
            assert_eq!(parse("Corefile", text).unwrap_err(), error);
        }
        assert!(parse("Corefile", "}").is_err());
    }
}
