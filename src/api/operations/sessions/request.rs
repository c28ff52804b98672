//! The request of a session: a source to be run and recorded.

use serde_json::{Map, Value};

use crate::api::fields::{Components, FieldType, Group, Object, Shape, to_schema};
use crate::api::operations::edits::request::{flat_source, nested_source};
use crate::api::operations::output::{FileFields, ResponseFields};
use crate::api::operations::source::{SOURCE, SOURCE_PROMPT, SourceFields, SourcePlace, named_in};
use crate::api::operations::waiting::WaitFields;
use crate::api::problem::Problem;

/// The fields of the call besides those of its source.
const OF_SESSION: &[&[&str]] = &[ResponseFields::NAMES, FileFields::NAMES, WaitFields::NAMES];

/// `POST /v1/sessions`.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRequest {
    /// The source.
    pub source: SourceFields,
    /// Where its fields are.
    pub(crate) place: SourcePlace,
    /// The file of its image.
    pub files: FileFields,
}

impl SessionRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// The problem of the first field that cannot be read.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, Problem> {
        let body = Object::body(body);
        ResponseFields::take(&body)?;
        let files = FileFields::take(&body)?;
        if body.has(SOURCE) || body.has(SOURCE_PROMPT) {
            return Ok(Self { source: named_in(&body, OF_SESSION)?, place: SourcePlace::Nested, files });
        }
        body.expect_only(&[&[&[SOURCE, SOURCE_PROMPT], SourceFields::NAMES], OF_SESSION].concat().concat())?;
        Ok(Self { source: SourceFields::take(&body)?, place: SourcePlace::Top, files })
    }

    fn components(into: &mut Components) {
        let output = || Shape::of::<ResponseFields>().and::<FileFields>().and::<WaitFields>();
        let source = Shape::of::<SourceFields>();
        let ways = [
            ("SessionOfSource", "A source, and the form of its image in the response.", nested_source().join(output())),
            ("SessionOfFields", "The same, with the source's fields beside the others.", source.join(output())),
            ("SessionOfPrompt", "The same, with the prompt as `source_prompt`.", flat_source().join(output())),
        ];
        into.add_ways("SessionRequest", "A source to run and record, in one of three forms.", &ways);
        SourceFields::components(into);
        ResponseFields::group_components(into);
        FileFields::group_components(into);
    }
}

to_schema!(SessionRequest as "SessionRequest", SessionRequest::components);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::problem::Code;

    #[test]
    fn a_source_is_in_an_object_or_at_the_top() {
        let read = |body: Value| SessionRequest::read(body.as_object().unwrap());
        let top = read(json!({"prompt": "a cat", "seed": 3, "output_format": "webp"})).unwrap();
        let nested = read(json!({"source": {"prompt": "a cat", "seed": 3}, "output_format": "webp"})).unwrap();
        let flat = read(json!({"source_prompt": "a cat", "seed": 3, "output_format": "webp"})).unwrap();
        assert_eq!((&top.source, top.files.clone()), (&nested.source, nested.files.clone()));
        assert_eq!((top.place, nested.place), (SourcePlace::Top, SourcePlace::Nested));
        assert_eq!(flat, nested);
        for (body, code, param) in [
            (json!({}), Code::MissingField, "prompt"),
            (json!({"prompt": "a cat", "sede": 3}), Code::UnknownField, "sede"),
            (json!({"prompt": "a cat", "seed": -3}), Code::InvalidValue, "seed"),
            (json!({"source": {"prompt": "a cat"}, "edit_type": "auto"}), Code::UnknownField, "edit_type"),
            (json!({"source": {"prompt": "a cat"}, "prompt": "a dog"}), Code::UnknownField, "prompt"),
            (json!({"source": {"prompt": "a cat", "seed": -3}}), Code::InvalidValue, "source.seed"),
        ] {
            let problem = read(body.clone()).unwrap_err();
            assert_eq!((problem.code(), problem.param()), (code, Some(param)), "{body}");
        }
    }
}
