//! The answer to an edit.

use std::time::SystemTime;

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::operations::attention::response::WordAttention;
use crate::api::operations::bodies::{
    AlignedWordsBody, ImageData, SessionRef, TimingsBody, WarningBody, WindowsBody, alignment, size, unix_seconds,
};
use crate::api::operations::output::Output;
use crate::api::operations::windows;
use crate::api::wire::{EditTypeSchema, OutputFormatSchema};
use crate::engine::{Outcome, PreparedEdit};
use crate::recordings::Source;

/// An edited image, and how it was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct EditResponse {
    /// `edit_` and 32 hexadecimal digits.
    pub id: String,
    /// `edit`.
    pub object: &'static str,
    /// Seconds since 1970.
    pub created: u64,
    /// The model's name.
    pub model: String,
    /// The source's session, which can be edited again.
    pub session: SessionRef,
    /// The source's seed.
    pub seed: u64,
    /// Width and height in pixels.
    pub size: String,
    /// The images' format.
    #[schema(value_type = OutputFormatSchema)]
    pub output_format: &'static str,
    /// The edit type that was applied. For `auto`: the published type that it equals for these prompts, else `auto`.
    #[schema(value_type = EditTypeSchema)]
    pub edit_type: &'static str,
    /// The words of both prompts, in the target's order.
    pub alignment: Vec<AlignedWordsBody>,
    /// The windows that were applied.
    pub windows: WindowsBody,
    /// Warnings about the request; empty if there are none.
    pub warnings: Vec<WarningBody>,
    /// The source's image, if `include_source` is true, then the edit's.
    pub data: Vec<ImageData>,
    /// The edit's attention to each word of its prompt, summed over the steps; only with `attention` in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<Vec<WordAttention>>,
    /// How long it took.
    pub timings_ms: TimingsBody,
}

/// What the answer to an edit says besides the edit itself.
#[derive(Debug, Default)]
pub(crate) struct ResponseExtras {
    /// Warnings about the request.
    pub warnings: Vec<WarningBody>,
    /// Where the edit attends to each word, if that was asked for.
    pub attention: Option<Vec<WordAttention>>,
}

impl EditResponse {
    /// The answer, without its images.
    pub(crate) fn new(
        model: &str,
        source: &Source,
        edit: &PreparedEdit,
        outcome: &Outcome,
        extras: ResponseExtras,
        output: Output,
    ) -> Self {
        Self {
            id: format!("edit_{}", uuid::Uuid::new_v4().simple()),
            object: "edit",
            created: unix_seconds(SystemTime::now()),
            model: model.to_owned(),
            session: SessionRef::of(outcome),
            seed: source.seed(),
            size: size(source),
            output_format: output.format.as_str(),
            edit_type: edit.plan.edit_type().as_str(),
            alignment: alignment(edit.plan.alignment()),
            windows: windows::body(edit.plan.windows()),
            warnings: extras.warnings,
            data: Vec::new(),
            attention: extras.attention,
            timings_ms: TimingsBody::from(&outcome.timings),
        }
    }
}
