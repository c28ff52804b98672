//! Types of values: how one is parsed, and how it is shown.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{ArgMatches, ValueEnum};
use serde::Deserialize;

use crate::api::guard::address::ForwardedHeader;
use crate::config::given::{Address, Period, Size, Whole};
use crate::telemetry::LogFormat;

/// A value of [`Settings`](crate::config::Settings).
pub trait Setting: Sized {
    /// The type in flags, variables and the file.
    type Given;

    /// From what is given.
    fn from_given(given: Self::Given) -> Self;
    /// As it is written in a file; `None` if it is not set.
    fn shown(&self) -> Option<toml::Value>;

    /// Joins the values of a flag that is given several times.
    fn joined(_: &ArgMatches, _key: &str) -> Option<Self::Given> {
        None
    }
}

impl<T: Setting> Setting for Option<T> {
    type Given = T::Given;

    fn from_given(given: Self::Given) -> Self {
        Some(T::from_given(given))
    }

    fn shown(&self) -> Option<toml::Value> {
        self.as_ref().and_then(T::shown)
    }
}

/// Values that are given as they are, shown as text.
macro_rules! shown_as_text {
    ($($type:ty: $text:expr;)*) => {
        $(impl Setting for $type {
            type Given = Self;

            fn from_given(given: Self) -> Self {
                given
            }

            fn shown(&self) -> Option<toml::Value> {
                let text: fn(&Self) -> String = $text;
                Some(text(self).into())
            }
        })*
    };
}

shown_as_text! {
    PathBuf: |path| path.display().to_string();
    String: String::clone;
    DeviceChoice: ToString::to_string;
    DtypeChoice: name;
    LogFormat: name;
    ForwardedHeader: |header| header.as_str().to_owned();
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// In the largest unit without a fraction, because `Display` rounds and the shown value must parse to the same value.
pub(crate) fn exact_size(size: &ByteSize) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let unit = units.into_iter().find(|(_, shift)| size.0 > 0 && size.0.trailing_zeros() >= *shift);
    unit.map_or_else(|| format!("{}B", size.0), |(unit, shift)| format!("{}{unit}", size.0 >> shift))
}

/// Values that are given as they are, shown as TOML has them.
macro_rules! shown_as_toml {
    ($($type:ty: $toml:expr;)*) => {
        $(impl Setting for $type {
            type Given = Self;

            fn from_given(given: Self) -> Self {
                given
            }

            fn shown(&self) -> Option<toml::Value> {
                let toml: fn(&Self) -> toml::Value = $toml;
                Some(toml(self))
            }
        })*
    };
}

shown_as_toml! {
    bool: |value| (*value).into();
}

/// Values that are given in a type that says how they are parsed.
macro_rules! parsed {
    ($($type:ty, $given:ty: $toml:expr;)*) => {
        $(impl Setting for $type {
            type Given = $given;

            fn from_given(given: $given) -> Self {
                given.0
            }

            fn shown(&self) -> Option<toml::Value> {
                let toml: fn(&Self) -> toml::Value = $toml;
                Some(toml(self))
            }
        })*
    };
}

parsed! {
    u32, Whole<Self>: |number| i64::from(*number).into();
    usize, Whole<Self>: |number| i64::try_from(*number).unwrap_or(i64::MAX).into();
    ByteSize, Size: |size| exact_size(size).into();
    Duration, Period: |duration| humantime::format_duration(*duration).to_string().into();
    SocketAddr, Address: |address| address.to_string().into();
}

impl Setting for Vec<String> {
    type Given = List;

    fn from_given(given: List) -> Self {
        given.0
    }

    fn joined(matches: &ArgMatches, key: &str) -> Option<List> {
        let given = matches.try_get_many::<List>(key).ok().flatten()?;
        Some(List(given.flat_map(|list| list.0.clone()).collect()))
    }

    fn shown(&self) -> Option<toml::Value> {
        Some(self.clone().into())
    }
}

/// Several texts: with commas between them in a flag, which may be given several times, or a variable; an array in the
/// file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct List(pub Vec<String>);

impl FromStr for List {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self(entries.map(str::to_owned).collect()))
    }
}

/// Where tensors live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DeviceChoice {
    /// The best there is.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, by its number.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| format!("expected auto, cpu, cuda or cuda:N, got {text}"))
            }
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// What numbers are computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DtypeChoice {
    /// What suits the device.
    Auto,
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
}
