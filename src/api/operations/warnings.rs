//! Warnings: what a request may not have meant. They stand in its answer and change nothing of what is done.

use crate::api::operations::bodies::WarningBody;
use crate::api::operations::edit_params::EditSpec;
use crate::p2p::Vocabulary;
use crate::recordings::Source;

/// Words that the model does not know, in prompts by their fields' paths. A model without a vocabulary warns of nothing.
pub fn unknown_words(vocabulary: &Vocabulary, prompts: &[(&str, &str)]) -> Vec<WarningBody> {
    let words = prompts.iter().flat_map(|&(param, prompt)| {
        let words = vocabulary.unknown_words(prompt).into_iter();
        words.map(move |word| (param, word))
    });
    let warning = |(param, word): (&str, String)| WarningBody {
        code: "unknown_word",
        param: param.to_owned(),
        detail: format!("the model does not know the word \"{word}\"; what it makes of it is chance"),
        word: Some(word),
    };
    words.map(warning).collect()
}

/// Of a source whose fields stand under `prefix` (empty at the top of the body).
pub fn of_source(vocabulary: &Vocabulary, source: &Source, prefix: &str) -> Vec<WarningBody> {
    let [prompt, negative] = ["prompt", "negative_prompt"]
        .map(|field| if prefix.is_empty() { field.to_owned() } else { format!("{prefix}.{field}") });
    unknown_words(vocabulary, &[(&prompt, &source.prompt), (&negative, &source.negative_prompt)])
}

/// Of an edit's own prompt, where it has one.
pub fn of_edit(vocabulary: &Vocabulary, spec: &EditSpec) -> Vec<WarningBody> {
    spec.prompt.as_deref().map_or_else(Vec::new, |prompt| unknown_words(vocabulary, &[("prompt", prompt)]))
}
