//! What the fields that may be one thing or another are documented as.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::request::LocalBlendBody;

/// A part of the steps.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum WindowSchema {
    /// The first part of the steps, 0 to 1.
    Fraction(f64),
    /// From one fraction of the steps to another.
    Window(Vec<f64>),
}

/// Parts of the steps, by the words of the target prompt if need be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CrossWindowsSchema {
    /// One window for every word.
    All(WindowSchema),
    /// Windows of words; `default_` is that of all others.
    PerWord(BTreeMap<String, WindowSchema>),
}

/// A word of a prompt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum WordSchema {
    /// A word or a phrase, punctuation and case aside.
    Text(String),
    /// A 0-based word index.
    Index(u64),
}

/// Words of a prompt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum WordsSchema {
    /// Several.
    Many(Vec<WordSchema>),
    /// One.
    One(WordSchema),
}

/// Where an edit may change the image.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum LocalBlendSchema {
    /// `true`: where the words that differ are; `false`: everywhere.
    DifferingWords(bool),
    /// Where these words are.
    Words(LocalBlendBody),
}
