//! The hosts that requests may name, against DNS rebinding: a page of any site can make its own host name resolve to
//! 127.0.0.1, and its browser then treats this service as a part of that site, without CORS.
//!
//! Contract: a request names its host in `Host`, or in the target of an absolute-form request. Loopback names and
//! addresses are always allowed. A service without API keys on a loopback address allows nothing else, unless
//! `allowed_hosts` lists it. Any other service checks hosts only if `allowed_hosts` is set, and then allows all
//! addresses, because only a name can be rebound. A request without a host is not from a browser and is allowed.
//!
//! A page of another site can also send a `POST` without rebinding. It is refused without CORS: the media type
//! application/json needs a preflight request, and other types are refused (`unsupported_media_type`).

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::uri::Authority;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::guard::{Guard, RequestRefusal};
use crate::api::problem::{Code, Problem};
use crate::api::transport::host_match::HostMatch;

/// An entry of `allowed_hosts`: `edit.example.com`, `*.example.com` (hosts below it, not itself), an address, or `*`
/// for all hosts. Ports do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: every host.
    Any,
    /// The hosts that are meant, in lower case.
    Hosts(HostMatch),
}

/// An invalid entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a host without scheme, port and path, such as edit.example.com or *.example.com, or * for all")]
pub struct InvalidHostPattern;

/// The hosts that are allowed besides loopback names and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts {
    /// The entries of `allowed_hosts`.
    pub patterns: Vec<HostPattern>,
    /// Whether every address is allowed.
    pub allows_addresses: bool,
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(entry: &str) -> Result<Self, InvalidHostPattern> {
        if entry == "*" {
            return Ok(Self::Any);
        }
        let (is_below, host) = HostMatch::split(entry);
        let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        };
        let host = match unbracketed.parse::<IpAddr>() {
            Ok(address) if !is_below => address.to_string(),
            Err(_) if is_name(host) => plain(host),
            _ => return Err(InvalidHostPattern),
        };
        Ok(Self::Hosts(HostMatch { is_below, host }))
    }
}

impl HostPattern {
    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Hosts(hosts) => hosts.matches(host),
        }
    }
}

impl Hosts {
    /// Whether requests may name this host, with its port or without.
    fn allow(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<Authority>() else {
            return false;
        };
        let host = plain(authority.host());
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let host = address.map_or(host, |address| address.to_string());
        let is_allowed = match address {
            Some(address) => self.allows_addresses || is_loopback(address),
            None => host == "localhost" || host.ends_with(".localhost"),
        };
        is_allowed || self.patterns.iter().any(|pattern| pattern.allows(&host))
    }
}

/// A name in lower case, without the stop that ends a complete name.
fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Refuses a request for a host that is not allowed.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let Some(hosts) = &guard.config.hosts else {
        return next.run(request).await;
    };
    let named = request.headers().get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let named = named.chain(request.uri().authority().map(Authority::as_str));
    match { named }.find(|host| !hosts.allow(host)).map(str::to_owned) {
        None => next.run(request).await,
        Some(host) => {
            guard.metrics.refused.with(RequestRefusal::HostNotAllowed).inc();
            refused(&host).into_response()
        }
    }
}

fn refused(host: &str) -> Problem {
    let detail =
        format!("expected a loopback host such as 127.0.0.1 or localhost, or one of allowed_hosts, got {host:?}");
    Problem::new(Code::HostNotAllowed, detail).at("Host")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(patterns: &[&str], allows_addresses: bool) -> Hosts {
        Hosts { patterns: patterns.iter().map(|pattern| pattern.parse().unwrap()).collect(), allows_addresses }
    }

    #[test]
    fn loopback_names_and_addresses_are_always_allowed() {
        let hosts = hosts(&[], false);
        for host in [
            "localhost",
            "localhost:8080",
            "LocalHost.",
            "app.localhost:3000",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.8.9.1",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in [
            "rebound.example",
            "rebound.example:8080",
            "localhost.rebound.example",
            "notlocalhost",
            "127.0.0.1.rebound.example",
            "192.0.2.1:8080",
            "0.0.0.0:8080",
            "[2001:db8::1]",
            "",
            "a b",
            "localhost@rebound.example",
            "localhost/",
        ] {
            assert!(!hosts.allow(host), "{host}");
        }
    }

    #[test]
    fn listed_hosts_are_allowed_on_every_port() {
        let listed = hosts(&["Edit.example.com", "*.internal", "10.0.0.5", "[2001:db8::1]"], false);
        for host in ["edit.example.com", "EDIT.example.com.:443", "a.b.internal", "10.0.0.5:8080", "[2001:DB8:0::1]:80"]
        {
            assert!(listed.allow(host), "{host}");
        }
        for host in ["example.com", "a.edit.example.com", "internal", "badinternal", "10.0.0.6"] {
            assert!(!listed.allow(host), "{host}");
        }
        assert!(hosts(&["*"], false).allow("anything.example"));
        let addresses = hosts(&["edit.example.com"], true);
        assert!(addresses.allow("192.0.2.1:8080") && !addresses.allow("rebound.example"));
    }

    #[test]
    fn entries_are_hosts_alone() {
        for wrong in ["", "https://a.example", "a.example:80", "a.example/", "*.", "*.10.0.0.5", "a.*.example", "**"] {
            assert_eq!(wrong.parse::<HostPattern>(), Err(InvalidHostPattern), "{wrong}");
        }
    }
}
