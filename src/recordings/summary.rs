//! What is shown of a session, for lists and answers.

use std::sync::Arc;
use std::time::SystemTime;

use crate::recordings::entry::Entry;
use crate::recordings::place::{PerTier, Tier};
use crate::recordings::session_id::SessionId;
use crate::recordings::source::Source;

/// What is shown of a session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// What it is made from.
    pub source: Arc<Source>,
    /// The fastest tier that holds it.
    pub tier: Tier,
    /// Bytes by tier; zero for [`Tier::Source`].
    pub bytes: PerTier<u64>,
    /// Edits and sessions that found it recorded.
    pub hits: u64,
    /// When it was first recorded here.
    pub created: SystemTime,
    /// When it was last recorded or found.
    pub last_used: SystemTime,
}

impl SessionView {
    /// A session of which nothing but its source is left.
    pub fn of_source(id: &SessionId, source: &Arc<Source>) -> Self {
        Self::of(id, &Entry::new(Arc::clone(source), 0))
    }

    pub(crate) fn of(id: &SessionId, entry: &Entry) -> Self {
        Self {
            id: id.clone(),
            source: Arc::clone(&entry.source),
            tier: entry.tier(),
            bytes: entry.bytes(),
            hits: entry.hits,
            created: entry.created,
            last_used: entry.last_used,
        }
    }
}
