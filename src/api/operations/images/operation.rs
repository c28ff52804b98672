//! The operation of generated images: one recording for each, and the answer with all of them.

use std::sync::Arc;
use std::time::SystemTime;

use axum::http::StatusCode;

use crate::api::delivery::answer::{Answer, AnswerBody};
use crate::api::delivery::encoded_image::EncodedImage;
use crate::api::delivery::image_headers::{put, run_headers};
use crate::api::delivery::jobs::Kind;
use crate::api::delivery::png_metadata;
use crate::api::operations::bodies::{SessionRef, TimingsBody, WarningBody, size, unix_seconds};
use crate::api::operations::images::response::{BACKGROUND, GeneratedImage, ImagesResponse, QUALITY};
use crate::api::operations::operation::{Operation, Works};
use crate::api::operations::output::Output;
use crate::api::problem::Problem;
use crate::diffusion::ModelInfo;
use crate::engine::{Engine, Outcome, Outcomes, PreparedSource, Work};
use crate::media::Text;
use crate::recordings::Source;

/// Images of sources that differ only in their seeds, one at least.
#[derive(Debug)]
pub(super) struct ImagesOperation {
    engine: Arc<Engine>,
    model: Arc<ModelInfo>,
    before: Vec<PreparedSource>,
    last: PreparedSource,
    as_url: bool,
    warnings: Vec<WarningBody>,
    output: Output,
}

impl ImagesOperation {
    /// Images of these sources, in this order; as data URLs if `as_url`.
    pub(super) fn new(
        engine: &Arc<Engine>,
        model: &Arc<ModelInfo>,
        before: Vec<PreparedSource>,
        last: PreparedSource,
        as_url: bool,
        warnings: Vec<WarningBody>,
        output: Output,
    ) -> Self {
        Self { engine: Arc::clone(engine), model: Arc::clone(model), before, last, as_url, warnings, output }
    }

    async fn encode(&self, source: &Source, outcome: &Outcome) -> Result<(EncodedImage, Vec<Text>), Problem> {
        let texts = png_metadata::of_source(&self.model, source);
        let image = EncodedImage::encode(Arc::clone(outcome.image()), self.output, texts.clone()).await?;
        Ok((image, texts))
    }

    fn image_body(&self, image: EncodedImage, source: &Source, outcome: &Outcome) -> GeneratedImage {
        let new = if self.as_url { GeneratedImage::data_url } else { GeneratedImage::base64 };
        new(image, source.seed(), SessionRef::of(outcome))
    }
}

impl Operation for ImagesOperation {
    fn kind(&self) -> Kind {
        Kind::Images
    }

    fn output(&self) -> Output {
        self.output
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn works(&self) -> Works {
        let record = |source: &PreparedSource| Work::Record { source: source.clone() };
        Works { before: self.before.iter().map(record).collect(), ..Works::one(record(&self.last)) }
    }

    fn source_field(&self) -> Option<&'static str> {
        None
    }

    async fn respond(&self, Outcomes { before, last }: Outcomes) -> Result<Answer, Problem> {
        let Self { model, warnings, output, .. } = self;
        let mut data = Vec::with_capacity(before.len() + 1);
        for (source, outcome) in self.before.iter().zip(&before) {
            let (image, _) = self.encode(source, outcome).await?;
            data.push(self.image_body(image, source, outcome));
        }
        let (image, texts) = self.encode(&self.last, &last).await?;
        data.push(self.image_body(image.clone(), &self.last, &last));
        let timings = before.iter().map(|outcome| &outcome.timings);
        let slowest =
            timings.fold(&last.timings, |slowest, next| if next.total > slowest.total { next } else { slowest });
        let body = ImagesResponse {
            created: unix_seconds(SystemTime::now()),
            background: BACKGROUND,
            output_format: output.format.as_str(),
            quality: QUALITY,
            size: size(&self.last),
            data,
            id: format!("images_{}", uuid::Uuid::new_v4().simple()),
            object: "images",
            model: model.name.clone(),
            warnings: warnings.clone(),
            timings_ms: TimingsBody::from(slowest),
        };
        let mut headers = run_headers(&body.model, &self.last, &last, &body.warnings, &body.timings_ms);
        put(&mut headers, "x-reprompt-id", &body.id);
        let body = AnswerBody::Images(Box::new(body));
        Ok(Answer { status: StatusCode::OK, location: None, body, image, output: *output, texts, headers })
    }
}
