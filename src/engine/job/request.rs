//! What can be asked of the worker: the work of a job, and what it delivers besides.

use crate::engine::job::{PreparedEdit, PreparedSource};
use crate::telemetry::labels::label;

label! {
    /// What a job asks for.
    JobKind as "kind" {
        /// A source is to be run and recorded.
        Record = "record",
        /// A source is to be edited.
        Edit = "edit",
    }
}

/// The work of a job.
#[derive(Debug, Clone)]
pub enum Work {
    /// Run and record a source.
    Record {
        /// The source.
        source: PreparedSource,
    },
    /// Edit a source, which is recorded first unless it was recorded before.
    Edit {
        /// The source.
        source: PreparedSource,
        /// The edit.
        edit: PreparedEdit,
    },
}

impl Work {
    /// What is asked for, for metrics.
    pub fn kind(&self) -> JobKind {
        match self {
            Self::Record { .. } => JobKind::Record,
            Self::Edit { .. } => JobKind::Edit,
        }
    }

    /// The source that is recorded or edited.
    pub fn source(&self) -> &PreparedSource {
        match self {
            Self::Record { source } | Self::Edit { source, .. } => source,
        }
    }
}

/// What a job delivers besides its result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobOptions {
    /// Previews before the end, at even distances; see [`crate::engine::Progress::previews`].
    pub previews: usize,
    /// Whether the edit's attention is delivered.
    pub attention: bool,
}
