//! PNG files with texts inside.
//!
//! Contract: a text in Latin-1 becomes a `tEXt` chunk, any other an `iTXt` chunk, as Pillow writes them and all
//! frontends read them. The same image and the same texts give the same bytes.

use image::error::{EncodingError, ImageFormatHint};
use image::{ImageError, ImageFormat};
use png::{BitDepth, ColorType, Compression, Encoder};

use crate::media::Text;

/// Encodes an RGB image of these sides as a file.
pub(crate) fn encode(rgb: &[u8], width: u32, height: u32, texts: &[Text]) -> Result<Vec<u8>, ImageError> {
    write(rgb, width, height, texts)
        .map_err(|error| ImageError::Encoding(EncodingError::new(ImageFormatHint::Exact(ImageFormat::Png), error)))
}

fn write(rgb: &[u8], width: u32, height: u32, texts: &[Text]) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    for Text { keyword, text } in texts {
        let keyword = (*keyword).to_owned();
        if text.chars().all(|character| u32::from(character) < 256) {
            encoder.add_text_chunk(keyword, text.clone())?;
        } else {
            encoder.add_itxt_chunk(keyword, text.clone())?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn texts_come_before_the_pixels_in_the_chunk_that_can_hold_them() {
        let texts = [
            Text { keyword: "parameters", text: "a caf\u{e9}\nSteps: 4".to_owned() },
            Text { keyword: "reprompt", text: "{\"prompt\":\"\u{732b}\"}".to_owned() },
        ];
        let file = encode(&[7; 2 * 3 * 3], 2, 3, &texts).unwrap();
        let reader = png::Decoder::new(Cursor::new(&file)).read_info().unwrap();
        let info = reader.info();
        let latin: Vec<_> = info.uncompressed_latin1_text.iter().map(|c| (&c.keyword, &c.text)).collect();
        assert_eq!(latin, [(&"parameters".to_owned(), &texts[0].text)]);
        assert_eq!(info.utf8_text.len(), 1);
        assert_eq!(info.utf8_text[0].get_text().unwrap(), texts[1].text);
        assert_eq!(encode(&[7; 2 * 3 * 3], 2, 3, &texts).unwrap(), file);
    }
}
