//! The flag of a field, for messages.
//!
//! Contract: fields of sources, edits and files are named by their enums; here is the one place where they become flags
//! of `reprompt edit`. A word of a list, or of windows by words, is named by the message itself.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::api::fields::FieldName;
use crate::api::fields::choice::Choice;
use crate::api::fields::types::integer_of_text;
use crate::api::operations::edits::request::EditField;
use crate::api::operations::output::FileField;
use crate::api::operations::source::SourceField;
use crate::p2p::{BlendPart, Field};

/// The flag of a source's field.
pub(crate) fn of_source(field: SourceField) -> String {
    match field {
        SourceField::Steps => "--steps".to_owned(),
        field => dashes(field),
    }
}

/// The flag of an edit's field.
pub(crate) fn of_edit(field: EditField) -> String {
    match field {
        EditField::Prompt => "--to".to_owned(),
        field => dashes(field),
    }
}

/// The flag of a field of files.
pub(crate) fn of_files(field: FileField) -> String {
    dashes(field)
}

/// The flag of a field that the method found wrong.
pub(crate) fn of_method(field: &Field) -> String {
    match field {
        Field::SourcePrompt => of_source(SourceField::Prompt),
        Field::Prompt => of_edit(EditField::Prompt),
        Field::EditType => of_edit(EditField::EditType),
        Field::CrossReplaceSteps(_) => of_edit(EditField::CrossReplaceSteps),
        Field::SelfReplaceSteps => of_edit(EditField::SelfReplaceSteps),
        Field::Equalizer { .. } => of_edit(EditField::Equalizer),
        Field::LocalBlend(BlendPart::Whole) => of_edit(EditField::LocalBlend),
        Field::LocalBlend(BlendPart::SourceWord(_)) => "--blend-source".to_owned(),
        Field::LocalBlend(BlendPart::TargetWord(_)) => "--blend-target".to_owned(),
        Field::LocalBlend(BlendPart::ExcludedWord(_)) => "--blend-exclude".to_owned(),
        Field::LocalBlend(BlendPart::Threshold) => "--blend-threshold".to_owned(),
        Field::LocalBlend(BlendPart::Start) => "--blend-start".to_owned(),
        Field::HeatMapWord => "--heatmap".to_owned(),
    }
}

/// The flag that is called as its field.
fn dashes(field: impl FieldName) -> String {
    format!("--{}", field.name().replace('_', "-"))
}

/// The integer that a flag takes, in any form that JSON has for it.
pub(crate) fn integer<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let integer = integer_of_text(text).and_then(|number| T::try_from(number).ok());
    integer.ok_or_else(|| format!("expected a non-negative integer, got {text}"))
}

/// The names that a flag takes.
pub(crate) fn names<T: Choice>() -> PossibleValuesParser {
    PossibleValuesParser::new(T::all().iter().map(|choice| PossibleValue::new(choice.name()).aliases(choice.aliases())))
}

/// A flag's value by its name.
pub(crate) fn named<T: Choice + Send + Sync>() -> impl TypedValueParser<Value = T> {
    names::<T>().try_map(|name| T::named(&name).ok_or_else(|| crate::api::fields::choice::unsupported::<T>(&name)))
}
