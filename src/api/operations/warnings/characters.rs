//! Characters of a prompt that are not seen and that the model reads.
//!
//! Contract: white space is none of them, nor are the joiners and selectors that emoji and some scripts are written
//! with. The prompt is read as it is, as by diffusers.

/// The invisible characters of a prompt, each once, in the prompt's order.
pub(crate) fn invisible(prompt: &str) -> Vec<char> {
    let mut found = Vec::new();
    for character in prompt.chars().filter(|&character| is_invisible(character)) {
        if !found.contains(&character) {
            found.push(character);
        }
    }
    found
}

/// Control characters, soft hyphens, zero-width spaces, byte order marks, and marks of direction.
fn is_invisible(character: char) -> bool {
    let is_format = matches!(character,
        '\u{00AD}' | '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
    is_format || (character.is_control() && !character.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_without_a_glyph_are_found_once() {
        assert_eq!(invisible("a\u{200B}cat\0 on\u{7}\0 grass\u{FEFF}"), ['\u{200B}', '\0', '\u{7}', '\u{FEFF}']);
    }

    #[test]
    fn what_is_seen_or_is_white_space_is_left_alone() {
        for prompt in [
            "a cat,\ta dog\r\n",
            "a\u{00A0}cat\u{3000}here",
            "👩\u{200D}🚀 ❤\u{FE0F}",
            "می\u{200C}خواهم",
            "公园 e\u{0301}",
        ] {
            assert!(invisible(prompt).is_empty(), "{prompt:?}");
        }
    }
}
