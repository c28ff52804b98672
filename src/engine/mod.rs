//! The engine: one thread that owns a model and its device, with a bounded queue of jobs in front of it.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`Engine`] (`handle`), `config`, `shared` | the handle that submits jobs, its configuration, what it shares with the worker |
//! | [`ModelRegistry`] (`registry`) | which engine serves which model |
//! | [`job`] | what can be asked for, and what comes back |
//! | `state` | sources, their attention logs and their jobs: states whose transitions are methods |
//! | `worker` | the loop on the thread: admission, start of runs, steps, completion |
//! | [`runs`], [`batch`], [`control`] | a source, a replay or an edit step by step; which of them share a UNet pass; attention as it is recorded and edited |
//! | [`backend`], `conditioning_cache` | what the engine needs of a model; encoded prompts |
//! | `loading`, `presets` | loading the model, and the windows that suit it |
//! | `metrics`, `trace` | what is counted, and a job's spans |

pub mod backend;
pub mod batch;
mod conditioning_cache;
mod config;
pub mod control;
mod handle;
pub mod job;
mod loading;
pub mod metrics;
mod presets;
mod registry;
pub mod runs;
mod shared;
mod state;
mod trace;
mod worker;

pub use self::config::EngineConfig;
pub use self::handle::{Engine, Loaded, max_pixels};
pub use self::job::{
    CancelReason, EngineError, InternalError, JobEnd, JobGroup, JobHandle, JobKind, JobOptions, Outcome, Outcomes,
    PrepareError, PreparedEdit, Preview, Progress, RecordingUse, RefuseReason, Stage, Timings, Work, tokenize,
};
pub use self::loading::{LoadError, load};
pub use self::metrics::{EngineMetrics, SelfTestEnd, WorkerPart};
pub use self::presets::presets;
pub use self::registry::{ModelRegistry, ResolveError};
pub use self::shared::LoadedModel;
pub use self::trace::JOB_FAILED;
