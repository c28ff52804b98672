//! Names of the events of the OpenAI Images API.

/// The event of a preview.
pub(crate) const PARTIAL_IMAGE: &str = "image_generation.partial_image";
/// The event of the answer.
pub(crate) const COMPLETED: &str = "image_generation.completed";
