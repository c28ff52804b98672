//! A source: everything that determines a generated image. Two equal sources on the same model give the same image.
//!
//! [`Source::session_id`] derives the id of its session from these fields and the model's fingerprint.

use crate::diffusion::samplers::SamplerName;
use crate::recordings::session_id::{IdentityFields, SessionId};

/// What an image is made from.
///
/// [`Source::new`] takes what every source has; the rest has defaults and is set by struct update:
/// `Source { guidance_scale: 5.0, ..Source::new("a cat", Origin::Seed(1), 20, (64, 64)) }`. So a field that is added later
/// does not touch code that has no use for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The prompt.
    pub prompt: String,
    /// What guidance leads away from; empty by default.
    pub negative_prompt: String,
    /// What the sampler starts from.
    pub origin: Origin,
    /// The sampler.
    pub sampler: SamplerName,
    /// Denoising steps.
    pub steps: usize,
    /// Scale of classifier-free guidance. Never -0.0: it equals 0.0 and would have another session.
    pub guidance_scale: f64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

/// What the sampler starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Noise drawn with this seed.
    Seed(u64),
}

impl Source {
    /// Sampler of sources that do not say otherwise.
    pub const DEFAULT_SAMPLER: SamplerName = SamplerName::Ddim;
    /// Guidance of sources that do not say otherwise, as in Stable Diffusion's own pipelines.
    pub const DEFAULT_GUIDANCE_SCALE: f64 = 7.5;

    /// A source of `steps` steps and `size` pixels (width, height): no negative prompt, the default sampler and guidance.
    pub fn new(prompt: impl Into<String>, origin: Origin, steps: usize, size: (usize, usize)) -> Self {
        let (width, height) = size;
        Self {
            prompt: prompt.into(),
            negative_prompt: String::new(),
            origin,
            sampler: Self::DEFAULT_SAMPLER,
            steps,
            guidance_scale: Self::DEFAULT_GUIDANCE_SCALE,
            width,
            height,
        }
    }

    /// The seed of the initial noise.
    pub fn seed(&self) -> u64 {
        let Origin::Seed(seed) = self.origin;
        seed
    }

    /// The id of this source's session on the model with this fingerprint.
    pub fn session_id(&self, fingerprint: &str) -> SessionId {
        self.identity(fingerprint).session_id()
    }

    /// The fields that the id is derived from.
    ///
    /// A field that is added later must be `optional`, so that the sources without it keep their ids.
    fn identity(&self, fingerprint: &str) -> IdentityFields {
        let Self { prompt, negative_prompt, origin, sampler, steps, guidance_scale, width, height } = self;
        let mut fields = IdentityFields::default();
        fields.required("model", fingerprint.as_bytes());
        fields.required("prompt", prompt.as_bytes());
        // No negative prompt and an empty one are the same conditioning.
        fields.optional("negative_prompt", (!negative_prompt.is_empty()).then_some(negative_prompt.as_bytes()));
        match origin {
            Origin::Seed(seed) => fields.required("seed", &seed.to_le_bytes()),
        }
        fields.required("sampler", sampler.as_str().as_bytes());
        fields.required("steps", &(*steps as u64).to_le_bytes());
        fields.required("guidance_scale", &guidance_scale.to_bits().to_le_bytes());
        fields.required("width", &(*width as u64).to_le_bytes());
        fields.required("height", &(*height as u64).to_le_bytes());
        fields
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Origin, Source};

    fn source() -> Source {
        Source { guidance_scale: 5.0, ..Source::new("a cat", Origin::Seed(42), 20, (128, 128)) }
    }

    #[test]
    fn the_same_source_has_the_same_id_wherever_it_is_computed() {
        assert_eq!(source().session_id("model"), source().session_id("model"));
        assert_eq!(source().session_id("model").as_str(), "ses_6ff3cd5697a11b559f7f384b72f7e9b9");
    }

    #[test]
    fn every_field_of_a_source_and_the_model_count() {
        let base = source().session_id("model");
        let changes: [fn(&mut Source); 7] = [
            |s| s.prompt.push('s'),
            |s| s.negative_prompt.push('s'),
            |s| s.origin = Origin::Seed(43),
            |s| s.steps += 1,
            |s| s.guidance_scale += 0.5,
            |s| s.width *= 2,
            |s| s.height *= 2,
        ];
        for change in changes {
            let mut other = source();
            change(&mut other);
            assert_ne!(base, other.session_id("model"), "{other:?}");
        }
        assert_ne!(base, source().session_id("another model"));
    }

    /// Sources from a small space, so that equal ones and ones that differ in one field are frequent.
    fn sources() -> impl Strategy<Value = Source> {
        let text = prop_oneof!["[ab]{0,2}", Just("prompt".to_owned())];
        let number = 0usize..3;
        let guidance = prop_oneof![Just(0.0), Just(1.0), Just(f64::from_bits(1))];
        (text.clone(), text, 0u64..3, number.clone(), guidance, number.clone(), number).prop_map(
            |(prompt, negative_prompt, seed, steps, guidance_scale, width, height)| Source {
                negative_prompt,
                guidance_scale,
                ..Source::new(prompt, Origin::Seed(seed), steps, (width, height))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn ids_are_equal_exactly_where_sources_and_models_are(
            a in sources(), b in sources(), on_a in "[mn]", on_b in "[mn]",
        ) {
            let is_same = a == b && on_a == on_b;
            prop_assert_eq!(a.session_id(&on_a) == b.session_id(&on_b), is_same);
        }
    }
}
