//! Recordings: what is kept of sources that were run, found again by an id that follows from the source itself.
//!
//! - `source`, `session_id`: what a source is, and the id of its session
//! - `trajectory`, `attention_log`: what is kept of a source's run, step by step; `layout`: exactly how many bytes that
//!   is; `coverage`: of which steps
//! - `maps`: attention to each token, for heat maps
//! - `place`: where these lie (device, memory, disk), and the tiers that sum it up; `limits`, `budget`: how many bytes each
//!   tier may hold
//! - `index`, `entry`: all sessions; `pin`, `eviction`, `greedy_dual`: what is evicted to make room
//! - `store`: the store behind this process, as a trait; `disk`: the store of local files; `queue`: the thread that calls
//!   the store; `codec`: recordings as tensors by name
//! - `handle`: the engine's side of all this; `lookup`: what it finds of a session; `persist`: what it writes; `summary`: what is
//!   shown of a session

pub mod attention_log;
pub mod budget;
pub mod codec;
pub mod coverage;
pub mod disk;
mod entry;
mod eviction;
mod greedy_dual;
mod handle;
mod index;
pub mod layout;
pub mod limits;
mod lookup;
pub mod maps;
mod metrics;
mod persist;
mod pin;
mod place;
mod queue;
mod session_id;
pub mod site_group;
pub mod source;
pub mod store;
pub mod summary;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod trajectory;

pub use attention_log::{AttentionLog, GroupRecord, LayerRecord, SourceContexts, StepAttention};
pub use budget::Budgets;
pub use coverage::Coverage;
pub use handle::Recordings;
pub use layout::{RecordingLayout, ValueBytes};
pub use limits::SessionLimits;
pub use lookup::{Known, Lookup, Recording};
pub use maps::AttentionMaps;
pub use metrics::RecordingMetrics;
pub use pin::Pinned;
pub use place::{PerTier, Place, Substance, Tier};
pub use queue::StoreEvent;
pub use session_id::SessionId;
pub use site_group::{GroupSet, SiteGroup};
pub use source::{Origin, Source};
pub use store::RecordingStore;
pub use summary::SessionView;
pub use trajectory::{Trajectory, TrajectoryStep};

/// The name that the engine knows [`Recordings`] by.
pub type SessionStore = Recordings;

/// Events and tensors as the engine imports them.
pub mod disk_queue {
    pub use crate::recordings::queue::StoreEvent as Spooled;
    pub use crate::recordings::store::Tensors;
}
