//! Recordings: what is kept of the runs of sources, found again by an id that follows from the source itself.
//!
//! - `source`, `session_id`: what a source is, and the id of its session
//! - `trajectory`, `attention_log`: what is kept of a source's run, step by step; `layout`: exactly how many bytes that
//!   is; `coverage`: of which steps
//! - `maps`: attention to each token, for heat maps
//! - `place`: where these are kept (device, memory, disk), and the tiers; `limits`, `budget`: how many bytes each tier
//!   may hold
//! - `index`, `entry`: all sessions; `pin`, `eviction`, `greedy_dual`: which of them is evicted to free bytes
//! - `store`: a store that outlives the process, as a trait; `part`: the parts of a recording in it; `disk`: the store
//!   of local files; `queue`: the thread that calls the store; `codec`: recordings as tensors by name
//! - `handle`: [`Recordings`], which the engine uses; `lookup`: finding a session; `persist`: writing one to the store;
//!   `summary`: what is shown of a session; `metrics`: gauges and counters

pub(crate) mod attention_log;
pub(crate) mod budget;
mod codec;
pub(crate) mod coverage;
mod disk;
mod entry;
mod eviction;
mod greedy_dual;
mod handle;
mod index;
pub(crate) mod layout;
pub(crate) mod limits;
mod lookup;
pub(crate) mod maps;
mod metrics;
mod part;
mod persist;
mod pin;
mod place;
mod queue;
mod session_id;
pub(crate) mod site_group;
pub(crate) mod source;
pub mod store;
pub(crate) mod summary;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod trajectory;

pub use attention_log::{AttentionLog, SourceContexts};
pub(crate) use attention_log::{GroupRecord, LayerRecord, StepAttention};
pub use budget::Budgets;
pub(crate) use coverage::Coverage;
pub(crate) use disk::Folder;
pub use handle::Recordings;
pub(crate) use layout::RecordingLayout;
pub use layout::ValueBytes;
pub use limits::SessionLimits;
pub(crate) use lookup::{Lookup, Recording};
pub(crate) use maps::AttentionMaps;
pub use metrics::RecordingMetrics;
pub use part::Part;
pub(crate) use pin::Pinned;
pub use place::Tier;
pub(crate) use place::{Place, Substance};
pub(crate) use queue::{StoreEvent, StoredTrajectory};
pub use session_id::SessionId;
pub(crate) use site_group::{GroupSet, SiteGroup};
pub use source::{Origin, Source};
pub use store::{FileFault, RecordingStore, StoreError, WriteFault};
pub(crate) use summary::SessionView;
pub use trajectory::Trajectory;
pub(crate) use trajectory::TrajectoryStep;
