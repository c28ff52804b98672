//! CLIP's tokenizer: byte-pair encoding over lower-cased words, framed by a start and an end marker.
//!
//! Built from `vocab.json` and `merges.txt` by writing down the pipeline that transformers' `CLIPTokenizer` has
//! and handing it to the `tokenizers` crate; a folder with only `tokenizer.json` is read as it is.

use std::ops::Range;

use serde_json::{Value, json};
use tokenizers::Tokenizer as Pipeline;

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::files::ModelFiles;

/// CLIP's split into words, numbers and punctuation (`simple_tokenizer.py` of the original).
const WORD_PATTERN: &str =
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// A text's tokens, start and end marker included, not padded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids.
    pub ids: Vec<u32>,
    /// The bytes of the text that each token covers; empty for the two markers.
    pub spans: Vec<Range<usize>>,
}

/// The tokenizer of one model.
#[derive(Debug)]
pub struct Tokenizer {
    pipeline: Pipeline,
    start: u32,
    end: u32,
    padding: u32,
    max_tokens: usize,
}

impl Tokenizer {
    /// Loads the tokenizer of `model`, whose text encoder has `max_tokens` positions.
    pub fn load(model: &ModelFiles, max_tokens: usize) -> Result<Self, ModelError> {
        let invalid = |error: tokenizers::Error| ModelError::Tokenizer(error.to_string());
        let config: Value = model.json_if_present("tokenizer/tokenizer_config.json")?.unwrap_or_default();
        let specials: Value = model.json_if_present("tokenizer/special_tokens_map.json")?.unwrap_or_default();
        // The older file wins where both name a token, as in transformers: Stable Diffusion 2 pads with "!" by it.
        let special = |key: &str, default: &str| -> Special {
            let given = [&specials[key], &config[key]].into_iter().find_map(Special::read);
            given.unwrap_or_else(|| Special { content: default.to_owned(), normalized: false })
        };
        let start = special("bos_token", "<|startoftext|>");
        let end = special("eos_token", "<|endoftext|>");
        let padding = special("pad_token", &end.content);
        let unknown = special("unk_token", &end.content);
        let mut pipeline = match model.read("tokenizer/vocab.json")? {
            Some(vocab) => {
                let merges = model.require("tokenizer/merges.txt")?;
                let definition = clip_pipeline(&vocab, &merges, &unknown, &[&start, &end, &unknown, &padding])?;
                Pipeline::from_bytes(definition).map_err(invalid)?
            }
            None => Pipeline::from_bytes(model.require("tokenizer/tokenizer.json")?).map_err(invalid)?,
        };
        pipeline.with_padding(None);
        pipeline.with_truncation(None).map_err(invalid)?;
        let id = |token: &str| {
            pipeline
                .token_to_id(token)
                .ok_or_else(|| ModelError::Tokenizer(format!("the vocabulary has no token `{token}`")))
        };
        let (start, end, padding) = (id(&start.content)?, id(&end.content)?, id(&padding.content)?);
        Ok(Self { pipeline, start, end, padding, max_tokens })
    }

    /// Maximum number of tokens of a prompt, including its start and end markers.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.pipeline.get_vocab_size(true)
    }

    /// The text's tokens, however many.
    pub fn encode(&self, text: &str) -> Result<Tokens, ModelError> {
        let encoding = self.pipeline.encode(text, false).map_err(|error| ModelError::Tokenizer(error.to_string()))?;
        let marker = |at: usize| std::iter::once(at..at);
        let inner = encoding.get_offsets().iter().map(|&(begin, end)| begin..end);
        Ok(Tokens {
            ids: std::iter::once(self.start)
                .chain(encoding.get_ids().iter().copied())
                .chain(std::iter::once(self.end))
                .collect(),
            spans: marker(0).chain(inner).chain(marker(text.len())).collect(),
        })
    }

    /// The text's tokens, or an error where it has more than the text encoder takes: nothing is ever cut.
    pub fn encode_prompt(&self, text: &str) -> Result<Tokens, ModelError> {
        let tokens = self.encode(text)?;
        if tokens.ids.len() > self.max_tokens {
            return Err(ModelError::PromptTooLong { tokens: tokens.ids.len(), limit: self.max_tokens });
        }
        Ok(tokens)
    }

    /// Ids filled up with the padding token to the length that the text encoder takes.
    pub fn pad(&self, ids: &[u32]) -> Vec<u32> {
        let mut padded = ids.to_vec();
        padded.resize(self.max_tokens, self.padding);
        padded
    }

    /// The entry of a token in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.pipeline.id_to_token(id)
    }
}

/// A token with a meaning of its own, found in a text before anything else.
struct Special {
    content: String,
    /// Whether it is looked for in the lower-cased text.
    normalized: bool,
}

impl Special {
    /// A token is given by its text, or by an object that says more.
    fn read(value: &Value) -> Option<Self> {
        let content = value.as_str().or_else(|| value["content"].as_str())?.to_owned();
        Some(Self { content, normalized: value["normalized"].as_bool().unwrap_or(false) })
    }
}

/// The definition of CLIP's pipeline in the format of `tokenizer.json`.
fn clip_pipeline(vocab: &[u8], merges: &[u8], unknown: &Special, specials: &[&Special]) -> Result<Vec<u8>, ModelError> {
    let vocab: Value =
        serde_json::from_slice(vocab).map_err(|error| ModelError::config("tokenizer/vocab.json", error.to_string()))?;
    let merges =
        std::str::from_utf8(merges).map_err(|error| ModelError::config("tokenizer/merges.txt", error.to_string()))?;
    let merges: Vec<[&str; 2]> = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(|line| line.split_once(' ').map(|(a, b)| [a, b.trim_end()]))
        .collect::<Option<_>>()
        .ok_or_else(|| ModelError::config("tokenizer/merges.txt", "a line is not a pair of tokens"))?;
    let mut added: Vec<Value> = Vec::new();
    for Special { content, normalized } in specials {
        if vocab[content].is_null() {
            return Err(ModelError::Tokenizer(format!("the vocabulary has no token `{content}`")));
        }
        if !added.iter().any(|token| token["content"] == **content) {
            added.push(json!({"id": vocab[content], "content": content, "special": true, "single_word": false,
                              "lstrip": false, "rstrip": false, "normalized": normalized}));
        }
    }
    let definition = json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORD_PATTERN}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges, "unk_token": unknown.content,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": false},
    });
    serde_json::to_vec(&definition).map_err(|error| ModelError::Tokenizer(error.to_string()))
}
