//! The examples of a model's profile: edits that show what it can do.
//!
//! Contract: an example has the prompt and the seed of its source, the target prompt as `edit`, and any other field of
//! an edit. Every example must be valid on its model; a service with an invalid one does not start.

use serde_json::{Map, Value};

use crate::api::fields::{FieldName, Group, Invalid, Object, fields};
use crate::api::operations::edits::request::{EditField, EditFields};
use crate::api::operations::source::{SourceField, SourceFields};
use crate::api::operations::values::prompt::PromptText;
use crate::api::operations::values::seed::Seed;
use crate::api::problem::Problem;
use crate::api::problem::field_path::path;
use crate::diffusion::profile::PROFILE_FILE;
use crate::diffusion::{ModelError, ModelInfo};
use crate::engine::{PrepareError, PreparedEdit, presets};
use crate::p2p::{Field, Presets};

fields! {
    /// The prompts of an example.
    struct ExamplePrompts as "ExamplePrompts", enum ExampleField {
        /// The source's prompt.
        Prompt = prompt: PromptText;
        /// The source's seed.
        Seed = seed: Option<Seed>;
        /// The target prompt.
        Edit = edit: PromptText;
    }
}

/// An example.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Example {
    /// The source.
    pub source: SourceFields,
    /// The edit, with its prompt.
    pub edit: EditFields,
}

/// What is wrong with an example.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct InvalidExample {
    /// The key at fault; empty if it is the example as a whole.
    pub key: String,
    /// What is wrong.
    pub detail: String,
}

impl Example {
    /// Reads an example of a profile.
    ///
    /// # Errors
    /// The first key that cannot be read.
    pub(crate) fn read(example: &Map<String, Value>) -> Result<Self, InvalidExample> {
        let read = |object: &Object<'_>| {
            let of_edit = EditFields::NAMES.iter().filter(|name| !["prompt", "target_prompt"].contains(name));
            let allowed: Vec<_> = ExamplePrompts::NAMES.iter().chain(of_edit).copied().collect();
            object.expect_only(&allowed)?;
            let ExamplePrompts { prompt, seed, edit } = ExamplePrompts::take(object)?;
            let fields = EditFields::take(&object.clone().without(EditField::Prompt.name()))?;
            let source = SourceFields { seed, ..SourceFields::new(prompt) };
            Ok(Self { source, edit: EditFields { prompt: Some(edit), ..fields } })
        };
        read(&Object::body(example)).map_err(|problem: Problem| InvalidExample {
            key: problem.param().unwrap_or_default().to_owned(),
            detail: problem.detail().to_owned(),
        })
    }

    /// Checks that it is valid on a model.
    ///
    /// # Errors
    /// The first key whose value the model does not support.
    pub(crate) fn check(&self, model: &ModelInfo, presets: &Presets) -> Result<(), InvalidExample> {
        let source = self.source.clone().resolve(model).map_err(|error| invalid(error, SourceField::name))?;
        let params = self.edit.params().map_err(|error| invalid(error, EditField::name))?;
        let target = self.edit.prompt.as_ref().map_or("", PromptText::as_str);
        let prepared = PreparedEdit::new(model, presets, &source, target, &params);
        prepared.map(drop).map_err(|error| {
            let field = match &error {
                PrepareError::Edit(error) => error.field(),
                PrepareError::Prompt { field, .. } => field.clone(),
            };
            let key = match field {
                Field::SourcePrompt => ExampleField::Prompt.name().to_owned(),
                Field::Prompt => ExampleField::Edit.name().to_owned(),
                field => path(&field),
            };
            InvalidExample { key, detail: error.to_string() }
        })
    }
}

fn invalid<F: FieldName>(error: Invalid<F>, name: fn(F) -> &'static str) -> InvalidExample {
    InvalidExample { key: name(error.field).to_owned(), detail: error.detail }
}

/// Checks that each example of an engine's model is valid.
///
/// # Errors
/// [`ModelError::Config`], naming the key and what is wrong with its value; also where the presets are wrong.
pub fn check_examples(model: &ModelInfo) -> Result<(), ModelError> {
    let presets = presets(&model.hints)?;
    for (at, example) in model.hints.examples.iter().enumerate() {
        let checked = Example::read(example).and_then(|example| example.check(model, &presets));
        checked.map_err(|InvalidExample { key, detail }| {
            let key = if key.is_empty() { key } else { format!(".{key}") };
            ModelError::config(PROFILE_FILE, format!("`examples[{at}]{key}`: {detail}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::p2p::EditType;

    #[test]
    fn an_example_is_a_source_and_an_edit_of_it() {
        let read = |value: Value| Example::read(value.as_object().unwrap());
        let example = read(json!({"prompt": "a cat", "seed": 7, "edit": "a dog", "edit_type": "replace"})).unwrap();
        assert_eq!((example.source.prompt.as_str(), example.source.seed), ("a cat", Some(Seed(7))));
        assert_eq!(example.edit.prompt.unwrap().as_str(), "a dog");
        assert_eq!(example.edit.edit_type, EditType::Replace);
        for (wrong, key) in [
            (json!({"prompt": "a cat"}), "edit"),
            (json!({"edit": "a dog"}), "prompt"),
            (json!({"prompt": "a cat", "edit": " "}), "edit"),
            (json!({"prompt": "a cat", "edit": "a dog", "steps": 3}), "steps"),
            (json!({"prompt": "a cat", "edit": "a dog", "target_prompt": "a dog"}), "target_prompt"),
            (json!({"prompt": "a cat", "edit": "a dog", "equalizer": [{"word": "dog"}]}), "equalizer[0].strength"),
        ] {
            assert_eq!(read(wrong.clone()).unwrap_err().key, key, "{wrong}");
        }
    }
}
