//! Jobs: what can be asked of the worker, what comes back, and the two ends of a job in between.
//!
//! - `request`, `prepared`: the work and the options of a job; an edit that is checked and planned
//! - `handle`: the client's end and the worker's end; `group`: several jobs of one request
//! - `progress`, `outcome`, `error`: how far a job is, how it ends, why it fails

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
