//! The contract as an OpenAPI document, made from the table of routes, the handlers and the types of bodies.
//!
//! - `answers`: the problems and headers of every response; `problems`: an example of each problem
//! - `examples`: an example of every answer
//!
//! What utoipa makes of the types is completed as JSON and read back as its document, which orders the fields.

mod answers;
mod examples;
mod problems;
pub(crate) mod security;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use utoipa::OpenApi;

use crate::api::openapi::security::Keys;
use crate::api::operations::{align, attention, edits, health, images, jobs, metrics, models, sessions};
use crate::api::routes::table::Route;

#[derive(Debug, OpenApi)]
#[openapi(
    modifiers(&Keys),
    components(schemas(
        crate::api::delivery::jobs::response::QueueBody,
        crate::api::delivery::sse::events::StartedEvent,
        crate::api::delivery::sse::events::StepEvent,
        crate::api::delivery::sse::openai::PartialImageEvent,
        crate::api::problem::OpenAiError,
        crate::api::problem::ProblemBody
    )),
    info(
        title = "reprompt",
        description = "Image editing by editing the prompt: Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) on \
                       Stable Diffusion. Errors are `application/problem+json` with a stable `code` and the path of \
                       the field at fault in `param`; those of `/v1/images/generations` are the OpenAI API's.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    paths(
        edits::create,
        edits::create_in_session,
        align::align,
        images::create,
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
        metrics::show,
        show
    ),
    tags(
        (name = "edits", description = "Editing by prompt"),
        (name = "images", description = "Generating as in the OpenAI Images API"),
        (name = "sessions", description = "Recorded sources"),
        (name = "jobs", description = "Asynchronous jobs"),
        (name = "models", description = "Models that are served"),
        (name = "operations", description = "Health checks, metrics and this document")
    )
)]
struct Document;

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "operations",
    responses((status = 200, description = "This document", body = Object))
)]
pub async fn show() -> Response {
    static JSON: LazyLock<String> = LazyLock::new(|| json().to_string());
    ([(header::CONTENT_TYPE, "application/json")], JSON.as_str()).into_response()
}

/// The document. It is a constant of this program: making it depends on nothing but the code.
static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> =
    LazyLock::new(|| serde_json::from_value(complete()).unwrap_or_else(|error| broken(&error)));

/// What utoipa makes of the types, completed.
fn complete() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_else(|error| broken(&error));
    answers::complete(&mut document);
    examples::complete(&mut document);
    document
}

/// Makes the document, so that a program with a broken contract fails when it starts, not at the first request for it.
///
/// # Panics
/// Where the document cannot be made, or an endpoint of the table of routes is not documented.
pub(crate) fn check() {
    LazyLock::force(&DOCUMENT);
}

/// The document as YAML, as it is checked in.
///
/// # Panics
/// As [`check`].
pub fn yaml() -> String {
    DOCUMENT.to_yaml().unwrap_or_else(|error| broken(&error))
}

/// The document as JSON, as it is served.
///
/// # Panics
/// As [`check`].
pub fn json() -> Value {
    serde_json::to_value(&*DOCUMENT).unwrap_or_else(|error| broken(&error))
}

/// Ends the process because the document cannot be made: a mistake in the code, which tests find.
#[allow(clippy::panic)]
fn broken(why: &dyn std::fmt::Display) -> ! {
    panic!("the OpenAPI document cannot be made: {why}")
}

/// The operation of a route.
fn operation<'a>(document: &'a mut Value, route: &Route) -> &'a mut Value {
    let method = route.method.as_str().to_lowercase();
    let operation = document["paths"].get_mut(route.path).and_then(|item| item.get_mut(&method));
    match operation {
        Some(operation) if operation["operationId"].as_str() == route.operation_id => operation,
        _ => broken(&format!("{} {} is not documented as {:?}", route.method, route.path, route.operation_id)),
    }
}

/// A part of the document as an object; anything else becomes an empty one.
fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(object) = value else { unreachable!("it is one now") };
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::table::Endpoint;

    /// The operations of the document.
    fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
        object(&mut document["paths"]).values_mut().flat_map(|item| object(item).values_mut())
    }

    #[test]
    fn every_operation_is_an_endpoint() {
        let mut documented: Vec<_> =
            operations(&mut json()).map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect();
        let ids = Endpoint::ALL.iter().filter_map(|endpoint| endpoint.route().operation_id);
        let mut routed: Vec<_> = ids.map(str::to_owned).collect();
        documented.sort_unstable();
        routed.sort_unstable();
        assert_eq!(documented, routed);
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        assert_eq!(json(), complete());
        assert!(yaml().starts_with("openapi: 3.1.0\n"));
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(array) => array.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = json();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        // Data of events is referred to in descriptions alone.
        let described = ["QueueBody", "StartedEvent", "StepEvent", "PartialImageEvent"];
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let reference = format!("#/components/schemas/{name}");
            assert!(
                found.contains(&reference.as_str()) || described.contains(&name.as_str()),
                "nothing refers to {name}"
            );
        }
    }

    /// The schemas with named values in a part of the document.
    fn enums<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(object) => {
                found.extend(object.contains_key("enum").then_some(value));
                object.values().for_each(|value| enums(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| enums(value, found)),
            _ => {}
        }
    }

    #[test]
    fn generated_clients_can_name_every_value_and_leave_out_every_default() {
        let document = json();
        let mut found = Vec::new();
        enums(&document["components"]["schemas"], &mut found);
        assert!(found.len() > 10);
        for schema in found {
            let values = schema["enum"].as_array().unwrap();
            let identifier =
                |value: &Value| value.to_string().replace(|c: char| !c.is_alphanumeric(), "").to_lowercase();
            let distinct: std::collections::HashSet<_> = values.iter().map(identifier).collect();
            assert_eq!(distinct.len(), values.len(), "two values differ by case or marks alone: {values:?}");
        }
        assert!(
            !document["components"]["schemas"].to_string().contains("\"default\":"),
            "a default is in its description"
        );
    }

    /// What of a value does not fit a schema, as far as examples go: types, fields, enums.
    fn misfit(document: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
        if let Some(reference) = schema["$ref"].as_str() {
            return misfit(document, document.pointer(&reference[1..]).unwrap(), value, path);
        }
        for any in ["oneOf", "anyOf"] {
            if let Some(items) = schema[any].as_array() {
                let misfits: Vec<_> = items.iter().map(|item| misfit(document, item, value, path)).collect();
                return misfits.iter().all(Option::is_some).then(|| format!("{path}: {misfits:?}"));
            }
        }
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let is_kind = |wanted: &Value| *wanted == kind || (*wanted == "number" && kind == "integer");
        let wanted = &schema["type"];
        if !(wanted.is_null() || is_kind(wanted) || wanted.as_array().is_some_and(|all| all.iter().any(is_kind))) {
            return Some(format!("{path} is of type {kind}, not {wanted}"));
        }
        if let Some(values) = schema["enum"].as_array().filter(|values| !values.contains(value)) {
            return Some(format!("{path} is {value}, not one of {values:?}"));
        }
        if let Value::Array(values) = value {
            let at = |(at, value)| misfit(document, &schema["items"], value, &format!("{path}[{at}]"));
            return values.iter().enumerate().find_map(at);
        }
        let Value::Object(fields) = value else {
            return None;
        };
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        if let Some(missing) = required.iter().find(|field| !fields.contains_key(field.as_str().unwrap())) {
            return Some(format!("{path} lacks {missing}"));
        }
        fields.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match (schema["properties"].get(name), schema.get("additionalProperties")) {
                (Some(schema), _) => misfit(document, schema, value, &path),
                (None, Some(Value::Bool(false))) => Some(format!("{path} is not known")),
                (None, Some(schema)) => misfit(document, schema, value, &path),
                (None, None) if schema["properties"].is_object() => Some(format!("{path} is not documented")),
                (None, None) => None,
            }
        })
    }

    #[test]
    fn every_call_has_examples_and_they_are_what_the_schemas_say() {
        let mut document = json();
        let whole = document.clone();
        let mut checked = 0;
        for operation in operations(&mut document) {
            let id = operation["operationId"].clone();
            let bodies = std::iter::once(("request".to_owned(), &operation["requestBody"]));
            let answers = operation["responses"].as_object().unwrap().iter();
            for (which, body) in bodies.chain(answers.map(|(status, answer)| (status.clone(), answer))) {
                for (media, content) in body["content"].as_object().into_iter().flatten() {
                    if media.starts_with("image/") {
                        continue;
                    }
                    let named = content["examples"].as_object().into_iter().flatten().map(|(_, example)| {
                        let reference = example["$ref"].as_str();
                        reference.map_or(example, |to| whole.pointer(&to[1..]).unwrap())["value"].clone()
                    });
                    let examples: Vec<Value> = named.chain(content.get("example").cloned()).collect();
                    assert!(!examples.is_empty(), "{id} {which} {media} has no example");
                    for example in examples {
                        let misfit = misfit(&whole, &content["schema"], &example, "");
                        assert_eq!(misfit, None, "{id} {which} {media}: {example}");
                        checked += 1;
                    }
                }
            }
        }
        assert!(checked > 100, "{checked}");
    }
}
