//! What goes over the wire: the bodies of requests and answers, as they are documented.

mod attention;
mod edit_report;
mod images;
mod model;
mod request;
mod response;
mod schema;
mod waiting;

pub use attention::{AttentionAnswer, AttentionList, AttentionQuery, AttentionResponse, WordAttention};
pub use edit_report::{WarningBody, WindowsBody, WindowsFrom};
pub use images::{
    GeneratedImage, ImagesBody, ImagesRequest, ImagesResponse, OpenAiError, OpenAiErrorBody, PartialImageEvent,
};
pub use model::{ExampleSchema, ModelDefaults, ModelList, ModelResponse, ModelSizes, PresetBody};
pub use request::{
    AlignRequest, EditBody, EditRequest, EqualizerEntry, LocalBlendBody, OutputBody, SessionRequest, SourceRequest,
};
pub use response::{
    AlignResponse, AlignedWordsBody, EditResponse, ImageData, SessionList, SessionRef, SessionResponse, SourceBody,
    TierBytes, TimingsBody, TokenBody,
};
pub use schema::{
    BackgroundSchema, CancelReasonSchema, CrossWindowsSchema, EditTypeSchema, ErrorTypeSchema, ImageFileSchema,
    ImageStreamEventSchema, ImagesResponseFormatSchema, JobKindSchema, JobStatusSchema, LocalBlendSchema,
    ModerationSchema, OriginSchema, OutputFormatSchema, PromptSchema, QualitySchema, RecordingSchema, RelationSchema,
    ResponseFormatSchema, RoleSchema, SchedulerNameSchema, SchedulerSchema, StreamEventSchema, StyleSchema, TierSchema,
    WarningCodeSchema, WindowSchema, WordSchema, WordsSchema,
};
pub use waiting::{
    JobList, JobResponse, ProgressBody, QueueBody, ResultSchema, StartedEvent, StepEvent, WaitBody, WaitHeaders,
};
