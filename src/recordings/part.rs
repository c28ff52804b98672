//! The parts of a recording, each of which is stored by itself, such as in a file of its own.

use std::fmt;

use crate::diffusion::unet::AttentionKind;
use crate::recordings::site_group::SiteGroup;

const SUFFIX: &str = ".safetensors";
const CROSS: &str = "cross";
const SELF: &str = "self";

/// A part of a recording. Its text is the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// The trajectory, from which everything else can be computed again. The other parts are useless without it.
    Trajectory,
    /// The attention of a group of layers at a step.
    Attention(usize, SiteGroup),
}

#[cfg(test)]
impl Part {
    /// A step's cross-attention, all layers in one group.
    pub(crate) const fn cross(step: usize) -> Self {
        Self::Attention(step, SiteGroup::first(AttentionKind::CrossAttention))
    }

    /// A step's self-attention, all layers in one group.
    pub(crate) const fn self_attention(step: usize) -> Self {
        Self::Attention(step, SiteGroup::first(AttentionKind::SelfAttention))
    }
}

impl Part {
    /// The step and the group of a part of the attention; `None` of a trajectory.
    pub fn attention(self) -> Option<(usize, SiteGroup)> {
        match self {
            Self::Trajectory => None,
            Self::Attention(step, group) => Some((step, group)),
        }
    }

    /// The part whose file has this name; `None` for every other name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let part = match name.strip_suffix(SUFFIX)?.split_once('-') {
            None => Self::Trajectory,
            Some((kind, of_kind)) => {
                let kind = match kind {
                    CROSS => AttentionKind::CrossAttention,
                    SELF => AttentionKind::SelfAttention,
                    _ => return None,
                };
                let (step, group) = of_kind.split_once('.').unwrap_or((of_kind, "0"));
                Self::Attention(step.parse().ok()?, SiteGroup::new(kind, group.parse().ok()?)?)
            }
        };
        // Each part has one name: `cross-7`, `cross-+07` and `cross-007.0` can be parsed as well.
        (part.to_string() == name).then_some(part)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trajectory => write!(f, "trajectory{SUFFIX}"),
            Self::Attention(step, group) => {
                let kind = match group.kind() {
                    AttentionKind::CrossAttention => CROSS,
                    AttentionKind::SelfAttention => SELF,
                };
                match group.number() {
                    0 => write!(f, "{kind}-{step:03}{SUFFIX}"),
                    number => write!(f, "{kind}-{step:03}.{number}{SUFFIX}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;
    use crate::diffusion::unet::AttentionKind;
    use crate::recordings::site_group::SiteGroup;

    #[test]
    fn every_part_has_one_file_name_and_is_found_by_it() {
        let group = |number| SiteGroup::new(AttentionKind::CrossAttention, number).unwrap();
        let names = [
            (Part::Trajectory, "trajectory.safetensors"),
            (Part::cross(0), "cross-000.safetensors"),
            (Part::cross(7), "cross-007.safetensors"),
            (Part::self_attention(7), "self-007.safetensors"),
            (Part::self_attention(1000), "self-1000.safetensors"),
            (Part::Attention(7, group(1)), "cross-007.1.safetensors"),
            (Part::Attention(7, group(31)), "cross-007.31.safetensors"),
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
            "cross-007.0.safetensors",
            "cross-007.01.safetensors",
            "cross-007.32.safetensors",
            "cross-007.1.2.safetensors",
            "cross-99999999999999999999999.safetensors",
            "value-007.safetensors",
            ".writing-cross-007.safetensors",
        ] {
            assert_eq!(Part::from_file_name(name), None, "{name}");
        }
    }
}
