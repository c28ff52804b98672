//! What a client accepts: the whole answer as JSON, the bare image, or events on the way to the answer.

use axum::http::{HeaderMap, header};

use crate::api::problem::{Code, Problem};
use crate::media::OutputFormat;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON with the images as base64.
    Json,
    /// The image itself, in this format or in that of the request; the rest stands in headers.
    Image(Option<OutputFormat>),
    /// Server-sent events.
    Events,
}

/// What is served as JSON or as an image.
const ANSWERS: &str = "application/json, image/png, image/jpeg and image/webp";

/// The form that the `Accept` header prefers where there are no events; JSON without one.
///
/// # Errors
/// `not_acceptable`.
pub fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    form_or(headers, Form::Json)
}

/// The form that the `Accept` header prefers; `otherwise` without one, and where any is as good as another.
///
/// # Errors
/// `not_acceptable`.
pub fn form_or(headers: &HeaderMap, otherwise: Form) -> Result<Form, Problem> {
    preferred(headers, ANSWERS, otherwise, answer)
}

/// The format of an image that the `Accept` header prefers where there are images alone; `None` where any will do.
///
/// # Errors
/// `not_acceptable`.
pub fn image(headers: &HeaderMap) -> Result<Option<OutputFormat>, Problem> {
    let served = "image/png, image/jpeg and image/webp";
    let image = |range: &str| answer(range).filter(|form| matches!(form, Form::Image(_)));
    Ok(match preferred(headers, served, Form::Image(None), image)? {
        Form::Image(format) => format,
        Form::Json | Form::Events => None,
    })
}

/// The form that the `Accept` header prefers where there are events too; JSON without one.
///
/// # Errors
/// `not_acceptable`.
pub fn form_or_events(headers: &HeaderMap) -> Result<Form, Problem> {
    let served = format!("text/event-stream, {ANSWERS}");
    let of = |range: &str| if range == "text/event-stream" { Some(Form::Events) } else { answer(range) };
    preferred(headers, &served, Form::Json, of)
}

fn preferred(
    headers: &HeaderMap,
    names: &str,
    otherwise: Form,
    served: impl Fn(&str) -> Option<Form>,
) -> Result<Form, Problem> {
    let values: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accepted = values.join(",");
    let mut ranges: Vec<(f32, &str)> = accepted.split(',').filter_map(range).collect();
    if ranges.is_empty() {
        return Ok(otherwise);
    }
    // Stable: of two that are liked as much, the first one named counts.
    ranges.sort_by(|a, b| b.0.total_cmp(&a.0));
    let liked = ranges.iter().filter(|(quality, _)| *quality > 0.0);
    liked
        .map(|(_, range)| range.to_ascii_lowercase())
        .find_map(|range| if range == "*/*" { Some(otherwise) } else { served(&range) })
        .ok_or_else(|| Problem::new(Code::NotAcceptable, format!("{accepted} is accepted; {names} are served")))
}

/// A media range and how much it is liked, 1 without a `q`.
fn range(text: &str) -> Option<(f32, &str)> {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|quality| quality.parse().ok());
    Some((quality.unwrap_or(1.0), range))
}

/// The form of a media range in lower case.
fn answer(range: &str) -> Option<Form> {
    match range {
        "application/*" | "application/json" => Some(Form::Json),
        "image/*" => Some(Form::Image(None)),
        other => OutputFormat::ALL
            .into_iter()
            .find(|format| format.content_type() == other)
            .map(|format| Form::Image(Some(format))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn of(accept: &'static str) -> Result<Form, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        form(&headers).map_err(|problem| problem.code())
    }

    #[test]
    fn json_unless_an_image_is_liked_better() {
        assert_eq!(form(&HeaderMap::new()), Ok(Form::Json));
        assert_eq!(of("*/*"), Ok(Form::Json));
        assert_eq!(of("image/png"), Ok(Form::Image(Some(OutputFormat::Png))));
        assert_eq!(of("image/webp, application/json;q=0.5"), Ok(Form::Image(Some(OutputFormat::Webp))));
        assert_eq!(of("image/jpeg;q=0.4, application/json"), Ok(Form::Json));
        assert_eq!(of("image/*"), Ok(Form::Image(None)));
        assert_eq!(of("text/html"), Err(Code::NotAcceptable));
        assert_eq!(of("image/png;q=0"), Err(Code::NotAcceptable));
    }

    #[test]
    fn where_any_form_will_do_the_call_decides() {
        let of = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            form_or(&headers, Form::Image(None)).unwrap()
        };
        assert_eq!(form_or(&HeaderMap::new(), Form::Image(None)), Ok(Form::Image(None)));
        assert_eq!(of("*/*"), Form::Image(None));
        assert_eq!(of("text/html, application/json, */*;q=0.8"), Form::Json);
        assert_eq!(of("text/html, image/webp, */*;q=0.8"), Form::Image(Some(OutputFormat::Webp)));
    }

    #[test]
    fn where_there_are_images_alone_other_types_are_passed_over() {
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
        assert_eq!(form_or_events(&headers), Ok(Form::Events));
        assert_eq!(form(&headers), Ok(Form::Json));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/*"));
        assert_eq!(form_or_events(&headers).map_err(|problem| problem.code()), Err(Code::NotAcceptable));
    }
}
