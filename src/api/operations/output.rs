//! The form of images in an answer: the fields of requests, and the [`Output`] that they make.

use crate::api::fields::{Invalid, fields};
use crate::api::operations::values::names::ResponseFormat;
use crate::media::OutputFormat;

fields! {
    /// The form of images in an answer of this service's own.
    struct ResponseFields as "ResponseOptions", enum ResponseField, Default {
        /// Only `b64_json`. `Accept: image/png` gives the bare image.
        ResponseFormat = response_format: ResponseFormat = ResponseFormat::Base64;
    }
}

fields! {
    /// The files of images.
    struct FileFields as "FileOptions", enum FileField, Default {
        /// The images' format. For a bare image, a format in the `Accept` header takes precedence.
        OutputFormat = output_format: OutputFormat = OutputFormat::Png;
        /// Quality of a JPEG (default 90) or of a WebP (lossless if absent); no effect on a PNG.
        OutputCompression = output_compression: Option<u64> => {"minimum": 1, "maximum": 100, "example": 90};
    }
}

/// How images are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Output {
    /// The file format.
    pub format: OutputFormat,
    /// Quality, 1 to 100, if it was asked for.
    pub quality: Option<u8>,
}

impl FileFields {
    /// Checks the quality.
    ///
    /// # Errors
    /// If it is not 1 to 100.
    pub(crate) fn output(&self) -> Result<Output, Invalid<FileField>> {
        let quality = |quality: u64| {
            let known = u8::try_from(quality).ok().filter(|quality| (1..=100).contains(quality));
            let detail = || format!("expected a quality from 1 to 100, got {quality}");
            known.ok_or_else(|| Invalid::value(FileField::OutputCompression, detail()))
        };
        Ok(Output { format: self.output_format, quality: self.output_compression.map(quality).transpose()? })
    }
}

impl Output {
    /// The same in the format that the `Accept` header names, if it names one.
    #[must_use]
    pub fn in_format(self, format: Option<OutputFormat>) -> Self {
        Self { format: format.unwrap_or(self.format), ..self }
    }
}
