//! Which namespaces the page shows.

use playground_control::is_clusters_own;

/// The namespaces whose objects are shown. A cluster's own parts are many, and seldom what one looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// All but those of the cluster's own parts.
    #[default]
    Workloads,
    /// All.
    All,
    /// One.
    Only(String),
}

/// The value of [`Shown::All`] in a list to choose from; no namespace has this name.
const ALL: &str = "*";

impl Shown {
    /// From its value in a list to choose from.
    pub fn from_value(value: &str) -> Self {
        match value {
            "" => Self::Workloads,
            ALL => Self::All,
            name => Self::Only(name.to_owned()),
        }
    }

    /// Its value in a list to choose from.
    pub fn value(&self) -> &str {
        match self {
            Self::Workloads => "",
            Self::All => ALL,
            Self::Only(name) => name,
        }
    }

    /// The only namespace, if it is one.
    pub fn only(&self) -> Option<&str> {
        match self {
            Self::Only(name) => Some(name),
            Self::Workloads | Self::All => None,
        }
    }

    /// Whether objects of a namespace are shown; those that are in none always are.
    pub fn has(&self, namespace: &str) -> bool {
        match self {
            Self::Workloads => !is_clusters_own(namespace),
            Self::All => true,
            Self::Only(name) => namespace.is_empty() || namespace == name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn the_clusters_own_parts_are_shown_when_asked_for() {
        for (value, shows) in [
            ("", [true, true, false, false]),
            ("*", [true, true, true, true]),
            ("kube-system", [true, false, true, false]),
        ] {
            let shown = Shown::from_value(value);
            assert_eq!(shown.value(), value);
            assert_eq!(["", "default", "kube-system", "kube-public"].map(|name| shown.has(name)), shows, "{value}");
        }
    }
}
