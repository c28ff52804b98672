//! Sessions: sources that were run and recorded, found again by an id that follows from the source itself.
//!
//! - [`source`]: what a source is, and its id
//! - [`trajectory`], [`attention`]: what is kept of a source's run, step by step; [`layout`]: exactly how many bytes
//!   that is; [`coverage`]: of which steps
//! - [`maps`]: attention to each token, for heat maps
//! - [`store`]: all sessions, [`view`]: what may be told of one; [`limits`], [`budget`]: how much of them may be kept, and where; [`tiers`], [`priority`]:
//!   what is pushed out to make room
//! - [`disk`]: files of recordings; [`spool`]: reading and writing them, on a thread of its own (`filing`); [`parts`]: recordings as files hold them

pub mod attention_log;
pub mod budget;
pub mod codec;
pub mod coverage;
pub mod disk;
pub mod disk_queue;
mod disk_thread;
mod eviction;
pub mod greedy_dual;
pub mod layout;
pub mod limits;
pub mod maps;
mod metrics;
pub mod site_group;
pub mod source;
pub mod store;
pub mod summary;
pub mod tier;
pub mod trajectory;

pub use attention_log::{AttentionLog, GroupRecord, LayerRecord, SourceContexts, StepAttention};
pub use coverage::Coverage;
pub use layout::{RecordingLayout, ValueBytes};
pub use limits::SessionLimits;
pub use maps::AttentionMaps;
pub use metrics::RecordingMetrics;
pub use site_group::{GroupSet, SiteGroup};
pub use source::{SessionId, Source};
pub use store::SessionStore;
pub use summary::{SessionView, TierBytes};
pub use tier::Tier;
pub use trajectory::{Trajectory, TrajectoryStep};
