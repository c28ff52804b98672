//! Completes the responses of every operation in the document: its problems by status, each with an example, and its
//! headers.

use serde_json::{Map, Value, json};

use crate::api::guard::Access;
use crate::api::openapi::problems::{body, error};
use crate::api::openapi::{object, operation};
use crate::api::problem::{Code, Dialect};
use crate::api::routes::table::{Endpoint, Route};
use crate::api::transport::response_headers::RESPONSE_HEADERS;
use crate::api::transport::unreadable::UNREADABLE;

/// Codes of problems that a proxy in front of the service answers itself: those of deploy/nginx.conf that are not the
/// service's own. Clients are generated with them, so that they can read these problems.
const PROXY_CODES: [&str; 2] = ["bad_gateway", "gateway_timeout"];

/// Adds problems and headers to all operations, and the components that they refer to.
pub(super) fn complete(document: &mut Value) {
    for route in Endpoint::ALL.iter().map(|endpoint| endpoint.route()).filter(|route| route.operation_id.is_some()) {
        let responses = object(&mut operation(document, &route)["responses"]);
        responses.extend(problems(&route));
        for (status, response) in responses.iter_mut() {
            let has_image = response["content"].get("image/png").is_some();
            let headers = object(&mut response["headers"]);
            for name in headers_of(&route, status, has_image) {
                headers.insert(name.clone(), json!({"$ref": format!("#/components/headers/{name}")}));
            }
        }
    }
    let components = object(&mut document["components"]);
    let header = |(name, description, example): (&str, &str, &str)| {
        (name.to_owned(), json!({"description": description, "schema": {"type": "string"}, "example": example}))
    };
    components.insert("headers".to_owned(), Map::from_iter(RESPONSE_HEADERS.map(header)).into());
    let examples =
        Code::ALL.iter().map(|code| (code.as_str().to_owned(), json!({"summary": code.title(), "value": body(*code)})));
    components.insert("examples".to_owned(), Map::from_iter(examples).into());
    let unreadable = UNREADABLE.map(|(_, code, ..)| code);
    let names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).chain(unreadable).chain(PROXY_CODES).collect();
    components["schemas"]["ProblemBody"]["properties"]["code"]["enum"] = json!(names);
    components["schemas"]["OpenAiErrorBody"]["properties"]["code"]["enum"] = json!(names);
}

/// The problems of an operation, by status.
fn problems(route: &Route) -> Map<String, Value> {
    let codes = route.codes();
    let mut responses = Map::new();
    for status in codes.iter().map(|code| code.status()) {
        let of_status = || codes.iter().filter(|code| code.status() == status);
        let titles: Vec<_> = of_status().map(|code| code.title()).collect();
        let content = match route.dialect {
            Dialect::OpenAi => {
                let examples = of_status()
                    .map(|code| (code.as_str().to_owned(), json!({"summary": code.title(), "value": error(*code)})));
                json!({"application/json": {
                    "schema": {"$ref": "#/components/schemas/OpenAiError"}, "examples": Map::from_iter(examples)
                }})
            }
            Dialect::Own => {
                let examples = of_status().map(|code| {
                    (code.as_str().to_owned(), json!({"$ref": format!("#/components/examples/{}", code.as_str())}))
                });
                json!({"application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": Map::from_iter(examples)
                }})
            }
        };
        responses.insert(status.as_str().to_owned(), json!({"description": titles.join("; "), "content": content}));
    }
    responses
}

fn headers_of(route: &Route, status: &str, has_image: bool) -> Vec<String> {
    let mut headers = vec!["x-request-id".to_owned(), "traceparent".to_owned()];
    let mut add = |is_there: bool, name: &str| headers.extend(is_there.then(|| name.to_owned()));
    add(status == "401", "www-authenticate");
    let is_counted = route.access == Access::Key;
    add(is_counted, "ratelimit");
    add(is_counted, "ratelimit-policy");
    add(status == "202" || (route.makes_a_session() && status.starts_with('2')), "location");
    add(status == "202", "preference-applied");
    add(route.runs_a_job() && status.starts_with('2'), "idempotent-replayed");
    add(matches!(status, "429" | "503"), "retry-after");
    if has_image {
        headers.extend(route.image_headers.iter().map(|name| format!("x-reprompt-{name}")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi::json;

    #[test]
    fn headers_are_documented_and_refer_to_the_table() {
        let document = json();
        for route in Endpoint::ALL.iter().map(|endpoint| endpoint.route()).filter(|route| route.operation_id.is_some())
        {
            let method = route.method.as_str().to_lowercase();
            for (status, response) in document["paths"][route.path][&method]["responses"].as_object().unwrap() {
                let headers = response["headers"].as_object().unwrap();
                assert!(headers.contains_key("x-request-id"), "{status} of {route:?}");
                for name in headers.keys() {
                    let is_known = RESPONSE_HEADERS.iter().any(|(known, ..)| known == name);
                    assert!(is_known, "{name} in {status} of {route:?}");
                }
            }
        }
    }
}
