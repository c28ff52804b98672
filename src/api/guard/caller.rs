//! The caller of a request: the holder of an API key, or an address. Limits count per caller.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Whom limits apply to; an extension of every request that the guard has admitted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The holder of the key of this name.
    Key(Arc<str>),
    /// A client at this address, where there are no keys.
    Address(IpAddr),
    /// A client whose address is unknown.
    Unknown,
}

impl Caller {
    /// The caller at an address. In IPv6 a client has a whole /64 network.
    pub fn at(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => {
                const NETWORK: u128 = !(u64::MAX as u128);
                Self::Address(Ipv6Addr::from_bits(address.to_bits() & NETWORK).into())
            }
            Some(address) => Self::Address(address),
            None => Self::Unknown,
        }
    }

    /// The name of the key, which owns jobs. Without keys, jobs have no owner.
    pub fn owner(&self) -> Option<&Arc<str>> {
        match self {
            Self::Key(name) => Some(name),
            Self::Address(_) | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_machine_are_one_caller() {
        let at = |text: &str| Caller::at(Some(text.parse().unwrap()));
        assert_eq!(at("2001:db8:1:2:3:4:5:6"), at("2001:db8:1:2::1"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
        assert_eq!(at("192.0.2.1").to_string(), "192.0.2.1");
    }
}
