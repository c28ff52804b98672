//! The data of this service's own events.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::delivery::encoded_image::Base64;
use crate::api::wire::OutputFormatSchema;

/// The data of the event `started`: nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartedEvent {}

/// The data of the event `step`, sent once for each step, in order.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepEvent {
    /// Steps done.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// A preview as base64, where one of `partial_images` belongs to this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) b64_json: Option<Base64>,
    /// The preview's format.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OutputFormatSchema>)]
    pub output_format: Option<&'static str>,
}
