//! Schemas that several calls share: of values in answers, and of request headers.

mod schema;
mod waiting;

pub(crate) use schema::{
    CancelReasonSchema, CrossWindowsSchema, EditTypeSchema, ErrorTypeSchema, ImageFileSchema, ImageStreamEventSchema,
    JobKindSchema, JobStatusSchema, LocalBlendSchema, OriginSchema, OutputFormatSchema, RecordingSchema,
    RelationSchema, RoleSchema, SchedulerSchema, StreamEventSchema, TierSchema, WarningCodeSchema, WindowSchema,
};
pub(crate) use waiting::WaitHeaders;
