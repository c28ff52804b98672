//! The path of an edit's field in a request body: `equalizer[0].word`.
//!
//! Contract: the method names fields by [`Field`]; this is the one place where a field gets its name in the API.

use crate::p2p::{BlendPart, CrossWindow, EqualizerPart, Field, WordRef};

/// The path of a field.
pub(crate) fn path(field: &Field) -> String {
    match field {
        Field::SourcePrompt => "source.prompt".to_owned(),
        Field::Prompt => "prompt".to_owned(),
        Field::EditType => "edit_type".to_owned(),
        Field::CrossReplaceSteps(window) => match window {
            CrossWindow::Only => "cross_replace_steps".to_owned(),
            CrossWindow::Default => "cross_replace_steps.default_".to_owned(),
            CrossWindow::Word(WordRef::Text(text)) => format!("cross_replace_steps.{text}"),
            CrossWindow::Word(WordRef::Index(index)) => format!("cross_replace_steps.{index}"),
        },
        Field::SelfReplaceSteps => "self_replace_steps".to_owned(),
        Field::Equalizer { at, part: EqualizerPart::Word } => format!("equalizer[{at}].word"),
        Field::Equalizer { at, part: EqualizerPart::Strength } => format!("equalizer[{at}].strength"),
        Field::LocalBlend(part) => match part {
            BlendPart::Whole => "local_blend".to_owned(),
            BlendPart::SourceWord(at) => format!("local_blend.source_words[{at}]"),
            BlendPart::TargetWord(at) => format!("local_blend.target_words[{at}]"),
            BlendPart::ExcludedWord(at) => format!("local_blend.exclude_words[{at}]"),
            BlendPart::Threshold => "local_blend.threshold".to_owned(),
            BlendPart::Start => "local_blend.start".to_owned(),
        },
        Field::HeatMapWord => "word".to_owned(),
    }
}
