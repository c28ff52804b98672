//! What the tests of this module share: a toy tokenizer and short ways to write things.
//!
//! The tokenizer cuts words into pieces of four letters (what is left after two pieces is the third) and makes every
//! punctuation mark a token of its own; ids do not depend on case. It knows nothing of any model.

use super::{Prompt, WordRef};

pub const MAX_TOKENS: usize = 77;

pub fn prompt(text: &str) -> Prompt {
    let (mut ids, mut spans) = (vec![1], Vec::new());
    spans.push(0..0);
    for span in pieces(text) {
        ids.push(id(&text[span.clone()]));
        spans.push(span);
    }
    ids.push(2);
    spans.push(0..0);
    Prompt::new(text, ids, spans, MAX_TOKENS)
}

pub fn text(word: &str) -> WordRef {
    WordRef::Text(word.to_owned())
}

/// Byte ranges of the tokens of `text`, BOS and EOS aside.
pub fn pieces(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut spans: Vec<std::ops::Range<usize>> = Vec::new();
    let (mut letters, mut run) = (0, 0);
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if c.is_alphanumeric() {
            match spans.last_mut() {
                Some(last) if run > 0 && (letters < 4 || run == 3) => {
                    last.end = end;
                    letters += 1;
                }
                _ => {
                    spans.push(at..end);
                    letters = 1;
                    run += 1;
                }
            }
        } else {
            run = 0;
            if !c.is_whitespace() {
                spans.push(at..end);
            }
        }
    }
    spans
}

/// A hash of the piece (FNV-1a), clear of the ids of BOS and EOS.
fn id(piece: &str) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for byte in piece.to_lowercase().bytes() {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash | 4
}
