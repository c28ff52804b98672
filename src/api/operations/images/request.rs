//! The request of images, in the shape of the OpenAI Images API.
//!
//! Fields of that API that this service does not support are accepted if the image would be the same, accepted with a
//! warning if they ask for more or less of something, and refused if the image would be a different one.

use serde_json::{Map, Value};

use crate::api::fields::{Components, FieldName, Group, Invalid, Object, Shape, fields, to_schema};
use crate::api::operations::bodies::WarningBody;
use crate::api::operations::output::FileFields;
use crate::api::operations::source::{SourceField, SourceFields};
use crate::api::operations::values::names::{Background, ImagesResponseFormat, Moderation, Quality, Style};
use crate::api::operations::waiting::{WaitField, WaitFields};
use crate::api::problem::Problem;
use crate::api::transport::content_negotiation::Representation;

/// Images of one request at most.
pub(crate) const MAX_IMAGES: u64 = 10;

fields! {
    /// Fields of the OpenAI Images API that are not those of a source.
    struct ImagesFields as "ImagesOptions", enum ImagesField, Default {
        /// The name of the served model (see `/v1/models`); may be absent.
        Model = model: Option<String> => {"example": "reprompt-demo"};
        /// Number of images. Their seeds are consecutive.
        Count = n: u64 = 1 => {"minimum": 1, "maximum": MAX_IMAGES};
        /// `b64_json`, or `url`: a data URL, because images are not hosted.
        ResponseFormat = response_format: ImagesResponseFormat = ImagesResponseFormat::Base64;
        /// Accepted without effect, with a warning unless it is the default. Use `num_inference_steps`.
        Quality = quality: Option<Quality>;
        /// Accepted without effect, with a warning. Describe the style in the prompt.
        Style = style: Option<Style>;
        /// Images are opaque.
        Background = background: Option<Background>;
        /// Accepted without effect: the service has no moderation.
        Moderation = moderation: Option<Moderation>;
        /// Accepted without effect: the end user.
        User = user: Option<String>;
    }
}

impl ImagesFields {
    /// The number of images; `most` is how many jobs can wait at once.
    ///
    /// # Errors
    /// If so many images cannot be made, or not in this representation.
    pub(crate) fn count(&self, representation: Representation, most: u64) -> Result<u64, Invalid<ImagesField>> {
        let invalid = |detail: String| Err(Invalid::value(ImagesField::Count, detail));
        match self.n {
            1 => Ok(1),
            n if n == 0 || n > MAX_IMAGES => invalid(format!("expected 1 to {MAX_IMAGES} images, got {n}")),
            n if matches!(representation, Representation::Image(_)) => {
                invalid(format!("expected n = 1 for a bare image, got {n}; accept application/json for several"))
            }
            n if matches!(representation, Representation::Events) => {
                invalid(format!("expected n = 1 for a stream, got {n}"))
            }
            n if n > most => {
                invalid(format!("expected at most {most} images, the service's limit for one request, got {n}"))
            }
            n => Ok(n),
        }
    }

    /// Warnings about fields that were accepted and have no effect.
    pub(crate) fn without_effect(&self) -> Vec<WarningBody> {
        let warning = |field: ImagesField, detail: String| WarningBody {
            code: "no_effect",
            param: field.name().to_owned(),
            word: None,
            detail,
        };
        let quality = self.quality.filter(|quality| !matches!(quality, Quality::Auto | Quality::Standard));
        let quality = quality.map(|quality| {
            let detail = format!("the quality {} has no effect; use num_inference_steps", quality.as_str());
            warning(ImagesField::Quality, detail)
        });
        let style = self.style.map(|style| {
            let detail = format!("the style {} has no effect; describe it in the prompt", style.as_str());
            warning(ImagesField::Style, detail)
        });
        quality.into_iter().chain(style).collect()
    }
}

/// `POST /v1/images/generations`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImagesRequest {
    /// The source of the first image.
    pub source: SourceFields,
    /// The other fields.
    pub images: ImagesFields,
    /// The files of the images.
    pub files: FileFields,
}

impl ImagesRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// The problem of the first field that cannot be read.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, Problem> {
        const SIZE: &str = "size";
        let mut body = Object::body(body);
        body.expect_only(&Self::names())?;
        if body.get(SIZE).is_some_and(|size| size.value == "auto") {
            body = body.without(SIZE);
        }
        Ok(Self {
            source: SourceFields::take(&body)?,
            images: ImagesFields::take(&body)?,
            files: FileFields::take(&body)?,
        })
    }

    /// All fields of the call. Of a source's fields, width and height are replaced by the size.
    fn names() -> Vec<&'static str> {
        let sides = [SourceField::Width.name(), SourceField::Height.name()];
        let names = [SourceFields::NAMES, ImagesFields::NAMES, FileFields::NAMES, WaitFields::NAMES].concat();
        names.into_iter().filter(|name| !sides.contains(name)).collect()
    }

    fn components(into: &mut Components) {
        const EVENTS: &str = "Whether the response is a stream of events: `image_generation.partial_image` for each of \
                              `partial_images`, and finally `image_generation.completed` or `error`. Requires `n` to be 1.";
        into.add("ImagesRequest", || {
            Shape::of::<SourceFields>()
                .without(SourceField::Width.name())
                .without(SourceField::Height.name())
                .set(SourceField::Size.name(), "pattern", r"^(auto|[0-9]+[xX*][0-9]+)$")
                .and::<ImagesFields>()
                .and::<FileFields>()
                .and::<WaitFields>()
                .set(WaitField::Stream.name(), "description", EVENTS)
                .json("What images are made from, and the form of the response.")
        });
        SourceFields::group_components(into);
        ImagesFields::group_components(into);
        FileFields::group_components(into);
    }
}

to_schema!(ImagesRequest as "ImagesRequest", ImagesRequest::components);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::problem::Code;

    fn images(body: &Value) -> ImagesFields {
        ImagesFields::take(&Object::body(body.as_object().unwrap())).unwrap()
    }

    #[test]
    fn one_to_ten_images_and_one_where_only_one_can_be_given() {
        let of = |body: Value, form| images(&body).count(form, 10).map_err(|error| error.field);
        let refused = Err(ImagesField::Count);
        assert_eq!(of(json!({}), Representation::Json), Ok(1));
        assert_eq!(of(json!({"n": 10}), Representation::Json), Ok(10));
        assert_eq!(of(json!({"n": 0}), Representation::Json), refused);
        assert_eq!(of(json!({"n": 11}), Representation::Json), refused);
        assert_eq!(of(json!({"n": 2}), Representation::Events), refused);
        assert!(images(&json!({"n": 3})).count(Representation::Json, 2).is_err());
        assert_eq!(of(json!({"n": 2}), Representation::Image(None)), refused);
    }

    #[test]
    fn fields_that_ask_for_something_and_change_nothing_are_warned_of() {
        let params =
            |body: Value| images(&body).without_effect().into_iter().map(|warning| warning.param).collect::<Vec<_>>();
        let none = json!({"quality": "auto", "background": "opaque", "moderation": "low", "user": "me"});
        assert!(params(none).is_empty());
        assert_eq!(params(json!({"quality": "hd", "style": "vivid"})), ["quality", "style"]);
    }

    #[test]
    fn fields_of_a_source_are_beside_the_others_and_the_size_is_one_field() {
        let read = |body: Value| ImagesRequest::read(body.as_object().unwrap());
        let request = read(json!({"prompt": "a cat", "size": "auto", "n": 2, "steps": 4, "user": "me"})).unwrap();
        assert_eq!((request.source.size, request.source.num_inference_steps), (None, Some(4)));
        assert_eq!(request.images.n, 2);
        for (body, code, param) in [
            (json!({"n": 1}), Code::MissingField, "prompt"),
            (json!({"prompt": "a", "width": 64}), Code::UnknownField, "width"),
            (json!({"prompt": "a", "quality": "best"}), Code::InvalidValue, "quality"),
            (json!({"prompt": "a", "style": "baroque"}), Code::InvalidValue, "style"),
            (json!({"prompt": "a", "background": "transparent"}), Code::InvalidValue, "background"),
            (json!({"prompt": "a", "moderation": "none"}), Code::InvalidValue, "moderation"),
            (json!({"prompt": "a", "response_format": "file"}), Code::InvalidValue, "response_format"),
        ] {
            let problem = read(body.clone()).unwrap_err();
            assert_eq!((problem.code(), problem.param()), (code, Some(param)), "{body}");
        }
    }
}
