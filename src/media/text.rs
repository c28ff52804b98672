//! Draws lines of text on images, in Noto Sans Mono at one size.
//!
//! Contract: all characters are [`CHAR_WIDTH`] wide and lines [`LINE_HEIGHT`] high. Characters that the font lacks are
//! drawn as "?". Text outside the image is clipped.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::media::Image;

const WEIGHT: FontWeight = FontWeight::Regular;
const SIZE: RasterHeight = RasterHeight::Size16;

/// Pixels from one character to the next.
pub const CHAR_WIDTH: usize = get_raster_width(WEIGHT, SIZE);
/// Pixels from one line to the next.
pub const LINE_HEIGHT: usize = SIZE.val() + 2;

/// Draws a line of text with its upper left corner at `(x, y)`.
pub fn draw_line(image: &mut Image, (x, y): (usize, usize), text: &str, colour: [u8; 3]) {
    for (at, character) in text.chars().enumerate() {
        let raster = get_raster(character, WEIGHT, SIZE).or_else(|| get_raster('?', WEIGHT, SIZE));
        let rows = raster.iter().flat_map(|glyph| glyph.rows().enumerate());
        for (row, cover) in rows.flat_map(|(row, line)| line.iter().enumerate().map(move |pixel| (row, pixel))) {
            mix(image, (x + at * CHAR_WIDTH + cover.0, y + row), *cover.1, colour);
        }
    }
}

/// Blends a colour over a pixel; a coverage of 255 is opaque.
fn mix(image: &mut Image, (x, y): (usize, usize), cover: u8, colour: [u8; 3]) {
    if x >= image.width || y >= image.height {
        return;
    }
    let first = (y * image.width + x) * 3;
    let pixel = image.rgb.get_mut(first..first + 3).unwrap_or_default();
    for (part, colour) in pixel.iter_mut().zip(colour) {
        let sum = u16::from(*part) * u16::from(255 - cover) + u16::from(colour) * u16::from(cover);
        // In range: the mean of two bytes.
        *part = (sum / 255) as u8;
    }
}

/// Breaks a text into lines of at most `width` characters, between words if possible. If it needs more than `most`
/// lines, it is cut, and the last line ends in dots.
pub fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        // A word longer than a line is broken.
        for (at, piece) in letters.chunks(width).enumerate() {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if at == 0 && line.chars().count() + 1 + piece.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let kept: String = last.chars().take(width.saturating_sub(3)).collect();
            *last = format!("{}...", kept.trim_end());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper(width: usize, height: usize) -> Image {
        Image { width, height, rgb: vec![255; width * height * 3] }
    }

    #[test]
    fn text_is_drawn_where_it_is_said_and_nowhere_else() {
        let mut image = paper(100, 40);
        draw_line(&mut image, (10, 5), "cat", [0; 3]);
        let dark = |x: usize, y: usize| image.rgb[(y * 100 + x) * 3] < 128;
        let inside = |x: usize, y: usize| (10..10 + 3 * CHAR_WIDTH).contains(&x) && (5..5 + LINE_HEIGHT).contains(&y);
        let places = || (0..40).flat_map(|y| (0..100).map(move |x| (x, y)));
        assert!(places().filter(|&(x, y)| dark(x, y)).count() > 30);
        assert!(places().all(|(x, y)| inside(x, y) || !dark(x, y)));
    }

    #[test]
    fn a_character_that_the_font_does_not_hold_is_a_question_mark_and_one_outside_is_none() {
        let drawn = |text: &str, x: usize| {
            let mut image = paper(20, 20);
            draw_line(&mut image, (x, 0), text, [0; 3]);
            image
        };
        assert_eq!(drawn("\u{732b}", 0), drawn("?", 0));
        assert_ne!(drawn("\u{e9}", 0), drawn("?", 0), "accents are drawn");
        assert_eq!(drawn("cat", 20), paper(20, 20));
    }

    #[test]
    fn lines_break_between_words_and_long_ones_are_cut() {
        assert_eq!(wrap("a cat on the beach", 10, 9), ["a cat on", "the beach"]);
        assert_eq!(wrap("incomprehensible cat", 8, 9), ["incompre", "hensible", "cat"]);
        assert_eq!(wrap("a cat on the beach at night", 10, 2), ["a cat on", "the bea..."]);
        assert_eq!(wrap("  ", 10, 2), Vec::<String>::new());
    }
}
