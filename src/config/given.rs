//! Values as they are given in flags, variables and the file: numbers, sizes, durations and addresses.
//!
//! Contract: every type parses from text, its error is `expected X, got Y`, and the file takes what the text takes.

use std::fmt;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, de};

/// A value that parses from text.
trait Text: FromStr<Err = String> {
    /// What is expected, for errors about the type of a value in the file.
    const EXPECTED: &str;
    /// Whether the file may give it as text; otherwise as a number only.
    const IS_TEXT: bool = true;
}

/// Reads a value of the file, whose numbers are read as their text.
struct TextVisitor<T>(PhantomData<T>);

impl<T: Text> de::Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        match T::IS_TEXT {
            true => text.parse().map_err(E::custom),
            false => Err(E::invalid_type(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        number.to_string().parse().map_err(E::custom)
    }
}

macro_rules! read_from_file {
    ($($type:ty),*) => {
        $(impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor(PhantomData))
            }
        })*
    };
}

read_from_file!(Whole<usize>, Whole<u32>, Size, Period, Address);

/// A whole number from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

macro_rules! whole {
    ($($type:ty),*) => {
        $(impl FromStr for Whole<$type> {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                match text.parse() {
                    Ok(number) if is_number => Ok(Self(number)),
                    _ if is_number => Err(format!("expected at most {}, got {text}", <$type>::MAX)),
                    _ => Err(format!("expected a whole number from 0, got {}", shown(text))),
                }
            }
        }

        impl Text for Whole<$type> {
            const EXPECTED: &str = "a whole number from 0";
            const IS_TEXT: bool = false;
        })*
    };
}

whole!(usize, u32);

/// A number of bytes, such as `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub ByteSize);

impl Text for Size {
    const EXPECTED: &str = "a size such as \"512MiB\"";
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.parse().map(Self);
        size.map_err(|_| format!("expected a size such as 512MiB, 8GiB or 0, got {}", shown(text)))
    }
}

/// A span of time, `24h`, `90m` or `1h 30m`; `0` needs no unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

/// Clocks that count on from now stay within their range.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Text for Period {
    const EXPECTED: &str = "a duration such as \"24h\", \"90m\" or \"30s\"";
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(duration) if duration <= LONGEST => Ok(Self(duration)),
            Ok(_) => Err(format!("expected at most 100 years, got {text}")),
            Err(_) => Err(format!("expected a duration such as 24h, 90m, 30s or 0, got {}", shown(text))),
        }
    }
}

/// An address and a port to listen on. `localhost`, and a port alone, mean 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Text for Address {
    const EXPECTED: &str = "an address and a port such as \"127.0.0.1:8080\"";
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let is_local = host.is_empty() || host.eq_ignore_ascii_case("localhost");
        let port = if port.bytes().all(|byte| byte.is_ascii_digit()) { port.parse::<u16>().ok() } else { None };
        match port {
            Some(port) if is_local => Ok(Self((Ipv4Addr::LOCALHOST, port).into())),
            _ => Err(format!(
                "expected an address and a port such as 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080, localhost:8080 or 8080, got {}",
                shown(text)
            )),
        }
    }
}

/// A text that was given; an empty one has to be seen.
fn shown(text: &str) -> &str {
    if text.is_empty() { "an empty text" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_alone_or_localhost_and_ipv6_is_in_brackets() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::]:0", "[::]:0"),
            ("localhost:8080", "127.0.0.1:8080"),
            ("LocalHost:1", "127.0.0.1:1"),
            (":8080", "127.0.0.1:8080"),
            ("8080", "127.0.0.1:8080"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().0, address.parse::<SocketAddr>().unwrap(), "{text}");
        }
        for text in [
            "",
            ":",
            "localhost",
            "localhost:",
            "::1",
            "::1:8080",
            "[::1]",
            "127.0.0.1",
            "127.0.0.1:99999",
            "99999",
            "-1",
            "+80",
            "*:8080",
            "example.com:80",
            "http://localhost:8080",
            "localhost:8080/",
            "unix:/run/socket",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(
                error.contains("such as 127.0.0.1:8080") && error.ends_with(&format!("got {}", shown(text))),
                "{error}"
            );
        }
    }

    #[test]
    fn numbers_and_sizes_say_what_is_expected() {
        let number = |text: &str| text.parse::<Whole<u32>>().map(|number| number.0);
        assert_eq!(number("12"), Ok(12));
        assert_eq!(number("4294967296").unwrap_err(), "expected at most 4294967295, got 4294967296");
        for wrong in ["abc", "-1", "+1", "1.5", "1e3", " 1", "0x10"] {
            assert_eq!(number(wrong).unwrap_err(), format!("expected a whole number from 0, got {wrong}"));
        }
        assert_eq!(number("").unwrap_err(), "expected a whole number from 0, got an empty text");
        assert_eq!("512MiB".parse::<Size>().unwrap().0, ByteSize::mib(512));
        assert_eq!("much".parse::<Size>().unwrap_err(), "expected a size such as 512MiB, 8GiB or 0, got much");
    }
}
