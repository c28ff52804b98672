//! Which words of two prompts are the same words.
//!
//! Contract: pairs of word indices ascend on both sides, and the words of a pair are equal, punctuation and case aside.

use crate::p2p::align::needleman_wunsch;
use crate::p2p::prompt::Prompt;

/// Which words of the source are words of the target, punctuation and case aside.
#[derive(Debug)]
pub(crate) struct Pairing {
    /// Word indices (source, target), ascending on both sides.
    pub kept: Vec<(usize, usize)>,
    /// Each word stands for the word at its place.
    pub is_by_position: bool,
}

impl Pairing {
    /// Words are compared at their places where there are equally many and this keeps as many as any alignment does:
    /// "a cat and a dog" to "a dog and a cat" exchanges two words. Otherwise as many are kept as can be: "a cat on a
    /// red mat" to "a red cat on a mat" moves one word, and to compare places would keep only the first.
    pub(crate) fn new(source: &Prompt, target: &Prompt) -> Self {
        let keys = |prompt: &Prompt| -> Vec<String> {
            let words = prompt.words().iter();
            words.map(|word| word.key().to_owned()).collect()
        };
        let (from, to) = (keys(source), keys(target));
        let most = needleman_wunsch::align(&from, &to);
        if from.len() == to.len() {
            let kept: Vec<_> = (0..from.len()).filter(|&at| from[at] == to[at]).map(|at| (at, at)).collect();
            if kept.len() >= most.len() {
                return Self { kept, is_by_position: true };
            }
        }
        Self { kept: most, is_by_position: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::p2p::testing::prompt;

    fn pairing(source: &str, target: &str) -> (bool, Vec<(usize, usize)>) {
        let Pairing { kept, is_by_position } = Pairing::new(&prompt(source), &prompt(target));
        (is_by_position, kept)
    }

    #[test]
    fn words_are_swapped_at_their_places() {
        assert_eq!(pairing("a cat on ice", "a dog on snow"), (true, vec![(0, 0), (2, 2)]));
        let exchanged = vec![(0, 0), (2, 2), (3, 3)];
        assert_eq!(pairing("a cat and a dog", "a dog and a cat"), (true, exchanged));
    }

    #[test]
    fn a_word_that_moves_keeps_the_others() {
        let kept = vec![(0, 0), (1, 2), (2, 3), (3, 4), (5, 5)];
        assert_eq!(pairing("a cat on a red mat", "a red cat on a mat"), (false, kept));
    }
}
