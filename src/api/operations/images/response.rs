//! The answer to generated images, in the shape of the OpenAI Images API, with the fields that that API lacks at the
//! end.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::delivery::encoded_image::{Base64, DataUrl, EncodedImage};
use crate::api::operations::bodies::{SessionRef, TimingsBody, WarningBody};
use crate::api::wire::OutputFormatSchema;

/// The only quality, by the OpenAI API's name for the model's own choice.
pub(crate) const QUALITY: &str = "auto";
/// The only background.
pub(crate) const BACKGROUND: &str = "opaque";

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
    /// Warnings about the request; empty if there are none.
    pub warnings: Vec<WarningBody>,
    /// How long it took; of several images, the times of the slowest.
    pub timings_ms: TimingsBody,
}

/// One image, as `b64_json` or as `url`.
#[derive(Debug, Serialize, ToSchema)]
pub struct GeneratedImage {
    /// The file as base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    b64_json: Option<Base64>,
    /// The file as a data URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    url: Option<DataUrl>,
    /// Its seed.
    #[schema(schema_with = crate::api::operations::source::seed_schema)]
    pub seed: u64,
    /// Its session, which can be edited.
    pub session: SessionRef,
}

impl GeneratedImage {
    /// An image as base64.
    pub(crate) fn base64(image: EncodedImage, seed: u64, session: SessionRef) -> Self {
        Self { b64_json: Some(Base64(image)), url: None, seed, session }
    }

    /// An image as a data URL.
    pub(crate) fn data_url(image: EncodedImage, seed: u64, session: SessionRef) -> Self {
        Self { b64_json: None, url: Some(DataUrl(image)), seed, session }
    }
}
