//! The sources and jobs that the worker works on, as states whose transitions are methods.
//!
//! A job is held by its source, so it cannot outlive what it reads. States are private to their types: what is not a
//! transition here cannot happen. Transitions that need the device or the store take a closure for it, and their result
//! says what has to happen next. Nothing here computes, reserves or reads by itself, so each transition is tested
//! alone.
//!
//! | type | what it is |
//! | --- | --- |
//! | [`Sources`] | all sources with their jobs |
//! | [`ActiveSource`], [`SourceState`] | one source and its jobs; the source alone |
//! | [`TrajectoryState`] | reserved, being looked up, read or run, complete |
//! | [`SharedLog`] | the attention that all edits of a source read |
//! | [`RunningJob`], [`EditState`] | a job that has started, and its edit |

mod edit;
mod job;
mod shared_log;
mod source;
mod sources;
#[cfg(test)]
pub(crate) mod testing;
mod trajectory;

pub(crate) use self::edit::{Attention, Begun, EditState, FinishedEdit, LogChoice};
pub(crate) use self::job::{EditBegan, RunningJob};
pub(crate) use self::shared_log::{OpenLog, SharedLog};
pub(crate) use self::source::{ActiveSource, Pins, Readable, SourceState};
pub(crate) use self::sources::{RunOwner, Sources};
pub(crate) use self::trajectory::{Opened, Stored, TrajectoryState};
