//! From the wire to a [`Source`]: the model's defaults filled in, sizes and prompts checked.

use serde_json::{Map, Value};

use crate::api::problem::{Code, Problem, prompt_problem};
use crate::api::transport::body::{kind, read};
use crate::api::wire::SourceRequest;
use crate::diffusion::ModelInfo;
use crate::engine::max_pixels;
use crate::recordings::{Origin, Source};

const MAX_GUIDANCE: f64 = 100.0;
/// Longer sides fit into no WebP, whatever the model can do.
const MAX_SIDE: usize = 16_383;
/// The schedulers there are.
pub const SCHEDULER: &str = "ddim";

/// Fields of a source that may stand beside `source_prompt`, where there is no object `source`.
const FLAT_FIELDS: [&str; 11] = [
    "negative_prompt",
    "seed",
    "num_inference_steps",
    "steps",
    "guidance_scale",
    "cfg_scale",
    "width",
    "height",
    "size",
    "scheduler",
    "sampler_name",
];

/// Takes the source out of a request's body: the object `source`, or `source_prompt` with the source's other fields
/// beside it.
pub fn take(body: &mut Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    let short = body.remove("source_prompt");
    let mut source = match (body.remove("source"), &short) {
        (Some(Value::Object(source)), _) => source,
        (Some(other), _) => {
            let detail = format!("an object is wanted, not {}", kind(&other));
            return Err(Problem::new(Code::InvalidValue, detail).at("source"));
        }
        (None, Some(_)) => FLAT_FIELDS.iter().filter_map(|field| body.remove_entry(*field)).collect(),
        (None, None) => return Err(Problem::new(Code::MissingField, "missing field `source`").at("source")),
    };
    if let Some(prompt) = short
        && source.insert("prompt".to_owned(), prompt).is_some()
    {
        let detail = "the source's prompt is given twice, as `source_prompt` and as `source.prompt`";
        return Err(Problem::new(Code::InvalidValue, detail).at("source_prompt"));
    }
    Ok(source)
}

/// Reads a source whose fields stand under `prefix` (empty at the top of the body).
pub fn parse(object: Map<String, Value>, prefix: &str, model: &ModelInfo) -> Result<Source, Problem> {
    let request: SourceRequest = read(object, prefix)?;
    check(request, model).map_err(|problem| problem.within(prefix))
}

fn check(request: SourceRequest, model: &ModelInfo) -> Result<Source, Problem> {
    let invalid = |field: &str, detail: String| Err(Problem::new(Code::InvalidValue, detail).at(field));
    let negative_prompt = request.negative_prompt.clone().unwrap_or_default();
    check_prompt(&request.prompt, "prompt")?;
    check_length(&negative_prompt, "negative_prompt")?;
    for (prompt, field) in [(&request.prompt, "prompt"), (&negative_prompt, "negative_prompt")] {
        model.tokenizer.encode_prompt(prompt).map_err(|error| prompt_problem(&error, field))?;
    }
    let steps = request.num_inference_steps.unwrap_or(model.defaults.num_inference_steps);
    if let Err(error) = model.scheduler.timesteps(steps) {
        return invalid("num_inference_steps", error.to_string());
    }
    let guidance_scale = request.guidance_scale.unwrap_or(model.defaults.guidance_scale);
    if !(0.0..=MAX_GUIDANCE).contains(&guidance_scale) {
        return invalid("guidance_scale", format!("{guidance_scale} is out of range, 0 to {MAX_GUIDANCE} is possible"));
    }
    if let Some(other) = request.scheduler.as_deref().filter(|name| !name.eq_ignore_ascii_case(SCHEDULER)) {
        return invalid("scheduler", format!("{other:?} is not served, {SCHEDULER} is"));
    }
    let (width, height) = size(&request, model)?;
    // A seed is 32 bits in PyTorch's CPU generator, and stays exact in a JavaScript client.
    let seed = request.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    Ok(Source {
        negative_prompt,
        // -0 and 0 are one source.
        guidance_scale: guidance_scale + 0.0,
        ..Source::new(request.prompt, Origin::Seed(seed), steps, (width, height))
    })
}

/// Longer prompts are refused before they are tokenized: no 77 tokens of any language take as many bytes.
const MAX_PROMPT_BYTES: usize = 4096;

/// A prompt must have a word, and be short enough to be tokenized.
pub fn check_prompt(prompt: &str, field: &str) -> Result<(), Problem> {
    check_length(prompt, field)?;
    if prompt.trim().is_empty() {
        return Err(Problem::new(Code::EmptyPrompt, "the prompt has no words").at(field));
    }
    Ok(())
}

fn check_length(prompt: &str, field: &str) -> Result<(), Problem> {
    if prompt.len() <= MAX_PROMPT_BYTES {
        return Ok(());
    }
    let detail = format!("the prompt has {} bytes, at most {MAX_PROMPT_BYTES} are read", prompt.len());
    Err(Problem::new(Code::PromptTooLong, detail).at(field))
}

fn size(request: &SourceRequest, model: &ModelInfo) -> Result<(usize, usize), Problem> {
    let unsupported = |field: &str, detail: String| Err(Problem::new(Code::UnsupportedSize, detail).at(field));
    let (width, height, fields) = match &request.size {
        Some(_) if request.width.is_some() || request.height.is_some() => {
            let detail = "give `size`, or `width` and `height`, not both";
            return Err(Problem::new(Code::InvalidValue, detail).at("size"));
        }
        Some(size) => {
            let sides = size.split_once(['x', 'X', '*']).and_then(|(w, h)| digits(w).zip(digits(h)));
            let Some((width, height)) = sides else {
                return unsupported("size", format!("{size:?} is not a size such as {0}x{0}", model.native_size));
            };
            (width, height, ["size", "size"])
        }
        None => {
            let side = |side: Option<usize>| side.unwrap_or(model.native_size);
            (side(request.width), side(request.height), ["width", "height"])
        }
    };
    for (side, field) in [width, height].into_iter().zip(fields) {
        if side < model.min_side || !side.is_multiple_of(model.vae_factor) {
            let detail = format!(
                "{width}x{height} cannot be made: sides are multiples of {}, {} at least",
                model.vae_factor, model.min_side
            );
            return unsupported(field, detail);
        }
    }
    let max_side = |(_, side): &(_, usize)| *side > MAX_SIDE;
    if let Some((field, _)) = fields.into_iter().zip([width, height]).find(max_side) {
        let detail = format!("{width}x{height} cannot be made: a side may have at most {MAX_SIDE} pixels");
        return unsupported(field, detail);
    }
    let max_pixels = max_pixels(model);
    if width.checked_mul(height).is_none_or(|pixels| pixels > max_pixels) {
        let detail = format!("{width}x{height} cannot be made: an image may have at most {max_pixels} pixels");
        return unsupported(fields[0], detail);
    }
    Ok((width, height))
}

/// A number without a sign.
fn digits(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
