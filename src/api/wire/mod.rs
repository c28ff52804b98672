//! What goes over the wire: the bodies of requests, and schemas, as they are documented.

mod attention;
mod images;
mod request;
mod schema;
mod waiting;

pub use attention::AttentionQuery;
pub use images::{ImagesBody, ImagesRequest};
pub use request::{
    AlignRequest, EditBody, EditRequest, EqualizerEntry, LocalBlendBody, OutputBody, SessionRequest, SourceRequest,
};
pub use schema::{
    BackgroundSchema, CancelReasonSchema, CrossWindowsSchema, EditTypeSchema, ErrorTypeSchema, ImageFileSchema,
    ImageStreamEventSchema, ImagesResponseFormatSchema, JobKindSchema, JobStatusSchema, LocalBlendSchema,
    ModerationSchema, OriginSchema, OutputFormatSchema, PromptSchema, QualitySchema, RecordingSchema, RelationSchema,
    ResponseFormatSchema, RoleSchema, SchedulerNameSchema, SchedulerSchema, StreamEventSchema, StyleSchema, TierSchema,
    WarningCodeSchema, WindowSchema, WordSchema, WordsSchema,
};
pub use waiting::{WaitBody, WaitHeaders};
