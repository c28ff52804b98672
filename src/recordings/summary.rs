//! What may be told of a session.

use std::sync::Arc;
use std::time::SystemTime;

use crate::recordings::Tier;
use crate::recordings::budget::Reservation;
use crate::recordings::disk::Part;
use crate::recordings::source::{SessionId, Source};
use crate::recordings::store::Session;

/// What may be told of a session.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// What it was made from.
    pub source: Arc<Source>,
    /// The best tier that holds it.
    pub tier: Tier,
    /// Bytes by tier; none for [`Tier::Source`].
    pub bytes: TierBytes,
    /// Edits and sessions that found it recorded.
    pub hits: u64,
    /// When it was first recorded here.
    pub created: SystemTime,
    /// When it was last recorded or found.
    pub last_used: SystemTime,
}

/// Bytes of a session in each tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TierBytes {
    /// On the device.
    pub device: u64,
    /// In the memory of the host.
    pub memory: u64,
    /// In files.
    pub disk: u64,
    /// Of the trajectory, in the memory of the host.
    pub trajectory: u64,
}

impl SessionView {
    /// A session of which nothing but its source is left.
    pub fn of_source(id: &SessionId, source: &Arc<Source>) -> Self {
        let now = SystemTime::now();
        Self {
            id: id.clone(),
            source: Arc::clone(source),
            tier: Tier::Source,
            bytes: TierBytes::default(),
            hits: 0,
            created: now,
            last_used: now,
        }
    }
}

impl Session {
    pub(crate) fn view(&self, id: &SessionId) -> SessionView {
        let files = self.files.source.iter().chain(self.files.parts.values());
        let mut bytes = TierBytes {
            disk: files.map(Reservation::bytes).sum(),
            trajectory: self.trajectory.as_ref().map_or(0, |trajectory| trajectory.bytes()),
            ..TierBytes::default()
        };
        let tier = match &self.attention {
            Some((Tier::Device, log)) => {
                bytes.device = log.bytes();
                Tier::Device
            }
            Some((_, log)) => {
                bytes.memory = log.bytes();
                Tier::Memory
            }
            None if self.files.parts.keys().any(|part| *part != Part::Trajectory) => Tier::Disk,
            None if self.trajectory.is_some() => Tier::Trajectory,
            None if !self.files.parts.is_empty() => Tier::Disk,
            None => Tier::Source,
        };
        SessionView {
            id: id.clone(),
            source: Arc::clone(&self.source),
            tier,
            bytes,
            hits: self.hits,
            created: self.created,
            last_used: self.last_used,
        }
    }
}
