//! The query of a heat map: a word, and a step.

use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};

use crate::api::fields::types::integer_of_text;
use crate::api::fields::{FieldType, Group, Node, Object, Shape, fields, shape};
use crate::api::problem::{Code, Problem};

fields! {
    /// The parameters of `GET /v1/sessions/{id}/attention`.
    struct AttentionQuery as "AttentionQuery", enum AttentionField, Default {
        /// A word of the source's prompt, a phrase, or a 0-based word index. If absent: all words, as JSON.
        Word = word: Option<String> => {"minLength": 1, "example": "cat"};
        /// A step, counted from 0. If absent: the sum over all steps.
        Step = step: Option<Step> => {"example": 0};
    }
}

/// A step in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(pub usize);

impl AttentionQuery {
    /// Reads the parameters of a query. The router has refused a query with others.
    ///
    /// # Errors
    /// The problem of the first parameter that cannot be read.
    pub(crate) fn of_query(query: &Map<String, Value>) -> Result<Self, Problem> {
        Self::take(&Object::body(query))
    }

    /// The step, if one was asked for, of a source of `steps` steps.
    ///
    /// # Errors
    /// `invalid_value` if the source has no such step.
    pub(crate) fn step_of(&self, steps: usize) -> Result<Option<usize>, Problem> {
        match self.step {
            Some(Step(step)) if step >= steps => {
                let detail = format!("expected a step from 0 to {}, got {step}", steps.saturating_sub(1));
                Err(Problem::new(Code::InvalidValue, detail).at("step"))
            }
            step => Ok(step.map(|Step(step)| step)),
        }
    }
}

impl FieldType for Step {
    fn read(node: Node<'_>) -> Result<Self, Problem> {
        let text = String::read(node)?;
        let step = integer_of_text(&text).and_then(|step| usize::try_from(step).ok()).map(Self);
        step.ok_or_else(|| node.problem(Code::InvalidValue, format!("expected a step, counted from 0, got {text:?}")))
    }

    fn schema() -> Value {
        json!({"type": "integer", "minimum": 0})
    }
}

impl IntoParams for AttentionQuery {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = |property: &shape::Property| {
            let mut schema = property.schema.clone();
            let description = schema["description"].take();
            let example = schema["example"].take();
            if let Some(keywords) = schema.as_object_mut() {
                keywords.retain(|_, value| !value.is_null());
            }
            ParameterBuilder::new()
                .name(property.name)
                .parameter_in(ParameterIn::Query)
                .required(if property.is_required { Required::True } else { Required::False })
                .description(description.as_str())
                .example(Some(example))
                .schema(Some(shape::document(schema)))
                .build()
        };
        Shape::of::<Self>().properties().iter().map(parameter).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_from_0() {
        let step = |step: &str| {
            let query = Map::from_iter([("step".to_owned(), step.into())]);
            AttentionQuery::of_query(&query).and_then(|query| query.step_of(5))
        };
        assert_eq!(step("0"), Ok(Some(0)));
        assert_eq!(step("4"), Ok(Some(4)));
        assert_eq!(step("4.0"), Ok(Some(4)));
        assert_eq!(AttentionQuery::default().step_of(5), Ok(None));
        for wrong in ["5", "-1", "+1", "1.5", "", "last"] {
            let problem = step(wrong).unwrap_err();
            assert_eq!((problem.code(), problem.param()), (Code::InvalidValue, Some("step")));
            assert!(problem.detail().contains("from 0"), "{}", problem.detail());
        }
    }
}
