//! Jobs: what can be asked of the worker, what comes back, and the two ends of a job in between.

mod error;
mod group;
mod handle;
mod outcome;
mod prepared;
mod progress;
mod request;

pub use self::error::{EngineError, InternalError};
pub use self::group::{JobGroup, Outcomes};
pub use self::handle::JobHandle;
pub(crate) use self::handle::{QueueSlot, Ticket};
pub use self::outcome::{CancelReason, JobEnd, Outcome, RecordingUse, RefuseReason, Timings};
pub use self::prepared::{PrepareError, PreparedEdit, PreparedSource, tokenize};
pub use self::progress::{Preview, Progress, Stage};
pub use self::request::{JobKind, JobOptions, Work};
