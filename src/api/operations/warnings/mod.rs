//! Warnings about a request that can be carried out and may be a mistake. They are part of the answer and change
//! nothing else.

mod characters;
mod syntax;

use crate::api::operations::bodies::WarningBody;
use crate::api::operations::source::{SourceField, SourcePlace};
use crate::api::operations::warnings::characters::invisible;
use crate::api::operations::warnings::syntax::{ForeignSyntax, foreign_syntax};
use crate::api::problem::field_path;
use crate::p2p::{EditParams, EditPlan, EqualizerPart, Field, Vocabulary, WordRef};
use crate::recordings::Source;

/// A strength above this is a mistake more often than not: the published examples stay below 5, and from about 20 on
/// the image falls apart.
const EXTREME_STRENGTH: f32 = 20.0;

/// A warning about a field; each interface names the field in its own way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Warning<F> {
    /// The field.
    pub field: F,
    subject: Subject,
}

/// What a warning is about.
#[derive(Debug, Clone, PartialEq)]
enum Subject {
    /// A word that the model does not know, without punctuation.
    UnknownWord(String),
    /// An instruction of another tool's prompt language.
    Syntax(ForeignSyntax),
    /// Characters that are not seen.
    InvisibleCharacters(Vec<char>),
    /// Words that take the map of another word, with that word; `None` for a marker or padding.
    ShiftedWords(Vec<(String, Option<String>)>),
    /// A strength beyond all use.
    ExtremeStrength {
        /// The word as the request names it.
        word: WordRef,
        /// The strength.
        strength: f32,
    },
}

impl<F> Warning<F> {
    /// A stable name for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self.subject {
            Subject::UnknownWord(_) => "unknown_word",
            Subject::Syntax(_) => "prompt_syntax",
            Subject::InvisibleCharacters(_) => "invisible_characters",
            Subject::ShiftedWords(_) => "shifted_words",
            Subject::ExtremeStrength { .. } => "extreme_strength",
        }
    }

    /// The message.
    pub(crate) fn detail(&self) -> String {
        match &self.subject {
            Subject::UnknownWord(word) => {
                format!("the word \"{word}\" is not in the model's vocabulary; its effect is unpredictable")
            }
            Subject::Syntax(ForeignSyntax { found, advice }) => format!("\"{found}\" is read as plain text; {advice}"),
            Subject::InvisibleCharacters(characters) => {
                let names: Vec<_> = characters.iter().map(|&c| format!("U+{:04X}", u32::from(c))).collect();
                format!("the prompt has invisible characters, which the model reads as text: {}", names.join(", "))
            }
            Subject::ShiftedWords(words) => {
                let words = words.iter().map(|(word, from)| match from {
                    Some(from) => format!("\"{word}\" takes the map of \"{from}\""),
                    None => format!("\"{word}\" takes the map of no word"),
                });
                let words: Vec<String> = words.collect();
                format!(
                    "a swapped word has another number of tokens, and the published replace then shifts the words after \
                     it: {}; with `auto` each word keeps its own map",
                    words.join(", ")
                )
            }
            Subject::ExtremeStrength { word, strength } => format!(
                "the strength {strength} of {word} is far beyond what the method is made for; strengths between -2 and 5 \
                 are usual"
            ),
        }
    }

    /// The warning in an answer; `path` names the field.
    pub(crate) fn body(self, path: impl FnOnce(F) -> String) -> WarningBody {
        let (code, detail) = (self.code(), self.detail());
        let word = match self.subject {
            Subject::UnknownWord(word) => Some(word),
            Subject::Syntax(syntax) => Some(syntax.found),
            Subject::InvisibleCharacters(_) | Subject::ShiftedWords(_) | Subject::ExtremeStrength { .. } => None,
        };
        WarningBody { code, param: path(self.field), word, detail }
    }
}

/// The warnings about prompts. A model without a vocabulary knows all words.
pub(crate) fn of_prompts<F: Clone>(vocabulary: &Vocabulary, prompts: &[(F, &str)]) -> Vec<Warning<F>> {
    let warnings = prompts.iter().flat_map(|(field, prompt)| {
        let syntax = foreign_syntax(prompt).into_iter().map(Subject::Syntax);
        let invisible = invisible(prompt);
        let invisible = (!invisible.is_empty()).then_some(Subject::InvisibleCharacters(invisible));
        let unknown = vocabulary.unknown_words(prompt).into_iter().map(Subject::UnknownWord);
        syntax.chain(invisible).chain(unknown).map(|subject| Warning { field: field.clone(), subject })
    });
    warnings.collect()
}

/// The warnings about a source.
pub(crate) fn of_source(vocabulary: &Vocabulary, source: &Source) -> Vec<Warning<SourceField>> {
    let prompts = [(SourceField::Prompt, &*source.prompt), (SourceField::NegativePrompt, &source.negative_prompt)];
    of_prompts(vocabulary, &prompts)
}

/// The warnings about an edit; `prompt` is its target prompt if the request has one.
pub(crate) fn of_edit(
    vocabulary: &Vocabulary,
    prompt: Option<&str>,
    params: &EditParams,
    plan: &EditPlan,
) -> Vec<Warning<Field>> {
    let prompt: Vec<_> = prompt.map(|prompt| (Field::Prompt, prompt)).into_iter().collect();
    let mut warnings = of_prompts(vocabulary, &prompt);
    warnings.extend(of_shift(plan, Field::EditType));
    let extreme = params.equalizer.iter().enumerate().filter(|(_, entry)| entry.strength.abs() > EXTREME_STRENGTH);
    warnings.extend(extreme.map(|(at, entry)| Warning {
        field: Field::Equalizer { at, part: EqualizerPart::Strength },
        subject: Subject::ExtremeStrength { word: entry.word.clone(), strength: entry.strength },
    }));
    warnings
}

/// The warning about words that take the map of another word, if there are any.
pub(crate) fn of_shift<F>(plan: &EditPlan, field: F) -> Option<Warning<F>> {
    let words = plan.shifted_words().map(|entry| (entry.target.clone().unwrap_or_default(), entry.source.clone()));
    let words: Vec<_> = words.collect();
    (!words.is_empty()).then_some(Warning { field, subject: Subject::ShiftedWords(words) })
}

/// The warnings about a source in an answer to a request that has the source's fields at `place`.
pub(crate) fn source_bodies(vocabulary: &Vocabulary, source: &Source, place: SourcePlace) -> Vec<WarningBody> {
    let warnings = of_source(vocabulary, source).into_iter();
    warnings.map(|warning| warning.body(|field| place.path(field))).collect()
}

/// The warnings about an edit in an answer.
pub(crate) fn edit_bodies(warnings: Vec<Warning<Field>>) -> impl Iterator<Item = WarningBody> {
    warnings.into_iter().map(|warning| warning.body(|field| field_path::path(&field)))
}
