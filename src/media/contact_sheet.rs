//! Contact sheets: pictures side by side, each with a caption below.
//!
//! Contract: pictures keep their order, row by row. All cells have the size of the largest picture, and are at least
//! [`MIN_CELL`] wide. A row has at most four pictures; rows are as few and as even as possible. The height of a row
//! follows from its longest caption.

use crate::media::Image;
use crate::media::text::{CHAR_WIDTH, LINE_HEIGHT, draw_line, wrap};

/// Pixels around the sheet and between cells.
pub const MARGIN: usize = 12;
/// Pixels between a picture and its caption.
pub const GAP: usize = 4;
/// Minimum width of a cell in pixels; a narrower one cannot hold words.
pub const MIN_CELL: usize = 112;
const MAX_COLUMNS: usize = 4;
const MAX_LINES: usize = 6;
const PAPER: u8 = 255;
const INK: [u8; 3] = [32; 3];

/// A picture with its caption.
#[derive(Debug, Clone, Copy)]
pub struct Captioned<'a> {
    /// The picture.
    pub image: &'a Image,
    /// The caption.
    pub caption: &'a str,
}

/// Draws the sheet of these pictures.
pub fn contact_sheet(pictures: &[Captioned<'_>]) -> Image {
    let columns = columns(pictures.len());
    let side = |side: fn(&Image) -> usize| pictures.iter().map(|picture| side(picture.image)).max().unwrap_or(0);
    let (cell_width, cell_height) = (side(|image| image.width).max(MIN_CELL), side(|image| image.height));
    let lines = |picture: &Captioned<'_>| wrap(picture.caption, cell_width / CHAR_WIDTH, MAX_LINES);
    let captions: Vec<Vec<String>> = pictures.iter().map(lines).collect();
    let row_heights: Vec<usize> = captions
        .chunks(columns)
        .map(|row| cell_height + GAP + row.iter().map(Vec::len).max().unwrap_or(0) * LINE_HEIGHT + MARGIN)
        .collect();
    let (width, height) = (MARGIN + columns * (cell_width + MARGIN), MARGIN + row_heights.iter().sum::<usize>());
    let mut sheet = Image { width, height, rgb: vec![PAPER; width * height * 3] };
    for (at, (picture, lines)) in pictures.iter().zip(&captions).enumerate() {
        let x = MARGIN + at % columns * (cell_width + MARGIN);
        let y = MARGIN + row_heights.iter().take(at / columns).sum::<usize>();
        paste(&mut sheet, picture.image, (x, y));
        for (line, text) in lines.iter().enumerate() {
            draw_line(&mut sheet, (x, y + cell_height + GAP + line * LINE_HEIGHT), text, INK);
        }
    }
    sheet
}

/// Pictures per row: as few rows as possible, as even as possible.
fn columns(count: usize) -> usize {
    count.div_ceil(count.div_ceil(MAX_COLUMNS).max(1)).max(1)
}

fn paste(sheet: &mut Image, image: &Image, (x, y): (usize, usize)) {
    let to = sheet.rgb.chunks_exact_mut((sheet.width * 3).max(1)).skip(y);
    for (to, from) in to.zip(image.rgb.chunks_exact((image.width * 3).max(1))) {
        if let Some(to) = to.get_mut(x * 3..x * 3 + from.len()) {
            to.copy_from_slice(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(side: usize, value: u8) -> Image {
        Image { width: side, height: side, rgb: vec![value; side * side * 3] }
    }

    #[test]
    fn lines_are_few_and_even() {
        let found: Vec<usize> = (0..10).map(columns).collect();
        assert_eq!(found, [1, 1, 2, 3, 4, 3, 3, 4, 4, 3]);
    }

    #[test]
    fn pictures_are_in_their_cells_and_captions_below() {
        let images: Vec<Image> = [10, 20, 30, 40, 50].map(|value| grey(128, value)).to_vec();
        let caption = |at| if at == 4 { "a caption that takes two lines" } else { "short" };
        let pictures: Vec<Captioned> =
            images.iter().enumerate().map(|(at, image)| Captioned { image, caption: caption(at) }).collect();
        let sheet = contact_sheet(&pictures);
        let line = |lines: usize| 128 + GAP + lines * LINE_HEIGHT + MARGIN;
        assert_eq!((sheet.width, sheet.height), (MARGIN + 3 * (128 + MARGIN), MARGIN + line(1) + line(2)));
        assert_eq!(sheet.rgb.len(), sheet.width * sheet.height * 3);
        let at = |x: usize, y: usize| sheet.rgb[(y * sheet.width + x) * 3];
        for (image, value) in [10, 20, 30, 40, 50].into_iter().enumerate() {
            let (x, y) = (MARGIN + image % 3 * (128 + MARGIN), MARGIN + image / 3 * line(1));
            assert_eq!((at(x, y), at(x + 127, y + 127)), (value, value));
            assert_eq!((at(x - 1, y), at(x + 128, y)), (PAPER, PAPER));
            let below = (y + 128 + GAP..y + 128 + GAP + LINE_HEIGHT).flat_map(|y| (x..x + 128).map(move |x| (x, y)));
            assert!(below.filter(|&(x, y)| at(x, y) < 128).count() > 30, "a caption");
        }
    }

    #[test]
    fn small_pictures_have_room_for_words_and_none_make_an_empty_sheet() {
        let image = grey(32, 0);
        let sheet = contact_sheet(&[Captioned { image: &image, caption: "a cat" }]);
        assert_eq!((sheet.width, sheet.height), (MIN_CELL + 2 * MARGIN, 32 + GAP + LINE_HEIGHT + 2 * MARGIN));
        assert_eq!(contact_sheet(&[]).rgb.len(), (MIN_CELL + 2 * MARGIN) * MARGIN * 3);
    }
}
