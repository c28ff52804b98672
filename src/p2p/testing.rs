//! What the tests of this module share: a toy tokenizer, short ways to write things, and prompts at random.
//!
//! The tokenizer cuts words into pieces of four letters (what is left after two pieces is the third) and makes every
//! punctuation mark a token of its own; ids do not depend on case. It does not depend on a model.

use proptest::collection::{SizeRange, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::p2p::align::pairing::Pairing;
use crate::p2p::{Preset, Presets, Prompt, Vocabulary, Window, WordRef};

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

/// Some words in groups.
pub fn vocabulary() -> Vocabulary {
    let groups = [
        ("objects", "cat dog car bus"),
        ("colours", "red blue"),
        ("places", "grass snow beach"),
        ("times", "night sunset"),
        ("accessories", "hat crown"),
        ("styles", "sketch pixel-art"),
        ("other", "a an the of in on at and with"),
    ];
    let entries = |words: &str| words.split(' ').map(|word| word.replace('-', " ")).collect();
    let groups = groups.map(|(group, words)| (group.to_owned(), entries(words)));
    Vocabulary::new(&groups.into()).expect("a vocabulary")
}

/// Presets of that vocabulary: name, and the end of the windows of cross- and self-attention.
pub fn presets(presets: &[(&str, f64, f64)]) -> Presets {
    let window = |hi| Window::from_fraction(hi).expect("a window");
    let presets = presets.iter().map(|&(name, cross, own)| {
        (name.to_owned(), Preset { cross_replace_steps: window(cross), self_replace_steps: window(own) })
    });
    Presets::new(presets.collect(), vocabulary()).expect("kinds")
}

/// Byte ranges of the tokens of `text`, BOS and EOS aside.
fn pieces(text: &str) -> Vec<std::ops::Range<usize>> {
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

/// Words of one to three tokens, some of them phrase openers, some with punctuation, which is a token more.
pub fn word() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a",
        "cat",
        "dog",
        "bird",
        "tiger",
        "squirrel",
        "chinchilla",
        "in",
        "with",
        "on",
        "snow",
        "snow,",
        "Cat",
        "(dog)",
        "bench,",
        "bird.",
        "-",
        "watercolor",
    ])
}

/// Words in any order.
pub fn words(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<&'static str>> {
    vec(word(), count)
}

/// A prompt of some words.
pub fn any_prompt() -> impl Strategy<Value = Prompt> {
    words(1..10).prop_map(|words| prompt(&words.join(" ")))
}

/// Two prompts of as many words.
pub fn equally_many_words() -> impl Strategy<Value = (Prompt, Prompt)> {
    (1_usize..10)
        .prop_flat_map(|count| (words(count), words(count)))
        .prop_map(|(x, y)| (prompt(&x.join(" ")), prompt(&y.join(" "))))
}

/// A prompt, and one with some of its words swapped for others, each at its place.
pub fn swapped() -> impl Strategy<Value = (Prompt, Prompt)> {
    let other = prop_oneof![3 => Just(None), 1 => word().prop_map(Some)];
    vec((word(), other), 1..10).prop_filter_map("a place keeps fewer words than another alignment", |parts| {
        let source: Vec<_> = parts.iter().map(|part| part.0).collect();
        let target: Vec<_> = parts.into_iter().map(|(word, other)| other.unwrap_or(word)).collect();
        let (source, target) = (prompt(&source.join(" ")), prompt(&target.join(" ")));
        Pairing::new(&source, &target).is_by_position.then_some((source, target))
    })
}

/// A prompt, and one with words put in anywhere.
pub fn pure_addition() -> impl Strategy<Value = (Prompt, Prompt)> {
    (words(1..8), vec((any::<Index>(), word()), 1..5)).prop_map(|(source, added)| {
        let mut target = source.clone();
        for (at, word) in added {
            target.insert(at.index(target.len() + 1), word);
        }
        (prompt(&source.join(" ")), prompt(&target.join(" ")))
    })
}

/// A target that shares words with its source, so that runs between kept words come about.
pub fn related() -> impl Strategy<Value = (Prompt, Prompt)> {
    let edit = prop_oneof![3 => Just(None), 2 => words(0..4).prop_map(Some)];
    vec((word(), edit), 1..8).prop_map(|parts| {
        let source: Vec<_> = parts.iter().map(|part| part.0).collect();
        let target: Vec<_> = parts.into_iter().flat_map(|(word, edit)| edit.unwrap_or_else(|| vec![word])).collect();
        (prompt(&source.join(" ")), prompt(&target.join(" ")))
    })
}

/// Bounds in order, without regard to whether they select a step.
pub fn window() -> impl Strategy<Value = Window> {
    (0.0..=1.0_f64, 0.0..=1.0_f64).prop_map(|(a, b)| Window { lo: a.min(b), hi: a.max(b) })
}
