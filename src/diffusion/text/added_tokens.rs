//! The tokens that a tokenizer's files add to its vocabulary.
//!
//! Contract: tokens, their flags and their order are those of transformers 5 (`PreTrainedTokenizerBase._from_pretrained`
//! and `TokenizersBackend.__init__`), from files of transformers 4 and 5. They may be in `added_tokens_decoder` of
//! `tokenizer_config.json`, which then counts alone, or in `special_tokens_map.json`, `added_tokens.json` and
//! `tokenizer.json`. A token that is not in the vocabulary gets the next free id, in the order of the ids in the files.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::diffusion::error::ModelError;
use crate::diffusion::weights::files::ModelFiles;

const CONFIG: &str = "tokenizer/tokenizer_config.json";
const SPECIALS: &str = "tokenizer/special_tokens_map.json";
const ADDED: &str = "tokenizer/added_tokens.json";

/// `SPECIAL_TOKENS_ATTRIBUTES` of transformers.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Further special tokens, and their key in older files.
const EXTRA: &str = "extra_special_tokens";
const OLDER: &str = "additional_special_tokens";

/// What the files say of tokens beside the vocabulary.
pub(super) struct TokenSettings {
    /// To add to the vocabulary, in this order.
    pub added: Vec<AddedToken>,
    /// Starts a prompt.
    pub start: String,
    /// Ends a prompt.
    pub end: String,
    /// Fills a prompt up.
    pub padding: String,
    /// Stands for what has no token.
    pub unknown: String,
    /// The keys of `tokenizer_config.json`.
    pub config: Map<String, Value>,
}

/// A token as a file has it.
#[derive(Debug, Clone, PartialEq)]
struct Token {
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    /// Whether it is looked for in the lower-cased text; by default if it is not special.
    normalized: Option<bool>,
    special: bool,
    /// Whether the file has only its text.
    is_text: bool,
}

impl TokenSettings {
    /// Reads them of `model`; `full` is its `tokenizer.json`, or null.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a file is not what it should be, [`ModelError::Tokenizer`] where a token is not one.
    pub(super) fn load(model: &ModelFiles, full: &Value) -> Result<Self, ModelError> {
        let mut settings = object(model.value(CONFIG)?);
        let mut by_id = BTreeMap::new();
        if settings.get(EXTRA).is_none_or(|extra| extra.as_array().is_some_and(Vec::is_empty) || extra.is_null())
            && let Some(more) = settings.remove(OLDER)
        {
            settings.insert(EXTRA.to_owned(), more);
        }
        if let Some(decoder) = settings.get("added_tokens_decoder").and_then(Value::as_object) {
            for (id, token) in decoder {
                let id = id.parse().map_err(|_| invalid(CONFIG, &format!("the id {id:?}")))?;
                by_id.insert(id, Token::read(CONFIG, token)?);
            }
        } else {
            for (key, value) in object(model.value(SPECIALS)?) {
                merge(&mut settings, key, value);
            }
            from_added_tokens(object(model.value(ADDED)?), &settings, &mut by_id)?;
            for token in full["added_tokens"].as_array().into_iter().flatten() {
                let id = token["id"].as_i64().ok_or_else(|| invalid("tokenizer/tokenizer.json", "an id"))?;
                by_id.insert(id, Token::read("tokenizer/tokenizer.json", token)?);
            }
        }
        let named = named(&settings, &by_id)?;
        let text = |key: &str, default: &str| {
            named
                .iter()
                .find(|(name, _)| name == key)
                .map_or_else(|| default.to_owned(), |(_, token)| token.content.clone())
        };
        let (start, end) = (text("bos_token", START), text("eos_token", END));
        let (padding, unknown) = (text("pad_token", END), text("unk_token", END));
        let named = named.into_iter().map(|(_, token)| token).collect();
        let added = in_order(by_id.into_values().collect(), named, extra(&settings)?);
        Ok(Self { added, start, end, padding, unknown, config: settings })
    }
}

/// The defaults of `CLIPTokenizer`.
const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Takes over a key of `special_tokens_map.json`: its tokens are special, and its further tokens come on top.
fn merge(settings: &mut Map<String, Value>, key: String, mut value: Value) {
    match (&mut value, settings.get_mut(&key)) {
        (Value::Array(more), Some(Value::Array(tokens))) if key == EXTRA => {
            more.retain(|token| !tokens.contains(token));
            tokens.append(more);
            return;
        }
        (Value::Object(token), _) if key != EXTRA => {
            token.insert("special".to_owned(), true.into());
        }
        _ => {}
    }
    settings.insert(key, value);
}

/// The tokens of `added_tokens.json`, which has only texts and ids.
fn from_added_tokens(
    added: Map<String, Value>,
    settings: &Map<String, Value>,
    by_id: &mut BTreeMap<i64, Token>,
) -> Result<(), ModelError> {
    let content = |value: &Value| Some(value.as_str().or_else(|| value["content"].as_str())?.to_owned());
    let named = NAMED.iter().filter_map(|key| settings.get(*key));
    let extra = settings.get(EXTRA).and_then(Value::as_array).into_iter().flatten();
    let special: Vec<String> = named.chain(extra).filter_map(content).collect();
    for (content, id) in added {
        let id = id.as_i64().ok_or_else(|| invalid(ADDED, &format!("the id of {content:?}")))?;
        let special = special.contains(&content);
        by_id.insert(id, Token { normalized: Some(!special), special, is_text: false, ..Token::of_text(&content) });
    }
    Ok(())
}

/// The tokens with a meaning, such as `pad_token`, by their keys.
fn named(settings: &Map<String, Value>, by_id: &BTreeMap<i64, Token>) -> Result<Vec<(String, Token)>, ModelError> {
    let mut named = Vec::new();
    for (key, default) in [("bos_token", START), ("eos_token", END), ("unk_token", END), ("pad_token", END)] {
        if settings.get(key).is_none_or(Value::is_null) {
            named.push((key.to_owned(), Token::of_text(default)));
        }
    }
    let of_model = settings.iter().filter(|(key, value)| {
        key.ends_with("_token") && !NAMED.contains(&key.as_str()) && (value.is_string() || value["content"].is_string())
    });
    let known = NAMED.iter().filter_map(|key| settings.get_key_value(*key));
    for (key, value) in known.chain(of_model).filter(|(_, value)| !value.is_null()) {
        let token = Token::read(CONFIG, value)?;
        // The last token with an id counts, and what it says counts more than what is said here.
        let better =
            by_id.values().rev().find(|other| other.content == token.content).filter(|_| NAMED.contains(&key.as_str()));
        named.push((key.clone(), better.cloned().unwrap_or(token)));
    }
    named.sort_by_key(|(key, _)| NAMED.iter().position(|name| name == key).unwrap_or(NAMED.len()));
    Ok(named)
}

/// Further special tokens.
fn extra(settings: &Map<String, Value>) -> Result<Vec<Token>, ModelError> {
    let extra = settings.get(EXTRA).or_else(|| settings.get(OLDER));
    match extra {
        Some(Value::Array(tokens)) => tokens.iter().map(|token| Token::read(CONFIG, token)).collect(),
        Some(Value::Object(tokens)) => tokens.values().map(|token| Token::read(CONFIG, token)).collect(),
        _ => Ok(Vec::new()),
    }
}

/// Tokens with an id come first, then those with a meaning, then further ones. Later flags of a token count.
fn in_order(with_ids: Vec<Token>, named: Vec<Token>, extra: Vec<Token>) -> Vec<AddedToken> {
    let mut tokens = with_ids;
    let contents: Vec<String> = tokens.iter().map(|token| token.content.clone()).collect();
    let names: Vec<String> = named.iter().map(|token| token.content.clone()).collect();
    for token in named.into_iter().chain(extra) {
        if !contents.contains(&token.content) && !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    let finished = |token: Token| {
        let special = token.special || token.is_text || names.contains(&token.content);
        AddedToken {
            single_word: token.single_word,
            lstrip: token.lstrip,
            rstrip: token.rstrip,
            normalized: token.normalized.unwrap_or(!special),
            ..AddedToken::from(token.content, special)
        }
    };
    tokens.into_iter().map(finished).collect()
}

impl Token {
    fn of_text(content: &str) -> Self {
        Self {
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: None,
            special: false,
            is_text: true,
        }
    }

    /// A token is given by its text, or by an object that says more.
    fn read(file: &str, value: &Value) -> Result<Self, ModelError> {
        if let Some(text) = value.as_str() {
            return Ok(Self::of_text(text));
        }
        let content = value["content"].as_str().ok_or_else(|| invalid(file, &format!("the token {value}")))?;
        let flag = |key: &str| value[key].as_bool();
        Ok(Self {
            single_word: flag("single_word").unwrap_or(false),
            lstrip: flag("lstrip").unwrap_or(false),
            rstrip: flag("rstrip").unwrap_or(false),
            normalized: flag("normalized"),
            special: flag("special").unwrap_or(false),
            is_text: false,
            ..Self::of_text(content)
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(keys) => keys,
        _ => Map::new(),
    }
}

fn invalid(file: &str, what: &str) -> ModelError {
    ModelError::config(file, format!("{what} cannot be read; expected tokens as transformers saves them"))
}
