//! The names of samplers, in requests, answers and files.

use std::fmt;
use std::str::FromStr;

/// A sampler that sources can be made with. It has no `Default`, so that code which has a source cannot write another
/// sampler than the source's by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SamplerName {
    /// DDIM (Song et al., arXiv 2010.02502) without added noise.
    Ddim,
}

/// A name that no sampler has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unsupported sampler {given:?}; expected {}", SamplerName::listing())]
pub struct UnknownSampler {
    /// What was given.
    pub given: String,
}

impl SamplerName {
    /// All samplers, the default first.
    pub const ALL: &'static [Self] = &[Self::Ddim];

    /// The name in requests, answers and files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ddim => "ddim",
        }
    }

    /// Other names of the same sampler: diffusers' class, and what other tools call it.
    pub const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Ddim => &["DDIMScheduler"],
        }
    }

    fn listing() -> String {
        Self::ALL.iter().map(|name| format!("{:?}", name.as_str())).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for SamplerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SamplerName {
    type Err = UnknownSampler;

    /// Names are read in any case.
    fn from_str(given: &str) -> Result<Self, UnknownSampler> {
        let is_meant = |name: &&Self| {
            given.eq_ignore_ascii_case(name.as_str())
                || name.aliases().iter().any(|alias| given.eq_ignore_ascii_case(alias))
        };
        Self::ALL.iter().find(is_meant).copied().ok_or_else(|| UnknownSampler { given: given.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::SamplerName;

    #[test]
    fn a_sampler_has_one_name_and_its_aliases_in_any_case() {
        for name in SamplerName::ALL {
            for given in std::iter::once(name.as_str()).chain(name.aliases().iter().copied()) {
                assert_eq!(given.to_uppercase().parse(), Ok(*name), "{given}");
            }
        }
        let error = "euler".parse::<SamplerName>().unwrap_err().to_string();
        assert_eq!(error, "unsupported sampler \"euler\"; expected \"ddim\"");
    }
}
