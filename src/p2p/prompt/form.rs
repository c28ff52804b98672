//! The form of characters: ways to write the same text that a reader takes for one.
//!
//! Contract: [`plain`] is for comparing what a person wrote with the words of a prompt, never for what the model reads.
//! Compatibility forms are one (NFKC of Unicode Standard Annex 15: full-width letters, ligatures, composed and
//! decomposed accents), and so are straight and curly quotes, hyphens and dashes of any length. Characters that are
//! not seen are left out.

use icu_normalizer::ComposingNormalizerBorrowed;

/// The text in its plainest form.
pub(crate) fn plain(text: &str) -> String {
    let visible: String = text.chars().filter(|&c| !is_unseen(c)).map(typed).collect();
    // Decomposed forms, and full-width ones, are typed characters only once they are composed.
    ComposingNormalizerBorrowed::new_nfkc().normalize(&visible).chars().map(typed).collect()
}

/// The character of a keyboard for quotes and dashes.
fn typed(c: char) -> char {
    match c {
        // Single quotes, apostrophes, primes, and accents that stand alone.
        '\u{2018}'..='\u{201B}' | '\u{2032}' | '\u{2035}' | '\u{02B9}' | '\u{02BB}'..='\u{02BD}' | '\u{02C8}' => '\'',
        '\u{A78C}' | '\u{FF07}' | '`' | '\u{00B4}' => '\'',
        '\u{201C}'..='\u{201F}' | '\u{2033}' | '\u{2036}' | '\u{02BA}' | '\u{FF02}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2043}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' => '-',
        other => other,
    }
}

/// Characters without a glyph of their own: soft hyphens, zero-width spaces, joiners and marks of direction, byte order
/// marks, and variation selectors.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_text_are_one() {
        // The compatibility forms are those of `unicodedata.normalize("NFKC", …)` of Python.
        for (written, form) in [
            ("cat\u{2019}s", "cat's"),
            ("cat\u{FF07}s", "cat's"),
            ("cat\u{00B4}s", "cat's"),
            ("\u{201C}cat\u{201D}", "\"cat\""),
            ("\u{FF43}\u{FF41}\u{FF54}", "cat"),
            ("cafe\u{0301}", "caf\u{00E9}"),
            ("\u{FB01}sh", "fish"),
            ("ice\u{2011}cream", "ice-cream"),
            ("ice\u{2013}cream", "ice-cream"),
            ("ice\u{FF0D}cream", "ice-cream"),
            ("ice\u{00AD}cream", "icecream"),
            ("\u{FEFF}cat\u{200B}", "cat"),
            ("\u{2764}\u{FE0F}", "\u{2764}"),
            ("\u{AC00}", "\u{1100}\u{1161}"),
        ] {
            assert_eq!(plain(written), plain(form), "{written:?}");
        }
        assert_eq!(plain("a cat's caf\u{00E9}-bar"), "a cat's caf\u{00E9}-bar");
    }

    #[test]
    fn other_texts_stay_apart() {
        for (one, other) in [("cat", "Cat"), ("cafe", "caf\u{00E9}"), ("ice cream", "ice-cream"), ("its", "it's")] {
            assert_ne!(plain(one), plain(other));
        }
    }
}
