//! CORS: pages of the configured origins may call the API and read the headers of responses. Cookies are never used; a
//! key is a header that the page sets itself.
//!
//! A page may send any header: client libraries send their own, such as `x-stainless-os` and `traceparent`, and an
//! origin that is allowed to send a key may send those too.

use std::str::FromStr;
use std::time::Duration;

use axum::http::{HeaderName, Method, header};
use reqwest::Url;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::api::transport::host_match::HostMatch;
use crate::api::transport::response_headers::RESPONSE_HEADERS;

/// How long a browser may cache a preflight response.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// An entry of `cors_origin`: an origin as browsers send it (scheme, host, optional port). `*.` before a host stands
/// for all hosts below it, not itself; `*` as a port for all ports, the scheme's own included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: every origin.
    Any,
    /// The origins that agree with these parts.
    Parts {
        /// `http` or `https`.
        scheme: String,
        /// The hosts, as browsers write them.
        host: HostMatch,
        /// `None`: all ports.
        port: Option<u16>,
    },
}

/// An invalid entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOrigin {
    /// It is not written as browsers write it.
    #[error("expected it as browsers send it, without a slash at its end: {0}")]
    Written(String),
    /// It is not an origin.
    #[error(
        "expected an origin as browsers send it, such as https://app.example.com, https://*.example.com or http://localhost:*, or * for all"
    )]
    NotAnOrigin,
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(entry: &str) -> Result<Self, InvalidOrigin> {
        if entry == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = entry.split_once("://").ok_or(InvalidOrigin::NotAnOrigin)?;
        let (is_below, rest) = HostMatch::split(rest);
        let below = if is_below { "*." } else { "" };
        let bare = rest.trim_end_matches('/');
        let (host, any_port) = bare.strip_suffix(":*").map_or((bare, ""), |host| (host, ":*"));
        let url = Url::parse(&format!("{scheme}://{host}")).ok().filter(|url| {
            let is_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            is_origin && matches!(url.scheme(), "http" | "https") && !host.contains(['*', '@', '\\', '/'])
        });
        let url = url.ok_or(InvalidOrigin::NotAnOrigin)?;
        // `localhost:8080:*` has two ports; an address has no hosts below it.
        if (!any_port.is_empty() && url.port().is_some()) || (is_below && url.domain().is_none()) {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        let origin = url.origin().ascii_serialization();
        let (_, authority) = origin.split_once("://").ok_or(InvalidOrigin::NotAnOrigin)?;
        let written = format!("{}://{below}{authority}{any_port}", url.scheme());
        if written != entry {
            return Err(InvalidOrigin::Written(written));
        }
        Ok(Self::Parts {
            scheme: url.scheme().to_owned(),
            host: HostMatch { is_below, host: url.host_str().unwrap_or_default().to_owned() },
            port: if any_port.is_empty() { url.port_or_known_default() } else { None },
        })
    }
}

impl OriginPattern {
    /// Whether this is the origin of a page, as its browser sends it.
    fn allows(&self, origin: &str) -> bool {
        let Self::Parts { scheme, host, port } = self else {
            return true;
        };
        let Some(url) = Url::parse(origin).ok().filter(|url| url.origin().ascii_serialization() == origin) else {
            return false;
        };
        let is_host = host.matches(url.host_str().unwrap_or_default());
        is_host && url.scheme() == scheme && port.is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// The layer for these origins; `None` without origins.
pub(crate) fn layer(origins: &[OriginPattern]) -> Option<CorsLayer> {
    let origin = match origins {
        [] => return None,
        all if all.contains(&OriginPattern::Any) => AllowOrigin::any(),
        some => {
            let patterns = some.to_vec();
            AllowOrigin::predicate(move |origin, _| {
                origin.to_str().is_ok_and(|origin| patterns.iter().any(|pattern| pattern.allows(origin)))
            })
        }
    };
    let exposed = RESPONSE_HEADERS.map(|(name, ..)| HeaderName::from_static(name)).into_iter().chain([header::ETAG]);
    let layer = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.collect::<Vec<_>>())
        .max_age(MAX_AGE);
    Some(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(pattern: &str, origin: &str) -> bool {
        pattern.parse::<OriginPattern>().unwrap().allows(origin)
    }

    #[test]
    fn an_origin_is_allowed_as_it_is_listed() {
        for (pattern, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("https://*.example.com", "https://a.example.com"),
            ("https://*.example.com", "https://a.b.example.com"),
            ("https://*.example.com:8443", "https://a.example.com:8443"),
            ("http://localhost:*", "http://localhost:3000"),
            ("http://localhost:*", "http://localhost"),
            ("http://*.localhost:*", "http://app.localhost:5173"),
            ("http://127.0.0.1:*", "http://127.0.0.1:8000"),
            ("*", "https://anything.example"),
            ("*", "null"),
        ] {
            assert!(allows(pattern, origin), "{pattern} allows {origin}");
        }
        for (pattern, origin) in [
            ("https://app.example.com", "http://app.example.com"),
            ("https://app.example.com", "https://app.example.com:8443"),
            ("https://app.example.com", "https://app.example.com.evil.example"),
            ("https://app.example.com", "null"),
            ("https://*.example.com", "https://example.com"),
            ("https://*.example.com", "https://evilexample.com"),
            ("https://*.example.com", "http://a.example.com"),
            ("https://*.example.com", "https://a.example.com:8443"),
            ("https://*.example.com", "https://a.example.com.evil.example"),
            ("https://*.example.com", "https://evil.example/.example.com"),
            ("https://*.example.com", "https://evil.example?.example.com"),
            ("http://localhost:*", "https://localhost:3000"),
            ("http://localhost:*", "http://localhost.evil.example:3000"),
            ("http://localhost:*", "http://localhost:3000/"),
        ] {
            assert!(!allows(pattern, origin), "{pattern} does not allow {origin}");
        }
    }

    #[test]
    fn an_entry_is_written_as_browsers_send_it() {
        for (entry, written) in [
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com:443", "https://app.example.com"),
            ("https://APP.example.com", "https://app.example.com"),
            ("https://*.example.com/", "https://*.example.com"),
            ("http://localhost:*/", "http://localhost:*"),
        ] {
            assert_eq!(entry.parse::<OriginPattern>(), Err(InvalidOrigin::Written(written.to_owned())), "{entry}");
        }
        for wrong in [
            "app.example.com",
            "localhost:*",
            "null",
            "",
            "https://",
            "https://*",
            "https://*.example.com/x",
            "https://a.*.example.com",
            "https://a.example/x",
            "http://localhost:3000:*",
            "http://*.127.0.0.1",
            "ftp://a.example",
            "https://user@a.example",
            "*.example.com",
        ] {
            assert_eq!(wrong.parse::<OriginPattern>(), Err(InvalidOrigin::NotAnOrigin), "{wrong}");
        }
    }
}
