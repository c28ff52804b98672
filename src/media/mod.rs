//! Image files: encoding and decoding PNG, JPEG and WebP, base64, heat maps, contact sheets.
//!
//! Contract: pure functions on pixels and bytes. The same image and settings give the same file. Files are decoded
//! within limits on sides and memory.

mod contact_sheet;
mod heat;
mod png;
mod text;
mod webp;

use std::io::Cursor;

use base64::Engine as _;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::error::{EncodingError, ImageFormatHint};
use image::{ExtendedColorType, ImageEncoder, ImageError, ImageFormat, ImageReader, Limits};

pub(crate) use contact_sheet::{Captioned, contact_sheet};
pub(crate) use heat::heat_overlay;

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

/// The formats of image files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputFormat {
    /// Lossless.
    #[default]
    Png,
    /// Lossy.
    Jpeg,
    /// Lossless, or lossy with a quality.
    Webp,
}

/// A text inside a PNG file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its keyword: 1 to 79 characters of Latin-1.
    pub keyword: &'static str,
    /// The text.
    pub text: String,
}

/// Default quality of a JPEG.
pub const JPEG_QUALITY: u8 = 90;
/// Maximum side of an image, in pixels: that of WebP, so that every image can be written in every format. Larger ones are
/// not read either, because a small file can hold a large image.
pub const MAX_SIDE: u16 = 16_383;

impl OutputFormat {
    /// All formats, in order of preference.
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
    /// Encodes the image as a file. `quality` is 1 to 100: it applies to JPEG, and makes a WebP lossy. Texts apply to
    /// PNG.
    pub fn encode(&self, format: OutputFormat, quality: Option<u8>, texts: &[Text]) -> Result<Vec<u8>, ImageError> {
        let too_large =
            |_| ImageError::Limits(image::error::LimitError::from_kind(image::error::LimitErrorKind::DimensionError));
        let width = u32::try_from(self.width).map_err(too_large)?;
        let height = u32::try_from(self.height).map_err(too_large)?;
        let mut file = Cursor::new(Vec::new());
        match (format, quality) {
            (OutputFormat::Png, _) => return png::encode(&self.rgb, width, height, texts),
            (OutputFormat::Jpeg, quality) => {
                let encoder = JpegEncoder::new_with_quality(&mut file, quality.unwrap_or(JPEG_QUALITY).clamp(1, 100));
                encoder.write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)?;
            }
            (OutputFormat::Webp, None) => {
                WebPEncoder::new_lossless(&mut file).write_image(&self.rgb, width, height, ExtendedColorType::Rgb8)?;
            }
            (OutputFormat::Webp, Some(quality)) => {
                return webp::encode(&self.rgb, width, height, quality.clamp(1, 100)).ok_or_else(|| {
                    let hint = ImageFormatHint::Exact(ImageFormat::WebP);
                    ImageError::Encoding(EncodingError::new(hint, "libwebp cannot write it"))
                });
            }
        }
        Ok(file.into_inner())
    }
}

/// Maximum number of bytes that decoding may allocate.
const MAX_ALLOC: u64 = 256 << 20;

/// Decodes a file in one of the [`OutputFormat`]s. The format is detected from the content.
pub fn decode(file: &[u8]) -> Result<Image, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE.into()), Some(MAX_SIDE.into()));
    limits.max_alloc = Some(MAX_ALLOC);
    reader.limits(limits);
    let image = reader.decode()?.into_rgb8();
    // Sides are 32 bits, which fit into a usize.
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Image { width, height, rgb: image.into_raw() })
}

/// Decodes standard base64 with padding.
pub fn from_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    base64::engine::general_purpose::STANDARD.decode(text)
}

/// Encodes bytes as standard base64 with padding.
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
            let file = picture.encode(format, None, &[]).unwrap();
            assert_eq!(decode(&from_base64(&base64(&file)).unwrap()).unwrap(), picture, "{format:?}");
        }
        assert!(picture.encode(OutputFormat::Jpeg, None, &[]).unwrap().starts_with(&[0xff, 0xd8]));
    }

    #[test]
    fn what_is_too_large_or_no_image_is_not_read() {
        let tall = |height: usize| Image { width: 1, height, rgb: vec![7; height * 3] };
        let (longest, longer) = (tall(MAX_SIDE.into()), tall(usize::from(MAX_SIDE) + 1));
        for format in OutputFormat::ALL {
            for quality in [None, Some(80)] {
                let read = decode(&longest.encode(format, quality, &[]).unwrap()).unwrap();
                assert_eq!((read.width, read.height), (1, longest.height), "{format:?} {quality:?}");
            }
        }
        for format in [OutputFormat::Png, OutputFormat::Jpeg] {
            let error = decode(&longer.encode(format, None, &[]).unwrap()).unwrap_err();
            assert!(matches!(error, ImageError::Limits(_)), "{format:?}: {error}");
        }
        assert!(longer.encode(OutputFormat::Webp, Some(80), &[]).is_err(), "WebP sets the limit");
        assert!(matches!(decode(b"GIF89a and so on"), Err(ImageError::Unsupported(_))));
    }
}
