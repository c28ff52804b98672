//! Values that are one of a few names.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::api::fields::choice::{self, Choice};
use crate::api::fields::types::ToJson;
use crate::api::fields::{Components, FieldType, Node, choices, shape};
use crate::api::problem::Problem;
use crate::diffusion::samplers::SamplerName;
use crate::media::OutputFormat;
use crate::p2p::EditType;

choices! {
    EditType as "EditType", "edit type": "How the prompts are aligned.";
    OutputFormat as "OutputFormat", "output format": "PNG and WebP are lossless, unless WebP is given a quality.";
    ResponseFormat {
        /// As base64 in the JSON of the answer.
        Base64 = "b64_json"
    } as "ResponseFormat", "response format": "The form of images in a response.";
    ImagesResponseFormat {
        /// As base64 in the JSON of the answer.
        Base64 = "b64_json",
        /// As a data URL.
        Url = "url"
    } as "ImagesResponseFormat", "response format": "As base64, or as a data URL.";
    Quality {
        /// The model's own.
        Auto = "auto",
        /// The same.
        Standard = "standard",
        /// More steps, in the OpenAI API.
        Hd = "hd",
        /// Less work, in the OpenAI API.
        Low = "low",
        /// Some more.
        Medium = "medium",
        /// The most.
        High = "high"
    } as "Quality", "quality": "Names of the OpenAI API.";
    Style {
        /// Hyper-real, in the OpenAI API.
        Vivid = "vivid",
        /// Less so.
        Natural = "natural"
    } as "Style", "style": "Names of the OpenAI API.";
    Background {
        /// The model's own, which is opaque.
        Auto = "auto",
        /// Opaque.
        Opaque = "opaque"
    } as "Background", "background": "Images are opaque.";
    Moderation {
        /// The usual.
        Auto = "auto",
        /// Less strict.
        Low = "low"
    } as "Moderation", "moderation": "Names of the OpenAI API.";
}

/// Samplers are called schedulers in requests, as in diffusers. Names are read in any case, and by their aliases.
impl Choice for SamplerName {
    const WHAT: &'static str = "scheduler";

    fn all() -> &'static [Self] {
        Self::ALL
    }

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn aliases(self) -> &'static [&'static str] {
        self.aliases()
    }

    fn named(name: &str) -> Option<Self> {
        name.parse().ok()
    }
}

impl FieldType for SamplerName {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        choice::read(node)
    }

    fn schema() -> Value {
        shape::reference("SchedulerName")
    }

    fn components(into: &mut Components) {
        // Generated clients make an identifier of each name, so two names must not differ by case or marks alone.
        let mut seen = HashSet::new();
        let all = SamplerName::ALL.iter().flat_map(|sampler| [&[sampler.as_str()], sampler.aliases()].concat());
        let names: Vec<_> = all.filter(|name| seen.insert(identifier(name))).collect();
        let description = "The schedulers and their names in other programs. Upper and lower case are the same.";
        into.add("SchedulerName", || json!({"type": "string", "enum": names, "description": description}));
    }
}

/// What generators make of a name.
fn identifier(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

impl ToJson for SamplerName {
    fn to_json(&self) -> Value {
        self.as_str().into()
    }
}

/// The name of a sampler in an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnsweredScheduler;

impl utoipa::PartialSchema for AnsweredScheduler {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        shape::document(choice::schema::<SamplerName>("The schedulers."))
    }
}

impl utoipa::ToSchema for AnsweredScheduler {
    fn name() -> std::borrow::Cow<'static, str> {
        "Scheduler".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fields::read_value;
    use crate::api::problem::Code;

    #[test]
    fn a_sampler_is_read_by_any_of_its_names_and_an_unknown_one_is_refused_with_those_there_are() {
        for name in ["ddim", "DDIM", "DDIMScheduler"] {
            assert_eq!(read_value(&json!(name)), Ok(SamplerName::Ddim));
        }
        let problem = read_value::<SamplerName>(&json!("euler")).unwrap_err();
        assert_eq!(problem.code(), Code::InvalidValue);
        assert_eq!(problem.detail(), "unsupported scheduler \"euler\"; expected \"ddim\"");
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        assert_eq!(read_value(&json!("replace")), Ok(EditType::Replace));
        let detail = |value| read_value::<EditType>(&value).unwrap_err().detail().to_owned();
        assert_eq!(
            detail(json!("Swap")),
            "unsupported edit type \"Swap\"; expected one of \"auto\", \"replace\", \"refine\", \"reweight\""
        );
        assert_eq!(detail(json!(3)), "expected a string, got 3");
    }
}
