//! What the worker knows of the sources and jobs that it works on, as states whose transitions are methods.
//!
//! A job is held by its source, so it cannot outlive what it reads. States are private to their types: what is not a
//! transition here cannot happen. Transitions that need the device or the store are given a closure for it, and say in
//! their result what follows. Nothing here computes, reserves or reads by itself, so each transition is tested alone.
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Sources`] | all sources with their jobs |
//! | [`ActiveSource`], [`SourceState`] | one source and its jobs; the source alone |
//! | [`TrajectoryState`] | found, being read or run, complete |
//! | [`SharedLog`] | the attention that all edits of a source read |
//! | [`Job`], [`EditState`] | a job that has started, and its edit |

mod edit;
mod job;
mod shared_log;
mod source;
mod sources;
#[cfg(test)]
pub(crate) mod testing;
mod trajectory;

pub(crate) use self::edit::{Attention, AttentionRoom, Begun, EditState, FinishedEdit};
pub(crate) use self::job::{EditBegan, Job};
pub(crate) use self::shared_log::{OpenLog, SharedLog};
pub(crate) use self::source::{ActiveSource, Readable, SourceState, Written};
pub(crate) use self::sources::{RunOwner, Sources};
pub(crate) use self::trajectory::{Opened, TrajectoryState};
