//! The parts of a recording that are files of their own.

use std::fmt;

const SUFFIX: &str = ".safetensors";

/// A part of a recording. Its text is the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// What everything else can be computed from again; without it the other parts are of no use.
    Trajectory,
    /// What is kept of cross-attention, by number.
    Cross(usize),
    /// What is kept of self-attention, by number.
    SelfAttention(usize),
}

impl Part {
    /// The part whose file has this name; `None` for every other name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let part = match name.strip_suffix(SUFFIX)?.split_once('-') {
            None => Self::Trajectory,
            Some(("cross", number)) => Self::Cross(number.parse().ok()?),
            Some(("self", number)) => Self::SelfAttention(number.parse().ok()?),
            Some(_) => return None,
        };
        // One name a part: `cross-7` and `cross-+07` are numbers as well.
        (part.to_string() == name).then_some(part)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trajectory => write!(f, "trajectory{SUFFIX}"),
            Self::Cross(number) => write!(f, "cross-{number:03}{SUFFIX}"),
            Self::SelfAttention(number) => write!(f, "self-{number:03}{SUFFIX}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn every_part_has_one_file_name_and_is_found_by_it() {
        let names = [
            (Part::Trajectory, "trajectory.safetensors"),
            (Part::Cross(0), "cross-000.safetensors"),
            (Part::Cross(7), "cross-007.safetensors"),
            (Part::SelfAttention(7), "self-007.safetensors"),
            (Part::SelfAttention(1000), "self-1000.safetensors"),
        ];
        for (part, name) in names {
            assert_eq!(part.to_string(), name);
            assert_eq!(Part::from_file_name(name), Some(part));
        }
    }

    #[test]
    fn other_names_are_no_parts() {
        for name in [
            "",
            ".safetensors",
            "trajectory",
            "trajectory.safetensors.bak",
            "Trajectory.safetensors",
            "trajectory-.safetensors",
            "cross.safetensors",
            "cross-7.safetensors",
            "cross-+07.safetensors",
            "cross-0007.safetensors",
            "cross-007-1.safetensors",
            "cross-99999999999999999999999.safetensors",
            "value-007.safetensors",
            ".writing-cross-007.safetensors",
        ] {
            assert_eq!(Part::from_file_name(name), None, "{name}");
        }
    }
}
