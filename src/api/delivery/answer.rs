//! Answers: the result of an operation, as a typed body with its images as encoded files.
//!
//! An answer is rendered for each request that gets it: as JSON, as the bare image, as an event
//! ([`crate::api::delivery::sse`]), or within a job. Nothing that was rendered is parsed again.

use std::io;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::delivery::encoded_image::EncodedImage;
use crate::api::operations::edits::response::EditResponse;
use crate::api::operations::images::response::ImagesResponse;
use crate::api::operations::output::Output;
use crate::api::operations::sessions::response::SessionResponse;
use crate::api::problem::Problem;
use crate::api::transport::blocking::blocking;
use crate::api::transport::content_negotiation::Representation;
use crate::media::{Text, decode};

/// An answer in full.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status of a plain response.
    pub status: StatusCode,
    /// The address of the session, if the operation made one.
    pub location: Option<HeaderValue>,
    /// The body.
    pub body: AnswerBody,
    /// The image for a bare response; it is the last one of the body.
    pub image: EncodedImage,
    /// How images are encoded.
    pub output: Output,
    /// The texts inside the image, for when it is converted to another format.
    pub texts: Vec<Text>,
    /// Headers of a bare image.
    pub headers: HeaderMap,
}

/// What a job has made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = JobResult)]
pub(crate) enum AnswerBody {
    /// Of an edit.
    Edit(Box<EditResponse>),
    /// Of a session.
    Session(Box<SessionResponse>),
    /// Of generated images.
    Images(Box<ImagesResponse>),
}

impl Answer {
    /// The response in a representation. An image in another format than that of the body is converted.
    ///
    /// # Errors
    /// `internal_error` where the body cannot be serialized or the image not be converted.
    pub async fn respond(self: Arc<Self>, representation: Representation) -> Result<Response, Problem> {
        let mut response = match representation {
            Representation::Json | Representation::Events => {
                let json = serde_json::to_vec(&self.body);
                let json = json.map_err(|error| Problem::internal("the response could not be serialized", &error))?;
                ([(header::CONTENT_TYPE, "application/json")], json).into_response()
            }
            Representation::Image(format) => {
                let output = self.output.in_format(format);
                let answer = Arc::clone(&self);
                let image = match output.format == self.output.format {
                    true => self.image.clone(),
                    false => blocking(move || answer.converted(output)).await?,
                };
                (self.headers.clone(), image).into_response()
            }
        };
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.location.clone().map(|location| (header::LOCATION, location)));
        Ok(response)
    }

    /// Bytes of the body as JSON.
    pub fn json_bytes(&self) -> u64 {
        let mut bytes = Counter(0);
        // What cannot be serialized takes no bytes in a response either.
        let _ = serde_json::to_writer(&mut bytes, &self.body);
        bytes.0
    }

    /// The image in another format. Blocks.
    fn converted(&self, output: Output) -> Result<EncodedImage, Problem> {
        let image = decode(self.image.bytes());
        let image = image.map_err(|error| Problem::internal("the image of a response could not be decoded", &error))?;
        EncodedImage::encode_blocking(&image, output, &self.texts)
    }
}

/// Counts the bytes that are written.
struct Counter(u64);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::api::operations::bodies::{SessionRef, TimingsBody};
    use crate::api::operations::images::response::GeneratedImage;
    use crate::media::Image;

    /// An answer with one generated image of one pixel.
    pub(crate) fn answer() -> Answer {
        let pixel = Image { width: 1, height: 1, rgb: vec![1, 2, 3] };
        let output = Output::default();
        let image = EncodedImage::encode_blocking(&pixel, output, &[]).unwrap();
        let session = SessionRef { id: "ses_0".to_owned(), recording: "hit" };
        let timings_ms = TimingsBody { queue: 0.0, encode: 1.0, denoise: 2.0, decode: 3.0, total: 6.0 };
        let body = ImagesResponse {
            created: 5,
            background: "opaque",
            output_format: "png",
            quality: "auto",
            size: "1x1".to_owned(),
            data: vec![GeneratedImage::base64(image.clone(), 7, session)],
            id: "images_0".to_owned(),
            object: "images",
            model: "model".to_owned(),
            warnings: Vec::new(),
            timings_ms,
        };
        let body = AnswerBody::Images(Box::new(body));
        Answer {
            status: StatusCode::OK,
            location: None,
            body,
            image,
            output,
            texts: Vec::new(),
            headers: HeaderMap::new(),
        }
    }

    /// An answer whose JSON has this many bytes, some hundreds at least.
    pub(crate) fn answer_of(bytes: u64) -> Answer {
        let mut answer = answer();
        let missing = usize::try_from(bytes - answer.json_bytes()).unwrap();
        if let AnswerBody::Images(body) = &mut answer.body {
            body.model.push_str(&"x".repeat(missing));
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::OutputFormat;
    use http_body_util::BodyExt;

    async fn bytes(answer: &Arc<Answer>, representation: Representation) -> (String, Vec<u8>) {
        let response = Arc::clone(answer).respond(representation).await.unwrap();
        let content_type = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        (content_type, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn an_answer_has_one_image_in_all_representations() {
        let answer = Arc::new(testing::answer());
        let (json_type, json) = bytes(&answer, Representation::Json).await;
        assert_eq!((json_type.as_str(), json.len() as u64), ("application/json", answer.json_bytes()));
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let in_json = crate::media::from_base64(json["data"][0]["b64_json"].as_str().unwrap()).unwrap();
        let (png_type, png) = bytes(&answer, Representation::Image(None)).await;
        assert_eq!((png_type.as_str(), &png), ("image/png", &in_json));
        let (webp_type, webp) = bytes(&answer, Representation::Image(Some(OutputFormat::Webp))).await;
        assert_eq!(webp_type, "image/webp");
        assert_eq!(decode(&webp).unwrap(), decode(&png).unwrap(), "both are lossless");
    }
}
