//! The operation of a session: one recording, and the answer with the source's image.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};

use crate::api::delivery::answer::{Answer, AnswerBody};
use crate::api::delivery::encoded_image::EncodedImage;
use crate::api::delivery::image_headers::run_headers;
use crate::api::delivery::jobs::Kind;
use crate::api::delivery::png_metadata;
use crate::api::operations::bodies::{ImageData, TimingsBody, WarningBody};
use crate::api::operations::operation::{Operation, Works};
use crate::api::operations::output::Output;
use crate::api::operations::sessions::response::SessionResponse;
use crate::api::problem::Problem;
use crate::diffusion::ModelInfo;
use crate::engine::{Engine, Outcomes, PreparedSource, RecordingUse, Work};
use crate::recordings::SessionView;

/// A source to be run and recorded.
#[derive(Debug)]
pub(super) struct SessionOperation {
    engine: Arc<Engine>,
    model: Arc<ModelInfo>,
    source: PreparedSource,
    warnings: Vec<WarningBody>,
    output: Output,
}

impl SessionOperation {
    /// The recording of `source` by `engine`; its image is encoded as `output` says.
    pub(super) fn new(
        engine: &Arc<Engine>,
        model: &Arc<ModelInfo>,
        source: PreparedSource,
        warnings: Vec<WarningBody>,
        output: Output,
    ) -> Self {
        Self { engine: Arc::clone(engine), model: Arc::clone(model), source, warnings, output }
    }
}

impl Operation for SessionOperation {
    fn kind(&self) -> Kind {
        Kind::Session
    }

    fn output(&self) -> Output {
        self.output
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn works(&self) -> Works {
        Works::one(Work::Record { source: self.source.clone() })
    }

    fn source_field(&self) -> Option<&'static str> {
        Some("source")
    }

    async fn respond(&self, Outcomes { last: outcome, .. }: Outcomes) -> Result<Answer, Problem> {
        let Self { engine, model, source, warnings, output } = self;
        // A session that was removed meanwhile is described by its source alone.
        let view = engine.sessions().view(&outcome.session);
        let view = view.unwrap_or_else(|| SessionView::of_source(&outcome.session, source));
        let timings = TimingsBody::from(&outcome.timings);
        let headers = run_headers(&model.name, &view.source, &outcome, warnings, &timings);
        let texts = png_metadata::of_source(model, &view.source);
        let image = EncodedImage::encode(Arc::clone(&outcome.source_image), *output, texts.clone()).await?;
        let body = SessionResponse {
            recording: Some(outcome.recording.as_str()),
            warnings: Some(warnings.clone()),
            data: Some(vec![ImageData::new("source", image.clone())]),
            timings_ms: Some(timings),
            ..SessionResponse::new(&model.name, &view)
        };
        let status = if outcome.recording == RecordingUse::Hit { StatusCode::OK } else { StatusCode::CREATED };
        let location = HeaderValue::from_str(&format!("/v1/sessions/{}", outcome.session)).ok();
        let body = AnswerBody::Session(Box::new(body));
        Ok(Answer { status, location, body, image, output: *output, texts, headers })
    }
}
