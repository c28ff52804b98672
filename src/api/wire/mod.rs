//! What goes over the wire: the bodies of requests and answers, as they are documented.

mod attention;
mod edit_report;
mod images;
mod model;
mod response;
mod schema;
mod waiting;

pub use attention::{AttentionAnswer, AttentionList, AttentionResponse, WordAttention};
pub use edit_report::{WarningBody, WindowsBody, WindowsFrom};
pub use images::{GeneratedImage, ImagesResponse, OpenAiError, OpenAiErrorBody, PartialImageEvent};
pub use model::{ExampleSchema, ModelDefaults, ModelList, ModelResponse, ModelSizes, PresetBody};
pub use response::{
    AlignResponse, AlignedWordsBody, EditResponse, ImageData, SessionList, SessionRef, SessionResponse, SourceBody,
    TierBytes, TimingsBody, TokenBody,
};
pub use schema::{ImageFileSchema, ImageStreamEventSchema, StreamEventSchema};
pub use waiting::{JobList, JobResponse, ProgressBody, QueueBody, ResultSchema, StartedEvent, StepEvent, WaitHeaders};
