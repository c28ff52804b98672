//! The contract as an OpenAPI document, made from the handlers and the wire types.

use utoipa::openapi::{OpenApi as Contract, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use super::guard::contract::Keys;
use super::jobs::routes as jobs;
use super::{align, attention, edits, health, metrics, models, sessions, wire};

#[derive(Debug, OpenApi)]
#[openapi(
    modifiers(&JoinedBodies, &Keys),
    components(schemas(wire::OutputBody, wire::QueueBody, wire::StartedEvent, wire::StepEvent)),
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
        attention::show,
        sessions::forget,
        jobs::list,
        jobs::show,
        jobs::cancel,
        models::list,
        models::show,
        health::healthz,
        health::readyz,
        metrics::show
    ),
    tags(
        (name = "edits", description = "Editing by prompt"),
        (name = "sessions", description = "Recorded sources"),
        (name = "jobs", description = "Work that is asked about later"),
        (name = "models", description = "What is served"),
        (name = "operations", description = "For those who run the service")
    )
)]
struct Document;

/// Puts the fields of an edit, and of its output, beside the source in the bodies that hold both.
struct JoinedBodies;

impl Modify for JoinedBodies {
    fn modify(&self, contract: &mut Contract) {
        let Some(schemas) = contract.components.as_mut().map(|components| &mut components.schemas) else {
            return;
        };
        for (body, part) in [("EditRequest", "EditBody"), ("SessionRequest", "OutputBody")] {
            let Some(RefOr::T(Schema::Object(part))) = schemas.get(part).cloned() else {
                continue;
            };
            if let Some(RefOr::T(Schema::Object(body))) = schemas.get_mut(body) {
                body.properties.extend(part.properties);
                body.required.extend(part.required);
                body.additional_properties = part.additional_properties;
            }
        }
    }
}

/// The document as it is checked in.
pub fn yaml() -> String {
    // The document is a constant of this program: a test makes sure that it can be written.
    Document::openapi().to_yaml().unwrap_or_default()
}

/// The document as it is served.
pub fn json() -> serde_json::Value {
    serde_json::to_value(Document::openapi()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn bodies_with_a_source_allow_what_their_examples_say() {
        let contract = json();
        for (path, schema) in [("/v1/edits", "EditRequest"), ("/v1/sessions", "SessionRequest")] {
            let schema = &contract["components"]["schemas"][schema];
            assert_eq!(schema["additionalProperties"], false, "{schema}");
            assert!(schema["required"].as_array().is_some_and(|required| required.contains(&"source".into())));
            let body = &contract["paths"][path]["post"]["requestBody"]["content"]["application/json"];
            for field in body["example"].as_object().into_iter().flat_map(|example| example.keys()) {
                assert!(schema["properties"].get(field).is_some(), "{path}: {field} is not in {schema}");
            }
        }
    }
}
