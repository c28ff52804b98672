//! Bodies of `POST /v1/images/generations`, in the shape of the OpenAI Images API; what that API does not have comes
//! last.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::wire::edit_report::WarningBody;
use crate::api::wire::response::{SessionRef, TimingsBody};
use crate::api::wire::schema::{ErrorTypeSchema, OutputFormatSchema};

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
    #[schema(schema_with = crate::api::operations::source::seed_schema)]
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
