//! Agreement with the published code, by what it answered.
//!
//! Contract: `tests/fixtures/published/alignments.json` holds outputs of the functions that the tests name (the README
//! beside it says how they were made), and the same must come out here, number for number. The tokens are in the file:
//! nothing depends on the toy tokenizer of the other tests.

use serde::Deserialize;

use super::*;
use crate::p2p::align::refine::refine;
use crate::p2p::align::replace::replace;
use crate::p2p::schedule::gates::GateTable;
use crate::p2p::testing::text;

const ANSWERS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/published/alignments.json"));

#[derive(Deserialize)]
struct Answers {
    pairs: Vec<Pair>,
    gate_target: GateTarget,
    gates: Vec<Gate>,
}

#[derive(Deserialize)]
struct Tokenized {
    text: String,
    ids: Vec<u32>,
    spans: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct Pair {
    max_tokens: usize,
    source: Tokenized,
    target: Tokenized,
    /// Source token, target token, number; none where the published function refuses.
    replacement_mapper: Option<Vec<(usize, usize, f32)>>,
    /// The source token of every target token; -1 for a target token without one.
    refinement_mapper: Vec<i64>,
    refinement_alphas: Vec<f32>,
}

#[derive(Deserialize)]
struct GateTarget {
    max_tokens: usize,
    #[serde(flatten)]
    prompt: Tokenized,
}

#[derive(Deserialize)]
struct Gate {
    steps: usize,
    default: (f64, f64),
    words: Vec<GateWord>,
    /// How many rows, and the ranges of tokens that are open in them.
    rows: Vec<(usize, Vec<(usize, usize)>)>,
}

#[derive(Deserialize)]
struct GateWord {
    word: String,
    window: (f64, f64),
    tokens: Vec<usize>,
}

impl Tokenized {
    fn prompt(&self, max_tokens: usize) -> Prompt {
        let spans = self.spans.iter().map(|&(from, to)| from..to);
        Prompt::new(&self.text, self.ids.clone(), spans.collect(), max_tokens)
    }
}

impl Pair {
    fn prompts(&self) -> (Prompt, Prompt) {
        (self.source.prompt(self.max_tokens), self.target.prompt(self.max_tokens))
    }

    fn name(&self) -> String {
        format!("\"{}\" to \"{}\"", self.source.text, self.target.text)
    }

    fn refinement_source(&self, token: usize) -> Option<usize> {
        usize::try_from(self.refinement_mapper[token]).ok()
    }
}

impl Gate {
    fn asked(&self) -> CrossReplaceSteps {
        let words = self.words.iter().map(|of| (text(&of.word), window(of.window)));
        CrossReplaceSteps { default: window(self.default), words: words.collect() }
    }

    /// All rows in full.
    fn table(&self, width: usize) -> Vec<Vec<f32>> {
        let row = |open: &[(usize, usize)]| -> Vec<f32> {
            let is_open = |token| open.iter().any(|&(from, to)| (from..to).contains(&token));
            (0..width).map(|token| if is_open(token) { 1.0 } else { 0.0 }).collect()
        };
        self.rows.iter().flat_map(|(count, open)| vec![row(open); *count]).collect()
    }

    /// Whether some window asks for steps and gets none of those that are run: the published code goes on without a
    /// word, here it is an error.
    fn selects_no_step(&self, table: &[Vec<f32>]) -> bool {
        let shut = |token: usize| table[..self.steps].iter().all(|row| row[token] == 0.0);
        // BOS is no part of a word, so the default window alone acts on it.
        let of_default = !window(self.default).is_off() && shut(0);
        of_default || self.words.iter().any(|of| !window(of.window).is_off() && shut(of.tokens[0]))
    }
}

fn window((lo, hi): (f64, f64)) -> Window {
    Window { lo, hi }
}

fn answers() -> Answers {
    serde_json::from_str(ANSWERS).expect("the fixture is as described above")
}

#[test]
fn replace_gives_the_numbers_of_get_replacement_mapper() {
    for pair in answers().pairs {
        let (source, target) = pair.prompts();
        let alignment = replace(&source, &target).ok();
        let numbers = alignment.as_ref().map(|alignment| {
            let rows = alignment.map.rows().enumerate();
            let numbers = rows.flat_map(|(s, row)| row.iter().enumerate().map(move |(t, &value)| (s, t, value)));
            numbers.filter(|number| number.2 != 0.0).collect::<Vec<_>>()
        });
        assert_eq!(numbers, pair.replacement_mapper, "{}", pair.name());
        if let Some(alignment) = alignment {
            assert_eq!(alignment.map.size(), pair.max_tokens);
            assert!(alignment.has_source.iter().all(|&has| has), "AttentionReplace knows no alphas");
        }
    }
}

#[test]
fn refine_gives_the_mapper_and_alphas_of_get_refinement_mapper() {
    for pair in answers().pairs {
        let (source, target) = pair.prompts();
        let alignment = refine(&source, &target);
        let alphas: Vec<f32> = alignment.has_source.iter().map(|&has| if has { 1.0 } else { 0.0 }).collect();
        assert_eq!(alphas, pair.refinement_alphas, "{}", pair.name());
        assert_eq!(pair.refinement_mapper.len(), pair.max_tokens);
        for token in 0..pair.max_tokens {
            let from = pair.refinement_source(token);
            let expected: Vec<f32> = (0..pair.max_tokens).map(|s| if Some(s) == from { 1.0 } else { 0.0 }).collect();
            let column: Vec<f32> = alignment.map.column(token).collect();
            assert_eq!(column, expected, "{}, token {token}", pair.name());
        }
    }
}

#[test]
fn gates_are_the_table_of_get_time_words_attention_alpha() {
    let Answers { gate_target, gates, .. } = answers();
    let target = gate_target.prompt.prompt(gate_target.max_tokens);
    for gate in gates {
        let expected = gate.table(gate_target.max_tokens);
        assert_eq!(expected.len(), gate.steps + 1);
        let asked = gate.asked();
        match GateTable::new(&target, &asked, gate.steps) {
            Ok(table) => {
                assert!(!gate.selects_no_step(&expected), "{asked:?} of {} steps", gate.steps);
                let rows: Vec<&[f32]> = (0..=gate.steps).map(|step| table.row(step)).collect();
                assert_eq!(rows, expected, "{asked:?} of {} steps", gate.steps);
            }
            Err(error) => {
                assert!(gate.selects_no_step(&expected), "{asked:?} of {} steps", gate.steps);
                assert!(matches!(error, EditError::WindowSelectsNoStep { .. }));
            }
        }
    }
}

#[test]
fn a_word_has_the_tokens_of_get_word_inds() {
    let Answers { gate_target, gates, .. } = answers();
    let target = gate_target.prompt.prompt(gate_target.max_tokens);
    for of in gates.into_iter().flat_map(|gate| gate.words) {
        assert_eq!(target.find(&text(&of.word)), Some(of.tokens), "{}", of.word);
    }
}

/// Guards against a fixture that was made anew and lost what it is for.
#[test]
fn the_answers_cover_what_they_are_for() {
    let Answers { pairs, gates, .. } = answers();
    assert!(pairs.len() >= 60 && gates.len() >= 20);
    let replaced: Vec<&Pair> = pairs.iter().filter(|pair| pair.replacement_mapper.is_some()).collect();
    let number = |test: fn((usize, usize, f32)) -> bool| {
        replaced.iter().any(|pair| pair.replacement_mapper.iter().flatten().copied().any(test))
    };
    assert!(replaced.len() >= 30);
    assert!(number(|(_, _, value)| value < 1.0), "fewer tokens to more");
    assert!(number(|(source, target, value)| source > target && value == 1.0), "more to fewer, and another word after");
    assert!(replaced.iter().any(|pair| pair.source.ids == pair.target.ids), "nothing replaced");
    assert!(pairs.iter().any(|pair| pair.refinement_mapper.contains(&-1)), "additions");
    assert!(gates.iter().any(|gate| !gate.words.is_empty()), "windows of words");
}
