//! Schemas of values in answers: of enums that belong to other modules, and of types that only the document has.

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::delivery::sse::names::{COMPLETED, PARTIAL_IMAGE};
use crate::api::fields::shape::document;
use crate::engine::{CancelReason, RecordingUse};
use crate::p2p::{Origin, Relation};
use crate::recordings::Tier;
use crate::telemetry::labels::Label;

pub(crate) use crate::api::operations::values::blend::LocalBlend as LocalBlendSchema;
pub(crate) use crate::api::operations::values::names::AnsweredScheduler as SchedulerSchema;
pub(crate) use crate::engine::CancelReason as CancelReasonSchema;
pub(crate) use crate::engine::RecordingUse as RecordingSchema;
pub(crate) use crate::media::OutputFormat as OutputFormatSchema;
pub(crate) use crate::p2p::{
    CrossReplaceSteps as CrossWindowsSchema, EditType as EditTypeSchema, Origin as OriginSchema,
    Relation as RelationSchema, Window as WindowSchema,
};
pub(crate) use crate::recordings::Tier as TierSchema;

/// Gives types a named schema.
macro_rules! schemas {
    ($($type:ty as $name:literal: $schema:expr;)*) => {
        $(
            impl PartialSchema for $type {
                fn schema() -> RefOr<Schema> {
                    document($schema)
                }
            }

            impl ToSchema for $type {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed($name)
                }
            }
        )*
    };
}

/// Types that only the document has.
macro_rules! documented {
    ($($type:ident)*) => {
        $(
            #[doc = concat!("See the schema of this name: ", stringify!($type), ".")]
            #[derive(Debug)]
            pub struct $type;
        )*
    };
}

documented! { JobKindSchema JobStatusSchema RoleSchema WarningCodeSchema ErrorTypeSchema ImageFileSchema StreamEventSchema ImageStreamEventSchema }

schemas! {
    RecordingUse as "Recording": labels::<RecordingUse>(
        "`created`: recorded by this request; `hit`: found; `replayed`: known, but at least partly recomputed.",
    );
    Tier as "Tier": labels::<Tier>(
        "`device`, `memory` and `disk` hold attention; with `trajectory` it is recomputed from the latents; with `source` \
         everything is.",
    );
    CancelReason as "CancelReason": labels::<CancelReason>("Why a job was canceled.");
    Relation as "Relation": names(&Relation::ALL.map(Relation::as_str), "How words of the target prompt relate to words of the source's.");
    Origin as "Origin": names(
        &Origin::ALL.map(Origin::as_str),
        "The request, the model's preset for this kind of edit, or the published default.",
    );
    RoleSchema as "Role": names(&["source", "edit"], "Whose image it is.");
    WarningCodeSchema as "WarningCode": names(
        &["unknown_word", "prompt_syntax", "invisible_characters", "shifted_words", "extreme_strength", "no_effect"],
        "`unknown_word`: a word of a prompt is not in the model's vocabulary; `prompt_syntax`: a prompt has an instruction of \
         another tool's prompt language, which is read as text; `invisible_characters`: a prompt has characters that are \
         not seen and that the model reads; `shifted_words`: with the published `replace`, words take \
         the maps of other words; `extreme_strength`: a strength is beyond all use; `no_effect`: a field was accepted \
         without effect.",
    );
    JobKindSchema as "JobKind": names(&["edit", "session", "images"], "What a job makes.");
    JobStatusSchema as "JobStatus": names(&["queued", "processing", "succeeded", "failed", "canceled"], "The state of a job.");
    ErrorTypeSchema as "OpenAiErrorType": names(
        &["invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"],
        "The kinds of errors of the OpenAI API.",
    );
    ImageFileSchema as "ImageFile": json!({"type": "string", "format": "binary", "description": "An image file."});
    StreamEventSchema as "StreamEvent": event(
        &["queued", "started", "step", "completed", "error"],
        "One event of a stream: its name, and its data as JSON. That of `queued` is a `QueueBody`, of `started` a \
         `StartedEvent`, of `step` a `StepEvent`, of `completed` the full response, of `error` a `ProblemBody`.",
    );
    ImageStreamEventSchema as "ImageStreamEvent": event(
        &[PARTIAL_IMAGE, COMPLETED, "error"],
        "One event of a stream: its name, and its data as JSON. That of `image_generation.partial_image` is a \
         `PartialImageEvent`, of `image_generation.completed` the response with the image's fields beside the others and \
         `created_at` in place of `created`, of `error` an `OpenAiError`.",
    );
}

fn labels<T: Label>(description: &str) -> Value {
    let all: Vec<_> = T::ALL.iter().map(|label| label.as_str()).collect();
    names(&all, description)
}

fn names(names: &[&str], description: &str) -> Value {
    json!({"type": "string", "enum": names, "description": description})
}

fn event(names: &[&str], description: &str) -> Value {
    json!({
        "type": "object", "required": ["event", "data"], "description": description,
        "properties": {
            "event": {"type": "string", "enum": names},
            "data": {"type": "string", "contentMediaType": "application/json"}
        }
    })
}
