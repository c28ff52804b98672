//! The request of `POST /v1/images/generations`, in the shape of the OpenAI Images API; what that API does not have comes
//! last.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::wire::schema::{
    BackgroundSchema, ImagesResponseFormatSchema, ModerationSchema, OutputFormatSchema, QualitySchema, StyleSchema,
};

/// Fields that are not those of a source, which stand beside them.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagesBody {
    /// The name of the model that is served (see `/v1/models`), or nothing.
    #[serde(default)]
    #[schema(example = "reprompt-demo")]
    pub model: Option<String>,
    /// Images. Their seeds follow one another.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 10, default = 1)]
    pub n: Option<u64>,
    /// `b64_json`, or `url`: a data URL, for nothing is kept at an address.
    #[serde(default)]
    #[schema(value_type = Option<ImagesResponseFormatSchema>, default = "b64_json")]
    pub response_format: Option<String>,
    /// The images' format.
    #[serde(default)]
    #[schema(value_type = Option<OutputFormatSchema>, default = "png")]
    pub output_format: Option<String>,
    /// Quality of a JPEG (90 without it) or of a lossy WebP (lossless without it); a PNG has none.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub output_compression: Option<u64>,
    /// Taken and left alone, with a warning where it is not the default: how long an image is worked on is said by
    /// `num_inference_steps`.
    #[serde(default)]
    #[schema(value_type = Option<QualitySchema>)]
    pub quality: Option<String>,
    /// Taken and left alone, with a warning: how an image looks is said by the prompt.
    #[serde(default)]
    #[schema(value_type = Option<StyleSchema>)]
    pub style: Option<String>,
    /// Images are opaque.
    #[serde(default)]
    #[schema(value_type = Option<BackgroundSchema>)]
    pub background: Option<String>,
    /// Taken: there is no moderation here that could be stricter.
    #[serde(default)]
    #[schema(value_type = Option<ModerationSchema>)]
    pub moderation: Option<String>,
    /// Taken and left alone: whom the request is made for.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether the answer is a stream of events: `image_generation.partial_image` for each of `partial_images`, and in
    /// the end `image_generation.completed` or `error`. Of one image only.
    #[serde(default)]
    #[schema(default = false)]
    pub stream: Option<bool>,
    /// Previews on the way, for streams.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 16, default = 0)]
    pub partial_images: Option<u64>,
    /// As in an edit.
    #[serde(default)]
    #[schema(format = "uri", max_length = 2048, example = "https://hooks.example.com/reprompt")]
    pub webhook: Option<String>,
}

/// `POST /v1/images/generations`.
// Put together in `openapi` from the fields of a source and those above.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImagesRequest {
    /// What is beside the source.
    pub body: ImagesBody,
}
