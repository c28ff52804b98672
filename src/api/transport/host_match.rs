//! Hosts as lists in the configuration name them: one host, or all hosts below a domain.

/// A host, or the hosts below it (`*.example.com`: not itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostMatch {
    /// Whether hosts below `host` are meant, and not `host` itself.
    pub is_below: bool,
    /// The host, written as those that it is compared with.
    pub host: String,
}

impl HostMatch {
    /// Whether a text starts with `*.`, and what follows.
    pub fn split(text: &str) -> (bool, &str) {
        text.strip_prefix("*.").map_or((false, text), |domain| (true, domain))
    }

    /// Whether a host is meant.
    pub fn matches(&self, host: &str) -> bool {
        if !self.is_below {
            return host == self.host;
        }
        let below = host.strip_suffix(&self.host).and_then(|rest| rest.strip_suffix('.'));
        below.is_some_and(|subdomain| !subdomain.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_stands_for_what_is_below_it_and_not_for_itself() {
        let (is_below, host) = HostMatch::split("*.example.com");
        let below = HostMatch { is_below, host: host.to_owned() };
        assert!(below.matches("a.example.com") && below.matches("a.b.example.com"));
        assert!(!below.matches("example.com") && !below.matches(".example.com") && !below.matches("evilexample.com"));
        let (is_below, host) = HostMatch::split("example.com");
        let itself = HostMatch { is_below, host: host.to_owned() };
        assert!(itself.matches("example.com") && !itself.matches("a.example.com"));
    }
}
