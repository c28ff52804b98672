//! Tokens of several vectors, as textual inversion makes them: `<cat>` in a prompt means `<cat> <cat>_1 <cat>_2`.
//!
//! Contract: a prompt is written out as by diffusers (`TextualInversionLoaderMixin.maybe_convert_prompt`): a token that
//! the prompt has, exactly as the vocabulary writes it, is replaced wherever its text is in the prompt. Spans of the
//! longer text lead back to the prompt.

use std::ops::Range;

/// The tokens of a vocabulary that have several vectors, each with the text that replaces it.
#[derive(Debug, Default)]
pub(super) struct Vectors(Vec<(String, String)>);

/// A prompt that was written out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrittenOut {
    /// The longer text.
    pub text: String,
    /// Where the longer text replaces a part of the prompt: bytes of the one and of the other, ascending.
    replaced: Vec<(Range<usize>, Range<usize>)>,
}

impl Vectors {
    /// Those among the added tokens.
    pub(super) fn among(added: &[&str]) -> Self {
        let written_out = |token: &&str| {
            let further = (1..).map(|vector: usize| format!("{token}_{vector}"));
            let further: Vec<_> = further.take_while(|further| added.contains(&further.as_str())).collect();
            (!further.is_empty()).then(|| ((*token).to_owned(), format!("{token} {}", further.join(" "))))
        };
        Self(added.iter().filter_map(written_out).collect())
    }

    /// The prompt with all vectors of the `tokens` that it was encoded to; `None` where nothing is to be replaced.
    pub(super) fn write_out(&self, prompt: &str, tokens: &[String]) -> Option<WrittenOut> {
        let wanted: Vec<_> = self.0.iter().filter(|(token, _)| tokens.contains(token)).collect();
        let (mut text, mut replaced, mut at) = (String::new(), Vec::new(), 0);
        while let Some(next) = prompt[at..].chars().next() {
            let here = wanted.iter().filter(|(token, _)| prompt[at..].starts_with(token.as_str()));
            if let Some((token, longer)) = here.max_by_key(|(token, _)| token.len()) {
                replaced.push((text.len()..text.len() + longer.len(), at..at + token.len()));
                text.push_str(longer);
                at += token.len();
            } else {
                text.push(next);
                at += next.len_utf8();
            }
        }
        (!replaced.is_empty()).then_some(WrittenOut { text, replaced })
    }
}

impl WrittenOut {
    /// The bytes of the prompt that bytes of the longer text stand for.
    pub(super) fn in_prompt(&self, span: Range<usize>) -> Range<usize> {
        let shifted = |at: usize| {
            let before = self.replaced.iter().rev().find(|(long, _)| long.end <= at);
            before.map_or(at, |(long, short)| short.end + (at - long.end))
        };
        let inside = |is_inside: &dyn Fn(&Range<usize>) -> bool| self.replaced.iter().find(|(long, _)| is_inside(long));
        let start = inside(&|long| long.start <= span.start && span.start < long.end);
        let end = inside(&|long| long.start < span.end && span.end <= long.end);
        start.map_or_else(|| shifted(span.start), |(_, short)| short.start)
            ..end.map_or_else(|| shifted(span.end), |(_, short)| short.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_lead_back_to_the_prompt() {
        let vectors = Vectors::among(&["<c>", "<c>_1", "x"]);
        let written = vectors.write_out("ä <c> on <c>", &["a".to_owned(), "<c>".to_owned()]).unwrap();
        assert_eq!(written.text, "ä <c> <c>_1 on <c> <c>_1");
        let part = |text: &str, nth: usize| {
            let start = written.text.match_indices(text).nth(nth).unwrap().0;
            &"ä <c> on <c>"[written.in_prompt(start..start + text.len())]
        };
        assert_eq!((part("ä", 0), part("on", 0)), ("ä", "on"));
        assert_eq!((part("<c>", 0), part("<c>_1", 0), part("<c>", 2), part("<c>_1", 1)), ("<c>", "<c>", "<c>", "<c>"));
        assert_eq!(vectors.write_out("ä <c>", &["a".to_owned()]), None);
    }
}
