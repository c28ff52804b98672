//! CLIP's tokenizer: byte-pair encoding over lower-cased words, framed by a start and an end marker.
//!
//! Contract: token ids are those of transformers' `CLIPTokenizer`, whose pipeline is written down here and handed to the
//! `tokenizers` crate. The vocabulary is that of `tokenizer.json`, or of `vocab.json` and `merges.txt`;
//! [`added_tokens`](super::added_tokens) has what further files add to it. A token of several vectors (textual inversion)
//! becomes all of its tokens, as in diffusers.

use std::ops::Range;

use serde_json::{Value, json};
use tokenizers::Tokenizer as Pipeline;

use crate::diffusion::error::ModelError;
use crate::diffusion::text::added_tokens::TokenSettings;
use crate::diffusion::text::vectors::Vectors;
use crate::diffusion::weights::files::ModelFiles;
use crate::diffusion::weights::{json, options};

const CONFIG: &str = "tokenizer/tokenizer_config.json";
const FULL: &str = "tokenizer/tokenizer.json";
const VOCAB: &str = "tokenizer/vocab.json";
const MERGES: &str = "tokenizer/merges.txt";

/// What would change the tokens of a prompt and is not supported.
const UNSUPPORTED_UNLESS: &options::Required =
    &[("padding_side", "\"right\""), ("add_bos_token", "true"), ("add_eos_token", "true")];

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
    vectors: Vectors,
}

impl Tokenizer {
    /// Loads the tokenizer of `model`, whose text encoder has `max_tokens` positions.
    pub fn load(model: &ModelFiles, max_tokens: usize) -> Result<Self, ModelError> {
        let invalid = |error: tokenizers::Error| ModelError::Tokenizer(error.to_string());
        let full = model.value(FULL)?;
        let settings = TokenSettings::load(model, &full)?;
        options::check(CONFIG, &settings.config, UNSUPPORTED_UNLESS)?;
        let length = settings.config.get("model_max_length").and_then(Value::as_u64);
        if let Some(length) = length.filter(|length| *length < max_tokens as u64) {
            let detail =
                format!("unsupported `model_max_length` {length}; expected {max_tokens}, as the text encoder has");
            return Err(ModelError::config(CONFIG, detail));
        }
        let (vocab, merges) = vocabulary(model, full)?;
        let definition = clip_pipeline(&vocab, &merges, &settings.unknown)?;
        let mut pipeline = Pipeline::from_bytes(definition).map_err(invalid)?;
        pipeline.add_tokens(settings.added.iter().cloned()).map_err(invalid)?;
        let splits_special = settings.config.get("split_special_tokens").and_then(Value::as_bool);
        pipeline.set_encode_special_tokens(splits_special.unwrap_or(false));
        let id = |token: &str| {
            pipeline
                .token_to_id(token)
                .ok_or_else(|| ModelError::Tokenizer(format!("the vocabulary has no token `{token}`")))
        };
        let (start, end, padding) = (id(&settings.start)?, id(&settings.end)?, id(&settings.padding)?);
        let added: Vec<&str> = settings.added.iter().map(|token| token.content.as_str()).collect();
        let vectors = Vectors::among(&added);
        Ok(Self { pipeline, start, end, padding, max_tokens, vectors })
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
        let encode =
            |text: &str| self.pipeline.encode(text, false).map_err(|error| ModelError::Tokenizer(error.to_string()));
        let mut encoding = encode(text)?;
        let written_out = self.vectors.write_out(text, encoding.get_tokens());
        if let Some(written_out) = &written_out {
            encoding = encode(&written_out.text)?;
        }
        let marker = |at: usize| std::iter::once(at..at);
        let inner = encoding.get_offsets().iter().map(|&(begin, end)| match &written_out {
            Some(written_out) => written_out.in_prompt(begin..end),
            None => begin..end,
        });
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

/// The ids of the vocabulary, and the merges as `tokenizer.json` has them.
fn vocabulary(model: &ModelFiles, mut full: Value) -> Result<(Value, Value), ModelError> {
    let object = |file: &str, vocab: Value| match vocab {
        Value::Object(_) => Ok(vocab),
        _ => Err(ModelError::config(file, "expected a vocabulary of tokens and their ids")),
    };
    if full.is_object() {
        let kind = &full["model"]["type"];
        if !kind.is_null() && kind != "BPE" {
            return Err(ModelError::config(
                FULL,
                format!("unsupported `model.type` {kind}; expected \"BPE\", as CLIP has"),
            ));
        }
        return Ok((object(FULL, full["model"]["vocab"].take())?, full["model"]["merges"].take()));
    }
    let vocab = object(VOCAB, json::value(VOCAB, &model.require(VOCAB)?)?)?;
    let merges = model.require(MERGES)?;
    let merges = std::str::from_utf8(&merges).map_err(|error| ModelError::config(MERGES, error.to_string()))?;
    let merges: Vec<[&str; 2]> = merges
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.is_empty())
        .map(|line| line.split_once(' ').map(|(a, b)| [a, b.trim_end()]))
        .collect::<Option<_>>()
        .ok_or_else(|| ModelError::config(MERGES, "a line is not a pair of tokens"))?;
    Ok((vocab, json!(merges)))
}

/// The definition of CLIP's pipeline in the format of `tokenizer.json`.
fn clip_pipeline(vocab: &Value, merges: &Value, unknown: &str) -> Result<Vec<u8>, ModelError> {
    let definition = json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"},
            {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
            {"type": "Lowercase"},
        ]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": WORD_PATTERN}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "model": {"type": "BPE", "vocab": vocab, "merges": merges, "unk_token": unknown,
                  "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": false},
    });
    serde_json::to_vec(&definition).map_err(|error| ModelError::Tokenizer(error.to_string()))
}
