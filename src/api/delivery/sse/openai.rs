//! Events in the shape of the OpenAI Images API.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::delivery::encoded_image::{Base64, EncodedImage};
use crate::api::delivery::sse::names::{COMPLETED, PARTIAL_IMAGE};
use crate::api::operations::bodies::{TimingsBody, WarningBody, unix_seconds};
use crate::api::operations::images::response::{BACKGROUND, GeneratedImage, ImagesResponse, QUALITY};
use crate::api::wire::OutputFormatSchema;
use crate::media::{Image, OutputFormat};

/// The data of the event `image_generation.partial_image`.
#[derive(Debug, Serialize, ToSchema)]
pub struct PartialImageEvent {
    /// `image_generation.partial_image`.
    #[schema(example = "image_generation.partial_image")]
    pub r#type: &'static str,
    /// The preview as base64.
    #[schema(value_type = String)]
    b64_json: Base64,
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

impl PartialImageEvent {
    /// The preview `file` of `image`; previews are numbered from 0.
    pub(super) fn new(image: &Image, file: EncodedImage, format: OutputFormat, index: usize) -> Self {
        Self {
            r#type: PARTIAL_IMAGE,
            b64_json: Base64(file),
            created_at: unix_seconds(SystemTime::now()),
            size: format!("{}x{}", image.width, image.height),
            quality: QUALITY,
            background: BACKGROUND,
            output_format: format.as_str(),
            partial_image_index: index,
        }
    }
}

/// The data of the event `image_generation.completed`: the answer of one image, with the image's fields beside the
/// others.
#[derive(Serialize)]
pub(super) struct CompletedEvent<'a> {
    r#type: &'static str,
    created_at: u64,
    #[serde(flatten)]
    image: Option<&'a GeneratedImage>,
    background: &'static str,
    output_format: &'static str,
    quality: &'static str,
    size: &'a str,
    id: &'a str,
    object: &'static str,
    model: &'a str,
    warnings: &'a [WarningBody],
    timings_ms: &'a TimingsBody,
}

impl<'a> From<&'a ImagesResponse> for CompletedEvent<'a> {
    fn from(answer: &'a ImagesResponse) -> Self {
        Self {
            r#type: COMPLETED,
            created_at: answer.created,
            image: answer.data.first(),
            background: answer.background,
            output_format: answer.output_format,
            quality: answer.quality,
            size: &answer.size,
            id: &answer.id,
            object: answer.object,
            model: &answer.model,
            warnings: &answer.warnings,
            timings_ms: &answer.timings_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::delivery::answer::{AnswerBody, testing};
    use serde_json::json;

    #[test]
    fn an_answer_of_one_image_becomes_an_event() {
        let AnswerBody::Images(answer) = testing::answer().body else { panic!("images") };
        let mut expected = json!(answer);
        let fields = expected.as_object_mut().unwrap();
        let image = fields.remove("data").unwrap()[0].clone();
        fields.extend(image.as_object().unwrap().clone());
        fields.remove("created");
        fields.extend([("created_at".to_owned(), json!(5)), ("type".to_owned(), json!(COMPLETED))]);
        assert_eq!(json!(CompletedEvent::from(&*answer)), expected);
        assert_eq!((&expected["seed"], &expected["session"]["id"]), (&json!(7), &json!("ses_0")));
    }
}
