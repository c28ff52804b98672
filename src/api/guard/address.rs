//! The address of a client: the peer of the connection or, where the peer is a trusted proxy, the address that it
//! names.
//!
//! Only the configured header is read, because a proxy sets one header and passes on forged others. It is read from its
//! end, which the nearest proxy wrote, back to the first address that is not a trusted proxy's.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use ipnet::IpNet;
use serde::Deserialize;

use crate::api::transport::headers::split;

/// The header in which proxies name their client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

impl FromStr for ForwardedHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::XForwardedFor, Self::Forwarded];
        let named = all.into_iter().find(|header| header.as_str() == text);
        named.ok_or_else(|| format!("expected x-forwarded-for or forwarded, got {text}"))
    }
}

/// Proxies that are trusted to name the client; none by default.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Their networks.
    pub trusted: Vec<IpNet>,
    /// The header that they set.
    pub header: ForwardedHeader,
}

/// A network as it is configured: `10.0.0.0/8`, or one address.
///
/// # Errors
/// Where it is neither.
pub fn network(text: &str) -> Result<IpNet, ipnet::AddrParseError> {
    text.parse().or_else(|error| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| error))
}

impl Proxies {
    /// The client's address for a request from `peer`.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = self.hops(headers).into_iter().rev();
        while self.trusts(client) {
            match hops.next() {
                Some(Some(hop)) => client = hop,
                // An invalid address was written before the last trusted proxy.
                Some(None) | None => break,
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The addresses in the header, the nearest last; `None` for an invalid one.
    fn hops(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let (name, hop): (_, fn(&str) -> Option<IpAddr>) = match self.header {
            ForwardedHeader::XForwardedFor => ("x-forwarded-for", address),
            ForwardedHeader::Forwarded => ("forwarded", forwarded_for),
        };
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values.flat_map(|value| split(value, ',')).map(hop).collect()
    }
}

/// The address of an element of `Forwarded`: `for=192.0.2.1;proto=https`, `For="[2001:db8::1]:4711"`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = split(element, ';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    address(named.next()?.1.trim().trim_matches('"'))
}

/// An address, with its port or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|with_port: SocketAddr| with_port.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    type Values = &'static [(&'static str, &'static str)];

    fn client(header: ForwardedHeader, peer: &str, values: Values) -> String {
        let trusted = ["10.0.0.0/8", "127.0.0.1", "2001:db8:f::/48"].map(|text| network(text).unwrap()).to_vec();
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Proxies { trusted, header }.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_not_a_trusted_proxys_is_the_clients() {
        use ForwardedHeader::{Forwarded, XForwardedFor};
        const X: &str = "x-forwarded-for";
        #[rustfmt::skip]
        let cases: &[(_, &str, Values, &str)] = &[
            // Only a trusted proxy is believed.
            (XForwardedFor, "192.0.2.9", &[(X, "198.51.100.1")], "192.0.2.9"),
            (XForwardedFor, "10.0.0.1", &[(X, "198.51.100.1")], "198.51.100.1"),
            // What a client sent to the proxy is not believed.
            (XForwardedFor, "10.0.0.1", &[(X, "203.0.113.7, 198.51.100.1, 10.1.1.1")], "198.51.100.1"),
            (XForwardedFor, "10.0.0.1", &[(X, "203.0.113.7"), (X, "198.51.100.1")], "198.51.100.1"),
            (XForwardedFor, "10.0.0.1", &[("forwarded", "for=198.51.100.1")], "10.0.0.1"),
            (XForwardedFor, "10.0.0.1", &[(X, "198.51.100.1, nonsense, 10.2.2.2")], "10.2.2.2"),
            (XForwardedFor, "10.0.0.1", &[(X, "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
            (XForwardedFor, "10.0.0.1", &[], "10.0.0.1"),
            (XForwardedFor, "::ffff:10.0.0.1", &[(X, "[2001:db8::1]:443")], "2001:db8::1"),
            (XForwardedFor, "2001:db8:f::1", &[(X, "198.51.100.1:5000")], "198.51.100.1"),
            (Forwarded, "127.0.0.1", &[("forwarded", "for=192.0.2.5;proto=https, For=\"[2001:db8::1]:4711\"")], "2001:db8::1"),
            (Forwarded, "127.0.0.1", &[("forwarded", "proto=https;for=192.0.2.5")], "192.0.2.5"),
            (Forwarded, "127.0.0.1", &[("forwarded", "for=192.0.2.5, for=_hidden")], "127.0.0.1"),
            (Forwarded, "127.0.0.1", &[(X, "192.0.2.5")], "127.0.0.1"),
        ];
        for (header, peer, values, wanted) in cases {
            assert_eq!(client(*header, peer, values), *wanted, "{header:?} {peer} {values:?}");
        }
    }

    #[test]
    fn a_network_is_one_or_an_address() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("proxy.example.com").is_err());
    }
}
