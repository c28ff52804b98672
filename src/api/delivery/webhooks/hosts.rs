//! The hosts that webhooks may be sent to, as the configuration lists them.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::api::transport::host_match::HostMatch;

/// An entry of the list of hosts: `example.com`, `example.com:8443`, `*.example.com` (hosts below it, not itself), or
/// `http://127.0.0.1:9000` where the connection is not encrypted. Without a port the scheme's own is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    scheme: String,
    host: HostMatch,
    port: Option<u16>,
}

/// An invalid entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid webhook host {0:?}; expected one such as hooks.example.com, hooks.example.com:8443, *.example.com or http://127.0.0.1:9000"
)]
pub struct InvalidHost(String);

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(entry: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(entry.to_owned());
        let (scheme, authority) = entry.split_once("://").unwrap_or(("https", entry));
        let (is_below, authority) = HostMatch::split(authority);
        // The same parser as for URLs, so that hosts are normalized alike; paths and users are refused.
        let has_more = authority.contains(['/', '\\', '?', '#', '@', '*', ' ']);
        let url = Url::parse(&format!("{scheme}://{authority}/")).ok().filter(|_| !has_more).ok_or_else(invalid)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(invalid)?;
        if !matches!(url.scheme(), "http" | "https") || (is_below && url.domain().is_none()) {
            return Err(invalid());
        }
        let host = HostMatch { is_below, host: host.to_owned() };
        Ok(Self { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default() })
    }
}

impl AllowedHost {
    /// Whether a URL is at this host.
    pub fn allows(&self, url: &Url) -> bool {
        let is_host = url.host_str().is_some_and(|host| self.host.matches(host));
        is_host && url.scheme() == self.scheme && url.port_or_known_default() == self.port
    }

    /// Whether connections are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.scheme == "https"
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.host.is_below { "*." } else { "" };
        write!(f, "{}://{below}{}", self.scheme, self.host.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, url: &str) -> bool {
        let host: AllowedHost = entry.parse().unwrap();
        host.allows(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_host_is_allowed_as_it_is_listed() {
        for (entry, url) in [
            ("example.com", "https://example.com/hook?a=b"),
            ("example.com", "https://EXAMPLE.com:443/"),
            ("example.com:8443", "https://example.com:8443/"),
            ("*.example.com", "https://a.example.com/"),
            ("*.example.com", "https://a.b.example.com/"),
            ("*.example.com:8443", "https://a.example.com:8443/"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/x"),
            ("http://example.com", "http://example.com/"),
            ("https://example.com", "https://example.com/"),
            ("[::1]:9000", "https://[::1]:9000/"),
        ] {
            assert!(allows(entry, url), "{entry} allows {url}");
        }
        for (entry, url) in [
            ("example.com", "http://example.com/"),
            ("example.com", "https://example.com:8443/"),
            ("example.com", "https://a.example.com/"),
            ("example.com", "https://example.com.evil.org/"),
            ("example.com", "https://evil.org/example.com"),
            ("example.com", "https://example.com@evil.org/"),
            ("*.example.com", "https://example.com/"),
            ("*.example.com", "https://evilexample.com/"),
            ("*.example.com", "https://.example.com.evil.org/"),
            ("http://127.0.0.1:9000", "https://127.0.0.1:9000/"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9001/"),
            ("http://127.0.0.1:9000", "http://127.0.0.1/"),
            ("http://example.com", "https://example.com/"),
        ] {
            assert!(!allows(entry, url), "{entry} does not allow {url}");
        }
    }

    #[test]
    fn invalid_entries_are_refused() {
        for entry in [
            "",
            "*",
            "*.",
            "https://",
            "ftp://example.com",
            "example.com/hooks",
            "a@example.com",
            "exa mple.com",
            "a.*.com",
            "*.127.0.0.1",
            "example.com:port",
            "//example.com",
        ] {
            assert_eq!(entry.parse::<AllowedHost>(), Err(InvalidHost(entry.to_owned())), "{entry}");
        }
        assert_eq!("*.Example.com".parse::<AllowedHost>().unwrap().to_string(), "https://*.example.com:443");
    }
}
