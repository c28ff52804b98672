//! Limits on recordings: byte budgets by tier, and limits on sessions.

use std::path::PathBuf;
use std::time::Duration;

/// Budgets of the tiers in bytes ([`Budgets::new`](crate::recordings::Budgets::new)), each kept exactly, and limits on
/// sessions of any tier.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionLimits {
    /// Recordings on the device. On the CPU the device's memory is the host's, and this should be 0.
    pub device_bytes: u64,
    /// Recordings in the memory of the host.
    pub memory_bytes: u64,
    /// Trajectories (latents, mean maps, images), always in the memory of the host.
    pub trajectory_bytes: u64,
    /// Files; nothing is written if [`Self::dir`] is `None`.
    pub disk_bytes: u64,
    /// The folder of the files.
    pub dir: Option<PathBuf>,
    /// The most sessions that are kept, in any tier.
    pub max_sessions: usize,
    /// Sessions that have not been used for this long expire.
    pub ttl: Option<Duration>,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            device_bytes: 0,
            memory_bytes: 8 << 30,
            trajectory_bytes: 1 << 30,
            disk_bytes: 32 << 30,
            dir: None,
            max_sessions: 10_000,
            ttl: None,
        }
    }
}
