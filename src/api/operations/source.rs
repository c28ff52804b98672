//! The fields of a source, and the [`Source`] that they make on a model, with defaults filled in and all values
//! checked.
//!
//! Contract: a source is given as an object `source`, or by `source_prompt` with its other fields beside those of the
//! call. In both forms problems name a field by its path in the object. Calls that have no other prompt also take all
//! fields at the top of the body ([`SourcePlace::Top`]), and problems then name them by their own names.

use serde_json::json;

use crate::api::fields::shape::document;
use crate::api::fields::{FieldName, Group, Invalid, Object, fields};
use crate::api::operations::values::prompt::{MAX_PROMPT_BYTES, PromptText, check_length};
use crate::api::operations::values::seed::Seed;
use crate::api::problem::{Code, Problem, prompt_problem};
use crate::diffusion::ModelInfo;
use crate::diffusion::samplers::SamplerName;
use crate::engine::{PreparedSource, max_pixels, tokenize};
use crate::media::MAX_SIDE;
use crate::recordings::{Origin, Source};

const MAX_GUIDANCE: f64 = 100.0;
/// The object with the fields of a source.
pub(crate) const SOURCE: &str = "source";
/// The prompt of a source whose fields are beside those of the call.
pub(crate) const SOURCE_PROMPT: &str = "source_prompt";

fields! {
    /// What an image is made from. Only the prompt is required; the model has defaults for the rest.
    struct SourceFields as "SourceRequest", enum SourceField {
        /// The source's prompt.
        Prompt = prompt: PromptText;
        /// What classifier-free guidance steers away from.
        NegativePrompt = negative_prompt: String = String::new() => {"maxLength": MAX_PROMPT_BYTES};
        /// Seed of the noise, as in diffusers with a CPU generator. If absent or null: a random one, which the response
        /// has.
        Seed = seed: Option<Seed> => {"maximum": u64::MAX, "format": "uint64", "example": 42};
        /// Number of denoising steps, fewer than the model's training timesteps. Alias: `steps`.
        Steps = num_inference_steps | "steps": Option<usize> => {"minimum": 1, "maximum": 99_999, "example": 20};
        /// Scale of classifier-free guidance. Alias: `cfg_scale`.
        GuidanceScale = guidance_scale | "cfg_scale": Option<f64> =>
            {"minimum": 0, "maximum": 100, "example": 5.0};
        /// Width in pixels; see `sizes` of `/v1/models`.
        Width = width: Option<usize> => {"minimum": 8, "maximum": MAX_SIDE, "example": 128};
        /// Height in pixels.
        Height = height: Option<usize> => {"minimum": 8, "maximum": MAX_SIDE, "example": 128};
        /// Width and height in one, such as `512x512`, instead of `width` and `height`.
        Size = size: Option<String> => {"pattern": "^[0-9]+[xX*][0-9]+$", "example": "128x128"};
        /// The sampler; if absent, the model's default. Alias: `sampler_name`.
        Scheduler = scheduler | "sampler_name": Option<SamplerName> => {"example": "ddim"};
    }
}

/// Where a source's fields are in a request, which decides how problems name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourcePlace {
    /// In the object `source`, or given by `source_prompt`, which counts as the same.
    Nested,
    /// At the top of the body.
    Top,
}

impl SourcePlace {
    /// The path of a source's field.
    pub(crate) fn path(self, field: SourceField) -> String {
        match self {
            Self::Nested => format!("source.{}", field.name()),
            Self::Top => field.name().to_owned(),
        }
    }

    /// The problem of a source's field.
    pub(crate) fn problem(self, Invalid { code, field, detail, .. }: Invalid<SourceField>) -> Problem {
        Problem::new(code, detail).at(self.path(field))
    }
}

/// Reads the source of a body: the object `source`, or `source_prompt` and the fields beside it.
///
/// # Errors
/// `missing_field` if there is neither; `unknown_field` for a field that is neither the source's nor one of `others`,
/// the call's own; the problem of a field that cannot be read.
pub(crate) fn named_in(body: &Object<'_>, others: &[&[&'static str]]) -> Result<SourceFields, Problem> {
    let mut allowed = vec![SOURCE, SOURCE_PROMPT];
    allowed.extend(others.iter().copied().flatten());
    let of_source = || SourceFields::NAMES.iter().copied().filter(|name| *name != SourceField::Prompt.name());
    if !body.has(SOURCE) {
        allowed.extend(of_source());
    } else if let Some(name) = of_source().find(|name| body.has(name) && !allowed.contains(name)) {
        let detail = format!("unknown field `{name}` beside `source`; did you mean `source.{name}`?");
        return Err(body.problem(name, Code::UnknownField, detail));
    }
    body.expect_only(&allowed)?;
    let prompt = body.get(SOURCE_PROMPT);
    let flat;
    let (node, source) = match (body.get(SOURCE), prompt) {
        (Some(node), _) => (Some(node), node.object()?),
        (None, Some(_)) => {
            // `prompt` at the top is the target's.
            flat = body.clone().only(SourceFields::NAMES).without(SourceField::Prompt.name()).at(SOURCE);
            (None, flat)
        }
        (None, None) => return Err(body.missing(SOURCE)),
    };
    let source = match prompt {
        Some(_) if node.is_some() && source.has(SourceField::Prompt.name()) => {
            let detail = "`source_prompt` and `source.prompt` are the same field; give one of them";
            return Err(body.problem(SOURCE_PROMPT, Code::InvalidValue, detail));
        }
        Some(prompt) => source.with(SourceField::Prompt.name(), prompt.value),
        None => source,
    };
    source.expect_only(SourceFields::NAMES)?;
    SourceFields::take(&source)
}

impl SourceFields {
    /// A source of a prompt, with the model's defaults for everything else.
    pub(crate) fn new(prompt: PromptText) -> Self {
        Self {
            prompt,
            negative_prompt: String::new(),
            seed: None,
            num_inference_steps: None,
            guidance_scale: None,
            width: None,
            height: None,
            size: None,
            scheduler: None,
        }
    }

    /// The source on a model.
    ///
    /// # Errors
    /// The first field that the model cannot have.
    pub(crate) fn resolve(self, model: &ModelInfo) -> Result<PreparedSource, Invalid<SourceField>> {
        use SourceField as Field;
        check_length(&self.negative_prompt)
            .map_err(|error| Invalid::new(error.code(), Field::NegativePrompt, error.to_string()))?;
        let tokens = |prompt: &str, field: Field| {
            tokenize(model, prompt).map_err(|error| {
                let problem = prompt_problem(&error, field.name());
                Invalid::new(problem.code(), field, problem.detail())
            })
        };
        let prompt = tokens(self.prompt.as_str(), Field::Prompt)?;
        let negative_prompt = tokens(&self.negative_prompt, Field::NegativePrompt)?;
        let steps = self.num_inference_steps.unwrap_or(model.defaults.num_inference_steps);
        let sampler = self.scheduler.unwrap_or(model.default_sampler);
        if let Err(error) = model.sampler(sampler, steps) {
            return Err(Invalid::value(Field::Steps, error.to_string()));
        }
        let guidance_scale = self.guidance_scale.unwrap_or(model.defaults.guidance_scale);
        if !(0.0..=MAX_GUIDANCE).contains(&guidance_scale) {
            let detail = format!("expected 0 to {MAX_GUIDANCE}, got {guidance_scale}");
            return Err(Invalid::value(Field::GuidanceScale, detail));
        }
        let (width, height) = self.size(model)?;
        // A seed is 32 bits in PyTorch's CPU generator, and stays exact in a JavaScript client.
        let seed = self.seed.map_or_else(|| u64::from(rand::random::<u32>()), |seed| seed.0);
        let source = Source::new(String::new(), Origin::Seed(seed), steps, (width, height));
        // -0 and 0 are one source.
        let source = Source { sampler, guidance_scale: guidance_scale + 0.0, ..source };
        Ok(PreparedSource::from_prompts(prompt, &negative_prompt, source))
    }

    fn size(&self, model: &ModelInfo) -> Result<(usize, usize), Invalid<SourceField>> {
        use SourceField as Field;
        let unsupported = |field, detail: String| Err(Invalid::new(Code::UnsupportedSize, field, detail));
        let (width, height, fields) = match &self.size {
            Some(_) if self.width.is_some() || self.height.is_some() => {
                return Err(Invalid::value(Field::Size, "give `size`, or `width` and `height`, not both"));
            }
            Some(size) => {
                let sides = size.split_once(['x', 'X', '*']).and_then(|(w, h)| digits(w).zip(digits(h)));
                let Some((width, height)) = sides else {
                    return unsupported(
                        Field::Size,
                        format!("expected a size such as {}x{}, got {size:?}", model.native_width, model.native_height),
                    );
                };
                (width, height, [Field::Size, Field::Size])
            }
            None => {
                let (width, height) = (model.native_width, model.native_height);
                (self.width.unwrap_or(width), self.height.unwrap_or(height), [Field::Width, Field::Height])
            }
        };
        for (side, field) in [width, height].into_iter().zip(fields) {
            if side < model.min_side || !side.is_multiple_of(model.vae_factor) {
                let (factor, min) = (model.vae_factor, model.min_side);
                let detail = format!(
                    "unsupported size {width}x{height}; expected sides that are multiples of {factor} and at least {min}"
                );
                return unsupported(field, detail);
            }
        }
        let max_side = |(_, side): &(_, usize)| *side > usize::from(MAX_SIDE);
        if let Some((field, _)) = fields.into_iter().zip([width, height]).find(max_side) {
            let detail = format!("unsupported size {width}x{height}; expected sides of at most {MAX_SIDE} pixels");
            return unsupported(field, detail);
        }
        let max_pixels = max_pixels(model);
        if width.checked_mul(height).is_none_or(|pixels| pixels > max_pixels) {
            let detail = format!("unsupported size {width}x{height}; expected at most {max_pixels} pixels in all");
            return unsupported(fields[0], detail);
        }
        Ok((width, height))
    }
}

/// The schema of a seed: 64 bits without a sign, which OpenAPI has no format for.
pub(crate) fn seed_schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    document(json!({"type": "integer", "format": "uint64", "minimum": 0, "maximum": u64::MAX, "example": 42}))
}

/// A number without a sign.
fn digits(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(body: &Value) -> Result<SourceFields, (Code, String)> {
        let Value::Object(body) = body else { panic!("an object") };
        let source = named_in(&Object::body(body), &[&["prompt", "equalizer"]]);
        source.map_err(|problem| (problem.code(), problem.param().unwrap_or_default().to_owned()))
    }

    #[test]
    fn a_source_is_an_object_or_beside_the_other_fields() {
        let nested = json!({"source": {"prompt": "a cat", "seed": 3, "steps": 7}, "prompt": "a dog"});
        let flat = json!({"source_prompt": "a cat", "seed": 3, "num_inference_steps": 7, "prompt": "a dog"});
        let mixed = json!({"source": {"seed": 3, "steps": 7}, "source_prompt": "a cat"});
        let source = read(&nested).unwrap();
        assert_eq!(
            (source.prompt.as_str(), source.seed, source.num_inference_steps),
            ("a cat", Some(Seed(3)), Some(7))
        );
        assert_eq!(read(&flat), Ok(source.clone()));
        assert_eq!(read(&mixed), Ok(source));
    }

    #[test]
    fn problems_name_the_field_in_the_object_wherever_it_stands() {
        let at = |code, param: &str| Err((code, param.to_owned()));
        for (body, wanted) in [
            (json!({"prompt": "a dog"}), at(Code::MissingField, "source")),
            (json!({"source": {"seed": 3}}), at(Code::MissingField, "source.prompt")),
            (json!({"source": {"prompt": "a", "sede": 3}}), at(Code::UnknownField, "source.sede")),
            (json!({"source": {"prompt": "a"}, "seed": 3}), at(Code::UnknownField, "seed")),
            (json!({"source_prompt": "a", "seed": -3}), at(Code::InvalidValue, "source.seed")),
            (json!({"source_prompt": "a", "sede": 3}), at(Code::UnknownField, "sede")),
            (json!({"source": null, "source_prompt": "a"}), at(Code::InvalidValue, "source")),
            (json!({"source": {"prompt": "a"}, "source_prompt": "a"}), at(Code::InvalidValue, "source_prompt")),
            (
                json!({"source_prompt": "a", "steps": 1, "num_inference_steps": 2}),
                at(Code::InvalidValue, "source.num_inference_steps"),
            ),
        ] {
            assert_eq!(read(&body), wanted, "{body}");
        }
    }
}
