//! Images as encoded files, and how they are written into JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};

use crate::api::operations::output::Output;
use crate::api::problem::Problem;
use crate::api::transport::blocking::blocking;
use crate::media::{Image, OutputFormat, Text, base64};

/// An image file. Cloning it copies no bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EncodedImage {
    bytes: Bytes,
    format: OutputFormat,
}

impl EncodedImage {
    /// Encodes an image on a thread for blocking work. The texts are written into a PNG; other formats have none.
    ///
    /// # Errors
    /// `internal_error`.
    pub async fn encode(image: Arc<Image>, output: Output, texts: Vec<Text>) -> Result<Self, Problem> {
        blocking(move || Self::encode_blocking(&image, output, &texts)).await
    }

    /// The same on this thread.
    ///
    /// # Errors
    /// `internal_error`.
    pub fn encode_blocking(image: &Image, output: Output, texts: &[Text]) -> Result<Self, Problem> {
        let file = image.encode(output.format, output.quality, texts);
        let file = file.map_err(|error| Problem::internal("an image could not be encoded", &error))?;
        Ok(Self { bytes: file.into(), format: output.format })
    }

    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for EncodedImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncodedImage({}, {} bytes)", self.format.as_str(), self.bytes.len())
    }
}

/// The bare image.
impl IntoResponse for EncodedImage {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, self.format.content_type())], self.bytes).into_response()
    }
}

/// A file that is written as base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base64(pub EncodedImage);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64(&self.0.bytes))
    }
}

/// A file that is written as a data URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataUrl(pub EncodedImage);

impl Serialize for DataUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EncodedImage { bytes, format } = &self.0;
        serializer.serialize_str(&format!("data:{};base64,{}", format.content_type(), base64(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn files_are_written_as_base64_or_as_data_urls() {
        let image = EncodedImage { bytes: Bytes::from_static(b"\x00\xff"), format: OutputFormat::Webp };
        assert_eq!(json!(Base64(image.clone())), json!("AP8="));
        assert_eq!(json!(DataUrl(image)), json!("data:image/webp;base64,AP8="));
    }
}
