//! Content negotiation by the `Accept` header (RFC 9110): JSON, the bare image, or events.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::api::problem::{Code, Problem};
use crate::api::transport::headers::invalid;
use crate::media::OutputFormat;

/// The representation of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Representation {
    /// JSON with the images as base64.
    Json,
    /// The image itself, in this format or in that of the request; the rest of the answer is in headers.
    Image(Option<OutputFormat>),
    /// Server-sent events.
    Events,
}

/// Media types of an answer.
const ANSWERS: &str = "application/json, image/png, image/jpeg, image/webp";

/// The representation that the `Accept` header prefers; `otherwise` without one, and where any is as good as another.
///
/// # Errors
/// `not_acceptable`; `invalid_header` where the header is not ASCII.
pub fn representation_or(headers: &HeaderMap, otherwise: Representation) -> Result<Representation, Problem> {
    preferred(headers, ANSWERS, otherwise, answer)
}

/// The preferred format of an answer that is an image; `None` if any format is accepted.
///
/// # Errors
/// `not_acceptable`; `invalid_header` where the header is not ASCII.
pub fn image(headers: &HeaderMap) -> Result<Option<OutputFormat>, Problem> {
    let served = "image/png, image/jpeg, image/webp";
    let image = |range: &str| answer(range).filter(|found| matches!(found, Representation::Image(_)));
    Ok(match preferred(headers, served, Representation::Image(None), image)? {
        Representation::Image(format) => format,
        Representation::Json | Representation::Events => None,
    })
}

/// The preferred representation of an answer that can be a stream of events; JSON without an `Accept` header.
///
/// # Errors
/// `not_acceptable`; `invalid_header` where the header is not ASCII.
pub fn representation_or_events(headers: &HeaderMap) -> Result<Representation, Problem> {
    let served = format!("text/event-stream, {ANSWERS}");
    let of = |range: &str| if range == "text/event-stream" { Some(Representation::Events) } else { answer(range) };
    preferred(headers, &served, Representation::Json, of)
}

/// The representation of an answer that the body asks for as events. JSON stands for events too, because clients of the
/// OpenAI API accept it when they ask for a stream.
///
/// # Errors
/// `not_acceptable`.
pub fn events(headers: &HeaderMap) -> Result<Representation, Problem> {
    let is_taken = |range: &str| matches!(range, "text/event-stream" | "application/json" | "application/*");
    let of = |range: &str| is_taken(range).then_some(Representation::Events);
    preferred(headers, "text/event-stream, application/json", Representation::Events, of)
}

fn preferred(
    headers: &HeaderMap,
    names: &str,
    otherwise: Representation,
    served: impl Fn(&str) -> Option<Representation>,
) -> Result<Representation, Problem> {
    let text = |value: &HeaderValue| match value.to_str() {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(invalid("accept", "expected visible ASCII")),
    };
    let accepted = headers.get_all(header::ACCEPT).iter().map(text).collect::<Result<Vec<_>, _>>()?.join(",");
    let mut ranges: Vec<(f32, &str)> = accepted.split(',').filter_map(range).collect();
    if ranges.is_empty() {
        return Ok(otherwise);
    }
    // The sort is stable: of equal weights the first counts.
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let accepted_ranges = ranges.iter().filter(|(quality, _)| *quality > 0.0);
    accepted_ranges
        .map(|(_, range)| range.to_ascii_lowercase())
        .find_map(|range| if range == "*/*" { Some(otherwise) } else { served(&range) })
        .ok_or_else(|| {
            Problem::new(Code::NotAcceptable, format!("expected one of {names} in the accept header, got {accepted}"))
        })
}

/// A media range and its weight, 1 without a `q`.
fn range(text: &str) -> Option<(f32, &str)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|quality| quality.parse().ok());
    Some((quality.unwrap_or(1.0), range))
}

/// The representation of a media range in lower case.
fn answer(range: &str) -> Option<Representation> {
    match range {
        "application/*" | "application/json" => Some(Representation::Json),
        "image/*" => Some(Representation::Image(None)),
        other => OutputFormat::ALL
            .into_iter()
            .find(|format| format.content_type() == other)
            .map(|format| Representation::Image(Some(format))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &'static str) -> Result<Representation, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        representation_or(&headers, Representation::Json).map_err(|problem| problem.code())
    }

    #[test]
    fn json_unless_an_image_has_a_higher_weight() {
        assert_eq!(representation_or(&HeaderMap::new(), Representation::Json), Ok(Representation::Json));
        assert_eq!(of("*/*"), Ok(Representation::Json));
        assert_eq!(of("image/png"), Ok(Representation::Image(Some(OutputFormat::Png))));
        assert_eq!(of("image/webp, application/json;q=0.5"), Ok(Representation::Image(Some(OutputFormat::Webp))));
        assert_eq!(of("image/jpeg;q=0.4, application/json"), Ok(Representation::Json));
        assert_eq!(of("image/*"), Ok(Representation::Image(None)));
        assert_eq!(of("text/html"), Err(Code::NotAcceptable));
        assert_eq!(of("image/png;q=0"), Err(Code::NotAcceptable));
    }

    #[test]
    fn the_header_may_be_repeated_and_is_ascii() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("text/html"));
        headers.append(header::ACCEPT, HeaderValue::from_static("image/webp"));
        let webp = Representation::Image(Some(OutputFormat::Webp));
        assert_eq!(representation_or(&headers, Representation::Json), Ok(webp));
        headers.append(header::ACCEPT, HeaderValue::from_bytes(b"image/\xff").unwrap());
        let problem = representation_or(&headers, Representation::Json).unwrap_err();
        assert_eq!((problem.code(), problem.param()), (Code::InvalidHeader, Some("accept")));
    }

    #[test]
    fn where_any_type_is_accepted_the_call_decides() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            representation_or(&headers, Representation::Image(None)).unwrap()
        };
        assert_eq!(representation_or(&HeaderMap::new(), Representation::Image(None)), Ok(Representation::Image(None)));
        assert_eq!(of("*/*"), Representation::Image(None));
        assert_eq!(of("text/html, application/json, */*;q=0.8"), Representation::Json);
        assert_eq!(of("text/html, image/webp, */*;q=0.8"), Representation::Image(Some(OutputFormat::Webp)));
    }

    #[test]
    fn where_there_are_images_alone_other_types_are_ignored() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            image(&headers).map_err(|problem| problem.code())
        };
        assert_eq!(image(&HeaderMap::new()), Ok(None));
        assert_eq!(of("application/json, text/plain, */*"), Ok(None));
        assert_eq!(of("application/json, image/webp;q=0.1"), Ok(Some(OutputFormat::Webp)));
        assert_eq!(of("application/json"), Err(Code::NotAcceptable));
    }

    #[test]
    fn events_are_served_only_where_there_are_any() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("Text/Event-Stream, application/json;q=0.5"));
        assert_eq!(representation_or_events(&headers), Ok(Representation::Events));
        assert_eq!(representation_or(&headers, Representation::Json), Ok(Representation::Json));
        headers.insert(header::ACCEPT, HeaderValue::from_static("image/png, text/event-stream;q=0.1"));
        assert_eq!(events(&headers), Ok(Representation::Events));
        headers.insert(header::ACCEPT, HeaderValue::from_static("image/png"));
        assert_eq!(events(&headers).map_err(|problem| problem.code()), Err(Code::NotAcceptable));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/*"));
        assert_eq!(representation_or_events(&headers).map_err(|problem| problem.code()), Err(Code::NotAcceptable));
    }
}
