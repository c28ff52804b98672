//! Bodies of `POST /v1/images/generations`, in the shape of the OpenAI Images API; what that API does not have comes
//! last.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::wire::edit_report::WarningBody;
use crate::api::wire::response::{SessionRef, TimingsBody};
use crate::api::wire::schema::{
    BackgroundSchema, ErrorTypeSchema, ImagesResponseFormatSchema, ModerationSchema, OutputFormatSchema, QualitySchema,
    StyleSchema,
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

/// Generated images.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImagesResponse {
    /// Seconds since 1970.
    #[schema(example = 1_790_000_000)]
    pub created: u64,
    /// `opaque`.
    #[schema(example = "opaque")]
    pub background: &'static str,
    /// The images' format.
    #[schema(value_type = OutputFormatSchema)]
    pub output_format: &'static str,
    /// `auto`.
    #[schema(example = "auto")]
    pub quality: &'static str,
    /// Width and height in pixels.
    #[schema(example = "128x128")]
    pub size: String,
    /// The images, in the order of their seeds.
    pub data: Vec<GeneratedImage>,
    /// `images_` and 32 hexadecimal digits.
    pub id: String,
    /// `images`.
    #[schema(example = "images")]
    pub object: &'static str,
    /// The model's name.
    #[schema(example = "reprompt-demo")]
    pub model: String,
    /// What the request may not have meant; empty where there is nothing.
    pub warnings: Vec<WarningBody>,
    /// How long it took; of several images, those of the one that took longest.
    pub timings_ms: TimingsBody,
}

/// One image: `b64_json`, or `url` where that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct GeneratedImage {
    /// The file as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b64_json: Option<String>,
    /// The file as a data URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its seed.
    #[schema(example = 7)]
    pub seed: u64,
    /// Its session, which can be edited.
    pub session: SessionRef,
}

/// What went wrong, as the OpenAI API says it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiError {
    /// What went wrong.
    pub error: OpenAiErrorBody,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiErrorBody {
    /// What is wrong with this request.
    #[schema(example = "a whole number from 0 is wanted, not a string")]
    pub message: String,
    /// The kind of error.
    #[schema(value_type = ErrorTypeSchema)]
    pub r#type: &'static str,
    /// The field that is at fault, where one is.
    #[schema(example = "seed")]
    pub param: Option<String>,
    /// A stable name for programs.
    #[schema(example = "invalid_value")]
    pub code: &'static str,
}

/// The data of the event `image_generation.partial_image`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartialImageEvent {
    /// `image_generation.partial_image`.
    #[schema(example = "image_generation.partial_image")]
    pub r#type: &'static str,
    /// The preview as base64.
    pub b64_json: String,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Width and height in pixels.
    #[schema(example = "128x128")]
    pub size: String,
    /// `auto`.
    #[schema(example = "auto")]
    pub quality: &'static str,
    /// `opaque`.
    #[schema(example = "opaque")]
    pub background: &'static str,
    /// The preview's format.
    #[schema(value_type = OutputFormatSchema)]
    pub output_format: &'static str,
    /// Which preview it is, from 0.
    pub partial_image_index: usize,
}
