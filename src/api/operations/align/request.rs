//! The request of an alignment: two prompts and an edit type.

use serde_json::{Map, Value};

use crate::api::fields::{Components, FieldName, Group, Object, Shape, fields, to_schema};
use crate::api::operations::values::prompt::PromptText;
use crate::api::problem::Problem;
use crate::p2p::EditType;

fields! {
    /// Two prompts.
    struct AlignRequest as "AlignFields", enum AlignField {
        /// The source's prompt.
        SourcePrompt = source_prompt: PromptText;
        /// The target prompt. Alias: `target_prompt`.
        Prompt = prompt | "target_prompt": PromptText;
        /// As in an edit.
        EditType = edit_type: EditType = EditType::Auto;
    }
}

/// `POST /v1/align` as it is documented: the target prompt by either of its names.
#[derive(Debug)]
pub(crate) struct AlignBody;

impl AlignRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// The problem of the first field that cannot be read.
    pub(crate) fn of_body(body: &Map<String, Value>) -> Result<Self, Problem> {
        let body = Object::body(body);
        body.expect_only(Self::NAMES)?;
        Self::take(&body)
    }
}

impl AlignBody {
    fn components(into: &mut Components) {
        const ALIAS: &str = "target_prompt";
        let prompts = || Shape::of::<AlignRequest>().without(ALIAS);
        let older = prompts().renamed(AlignField::Prompt.name(), ALIAS);
        let ways = [
            ("AlignPrompts", "Two prompts.", prompts()),
            ("AlignTargetPrompt", "The same, with the target prompt as `target_prompt`.", older),
        ];
        into.add_ways("AlignRequest", "Two prompts, in one of two forms.", &ways);
        AlignRequest::group_components(into);
    }
}

to_schema!(AlignBody as "AlignRequest", AlignBody::components);
