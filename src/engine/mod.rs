//! The engine: one thread that owns a model and its device, with a bounded queue of jobs in front of it.
//!
//! | part | what it is |
//! | --- | --- |
//! | [`Engine`] (`handle`), `config`, `shared` | the handle that submits jobs, what it is started with, what it shares with the worker |
//! | [`ModelRegistry`] (`registry`) | which engine serves which model |
//! | [`job`] | what can be asked for, and what comes back |
//! | `state` | sources, their attention logs and their jobs: states whose transitions are methods |
//! | `worker` | the loop on the thread: admission, start of runs, steps, completion |
//! | [`runs`], [`batch`], [`control`] | a source, a replay or an edit step by step; which of them share a UNet pass; attention as it is recorded and edited |
//! | [`backend`], `conditioning_cache` | what the engine needs of a model; encoded prompts |
//! | `loading`, `presets`, `budgets` | loading the model, the windows that suit it, the byte budgets that it needs |
//! | `metrics`, `trace` | what is counted, and a job's spans |

pub mod backend;
pub(crate) mod batch;
mod budgets;
mod conditioning_cache;
mod config;
pub(crate) mod control;
mod handle;
pub(crate) mod job;
mod loading;
pub(crate) mod metrics;
mod presets;
mod registry;
pub mod runs;
mod shared;
mod state;
mod trace;
mod worker;

pub(crate) use self::budgets::check_budgets;
pub use self::config::{EngineConfig, EngineParts};
pub use self::handle::Engine;
pub(crate) use self::handle::{Loaded, max_pixels};
pub use self::job::{
    CancelReason, EngineError, JobEnd, JobHandle, JobOptions, Outcome, PreparedEdit, PreparedSource, Progress,
    RecordingUse, RefuseReason, Stage, Work,
};
pub(crate) use self::job::{JobGroup, Outcomes, PrepareError, Timings, tokenize};
pub use self::loading::{LoadError, load};
pub use self::metrics::{EngineMetrics, SelfTestEnd, WorkerPart};
pub(crate) use self::presets::presets;
pub use self::registry::{ModelRegistry, ResolveError};
pub(crate) use self::trace::JOB_FAILED;
