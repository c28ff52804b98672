//! Warnings about a request that can be carried out and may be a mistake. They are part of the answer and change
//! nothing else.

use crate::api::operations::bodies::WarningBody;
use crate::api::operations::source::{SourceField, SourcePlace};
use crate::p2p::Vocabulary;
use crate::recordings::Source;

/// A word of a prompt that the model does not know, with the field of the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownWord<F> {
    /// The prompt's field.
    pub field: F,
    /// The word, without punctuation.
    pub word: String,
}

impl<F> UnknownWord<F> {
    /// The message.
    pub(crate) fn detail(&self) -> String {
        format!("the word \"{}\" is not in the model's vocabulary; its effect is unpredictable", self.word)
    }

    /// The warning in an answer; `path` names the field.
    pub(crate) fn body(self, path: impl FnOnce(F) -> String) -> WarningBody {
        let detail = self.detail();
        WarningBody { code: "unknown_word", param: path(self.field), word: Some(self.word), detail }
    }
}

/// The unknown words of prompts. A model without a vocabulary knows all words.
pub(crate) fn unknown_words<F: Copy>(vocabulary: &Vocabulary, prompts: &[(F, &str)]) -> Vec<UnknownWord<F>> {
    let words = prompts.iter().flat_map(|&(field, prompt)| {
        let words = vocabulary.unknown_words(prompt).into_iter();
        words.map(move |word| UnknownWord { field, word })
    });
    words.collect()
}

/// The unknown words of a source.
pub(crate) fn of_source(vocabulary: &Vocabulary, source: &Source) -> Vec<UnknownWord<SourceField>> {
    let prompts = [(SourceField::Prompt, &*source.prompt), (SourceField::NegativePrompt, &source.negative_prompt)];
    unknown_words(vocabulary, &prompts)
}

/// The same for the answer to a request that has the source's fields at `place`.
pub(crate) fn source_bodies(vocabulary: &Vocabulary, source: &Source, place: SourcePlace) -> Vec<WarningBody> {
    let words = of_source(vocabulary, source).into_iter();
    words.map(|word| word.body(|field| place.path(field))).collect()
}

/// The warnings about a target prompt, for an answer.
pub(crate) fn target_bodies(vocabulary: &Vocabulary, prompt: &str) -> Vec<WarningBody> {
    let words = unknown_words(vocabulary, &[((), prompt)]).into_iter();
    words.map(|word| word.body(|()| "prompt".to_owned())).collect()
}
