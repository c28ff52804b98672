//! Images out, and back in: PNG, JPEG and WebP, and base64 around them; heat maps over them, contact sheets of them.

mod heat;
mod sheet;
mod text;

use std::io::Cursor;

use base64::Engine as _;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};

pub use heat::heat_overlay;
pub use sheet::{Captioned, contact_sheet};

/// An RGB image in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `height * width * 3` bytes, row by row.
    pub rgb: Vec<u8>,
}

/// The formats that an image can be answered in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Lossless.
    Png,
    /// Lossy; a quality of 1 to 100 applies.
    Jpeg,
    /// Lossless WebP.
    Webp,
}

impl OutputFormat {
    /// All formats, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Webp];

    /// The name in requests and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Webp => "webp",
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
        }
    }
}

impl Image {
    /// The image as a file. `quality` (1 to 100) counts for JPEG alone.
    pub fn encode(&self, format: OutputFormat, quality: u8) -> Result<Vec<u8>, ImageError> {
        let too_large =
            |_| ImageError::Limits(image::error::LimitError::from_kind(image::error::LimitErrorKind::DimensionError));
        let width = u32::try_from(self.width).map_err(too_large)?;
        let height = u32::try_from(self.height).map_err(too_large)?;
        let mut file = Cursor::new(Vec::new());
        match format {
            OutputFormat::Png => {
                PngEncoder::new(&mut file).write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)?;
            }
            OutputFormat::Jpeg => {
                JpegEncoder::new_with_quality(&mut file, quality.clamp(1, 100)).write_image(
                    &self.rgb,
                    width,
                    height,
                    ExtendedColorType::Rgb8,
                )?;
            }
            OutputFormat::Webp => {
                WebPEncoder::new_lossless(&mut file).write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)?;
            }
        }
        Ok(file.into_inner())
    }
}

/// A file of one of the [`OutputFormat`]s as pixels.
pub fn decode(file: &[u8]) -> Result<Image, ImageError> {
    let image = image::load_from_memory(file)?.into_rgb8();
    // Sides are 32 bits, which a usize holds.
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Image { width, height, rgb: image.into_raw() })
}

/// Standard base64 with padding as bytes.
pub fn from_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    base64::engine::general_purpose::STANDARD.decode(text)
}

/// Bytes as standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lossless_formats_give_the_pixels_back() {
        let rgb: Vec<u8> = (0..5 * 3 * 3).map(|i| (i * 7) as u8).collect();
        let picture = Image { width: 5, height: 3, rgb };
        for format in [OutputFormat::Png, OutputFormat::Webp] {
            let file = picture.encode(format, 90).unwrap();
            assert_eq!(decode(&from_base64(&base64(&file)).unwrap()).unwrap(), picture, "{format:?}");
        }
        assert!(picture.encode(OutputFormat::Jpeg, 90).unwrap().starts_with(&[0xff, 0xd8]));
    }
}
