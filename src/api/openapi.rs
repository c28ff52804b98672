//! The contract as an OpenAPI document, made from the handlers and the wire types.

use utoipa::OpenApi;

use super::{align, edits, health, sessions};

#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "reprompt",
        description = "Image editing by editing the prompt: Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) on \
                       Stable Diffusion. Errors are `application/problem+json` with a stable `code` and the path of \
                       the field at fault in `param`.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    paths(
        edits::create,
        edits::create_in_session,
        align::align,
        sessions::create,
        sessions::list,
        sessions::show,
        sessions::image,
        sessions::forget,
        health::healthz,
        health::readyz
    ),
    tags(
        (name = "edits", description = "Editing by prompt"),
        (name = "sessions", description = "Recorded sources"),
        (name = "operations", description = "For those who run the service")
    )
)]
struct Document;

/// The document as it is checked in.
pub fn yaml() -> String {
    // The document is a constant of this program: a test makes sure that it can be written.
    Document::openapi().to_yaml().unwrap_or_default()
}

/// The document as it is served.
pub fn json() -> serde_json::Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}
