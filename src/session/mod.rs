//! Sessions: sources that were run and recorded, found again by an id that follows from the source itself.
//!
//! - [`source`]: what a source is, and its id
//! - [`recording`]: what is kept of a source's run, step by step, and exactly how many bytes that is
//! - [`maps`]: attention to each token, for heat maps
//! - [`disk`]: recordings as files
//! - [`limits`]: how much may be kept, and where
//! - [`store`]: all sessions, within a budget of bytes and a limit of numbers

pub mod disk;
pub mod limits;
pub mod maps;
pub mod recording;
pub mod source;
pub mod store;

pub use limits::SessionLimits;
pub use maps::AttentionMaps;
pub use recording::{Recording, RecordingLayout, StepRecord};
pub use source::{SessionId, Source};
pub use store::{SessionStore, SessionView, Tier};
