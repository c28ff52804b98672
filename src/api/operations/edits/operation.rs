//! The operation of an edit: one job of the engine, and the answer with its images.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};

use crate::api::delivery::answer::{Answer, AnswerBody};
use crate::api::delivery::encoded_image::EncodedImage;
use crate::api::delivery::image_headers::{put, put_json, run_headers};
use crate::api::delivery::jobs::Kind;
use crate::api::delivery::png_metadata;
use crate::api::operations::attention;
use crate::api::operations::bodies::{ImageData, WarningBody};
use crate::api::operations::edits::request::EditFields;
use crate::api::operations::edits::response::{EditResponse, ResponseExtras};
use crate::api::operations::operation::{Operation, Works};
use crate::api::operations::output::Output;
use crate::api::problem::Problem;
use crate::diffusion::ModelInfo;
use crate::engine::{Engine, Outcome, Outcomes, PreparedEdit, PreparedSource, Work};
use crate::p2p::EditParams;

/// An edit of a source.
#[derive(Debug)]
pub(super) struct EditOperation {
    engine: Arc<Engine>,
    model: Arc<ModelInfo>,
    source: PreparedSource,
    edit: PreparedEdit,
    fields: EditFields,
    params: EditParams,
    warnings: Vec<WarningBody>,
    output: Output,
}

impl EditOperation {
    /// The edit `edit` of `source`, made from these fields and parameters; images are encoded as `output` says.
    pub(super) fn new(
        engine: &Arc<Engine>,
        model: &Arc<ModelInfo>,
        source: PreparedSource,
        edit: PreparedEdit,
        (fields, params): (EditFields, EditParams),
        warnings: Vec<WarningBody>,
        output: Output,
    ) -> Self {
        Self { engine: Arc::clone(engine), model: Arc::clone(model), source, edit, fields, params, warnings, output }
    }

    fn headers(&self, body: &EditResponse, outcome: &Outcome) -> HeaderMap {
        let mut headers = run_headers(&body.model, &self.source, outcome, &body.warnings, &body.timings_ms);
        put(&mut headers, "x-reprompt-id", &body.id);
        put(&mut headers, "x-reprompt-created", &body.created.to_string());
        put(&mut headers, "x-reprompt-edit-type", body.edit_type);
        put_json(&mut headers, "x-reprompt-alignment", &body.alignment);
        put_json(&mut headers, "x-reprompt-windows", &body.windows);
        headers
    }
}

impl Operation for EditOperation {
    fn kind(&self) -> Kind {
        Kind::Edit
    }

    fn output(&self) -> Output {
        self.output
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    fn works(&self) -> Works {
        let work = Work::Edit { source: self.source.clone(), edit: self.edit.clone() };
        Works { attention: self.fields.attention, ..Works::one(work) }
    }

    fn source_field(&self) -> Option<&'static str> {
        Some("source")
    }

    async fn respond(&self, Outcomes { last: outcome, .. }: Outcomes) -> Result<Answer, Problem> {
        let Self { model, source, edit, fields, params, warnings, output, .. } = self;
        let attention = match fields.attention {
            true => Some(attention::of_edit(edit, &outcome).await?),
            false => None,
        };
        let extras = ResponseExtras { warnings: warnings.clone(), attention };
        let mut body = EditResponse::new(&model.name, source, edit, &outcome, extras, *output);
        let headers = self.headers(&body, &outcome);
        if fields.include_source {
            let texts = png_metadata::of_source(model, source);
            let image = EncodedImage::encode(Arc::clone(&outcome.source_image), *output, texts).await?;
            body.data.push(ImageData::new("source", image));
        }
        let texts = png_metadata::of_edit(model, source, edit, params);
        let image = EncodedImage::encode(Arc::clone(outcome.image()), *output, texts.clone()).await?;
        body.data.push(ImageData::new("edit", image.clone()));
        let body = AnswerBody::Edit(Box::new(body));
        Ok(Answer { status: StatusCode::OK, location: None, body, image, output: *output, texts, headers })
    }
}
