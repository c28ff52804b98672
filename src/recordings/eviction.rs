//! Making room in a tier: what nobody reads is pushed out, the least worth first.

use std::sync::Arc;

use candle_core::Device;

use crate::recordings::Tier;
use crate::recordings::budget::Reservation;
use crate::recordings::disk::Part;
use crate::recordings::greedy_dual::{Clock, Credit, least};
use crate::recordings::source::SessionId;
use crate::recordings::store::{Clocks, Inner, Session, SessionStore};

/// Something that can be pushed out of a tier.
struct Victim {
    id: SessionId,
    credit: Credit,
    bytes: u64,
}

impl SessionStore {
    /// The most bytes that a tier may hold.
    pub fn limit(&self, tier: Tier) -> u64 {
        self.budget(tier).map_or(0, |budget| budget.limit())
    }

    /// Reserves bytes in a tier, pushing out what nobody reads where it must. `None` where even that would not be
    /// enough; then nothing is pushed out. To be called on the thread that owns the device.
    pub fn reserve(&self, tier: Tier, bytes: u64) -> Option<Reservation> {
        let budget = self.budget(tier)?;
        loop {
            if let Some(reservation) = budget.try_reserve(bytes) {
                return Some(reservation);
            }
            let missing = budget.missing(bytes);
            let inner = self.lock();
            let possible: u64 = inner.idle(tier).map(|(_, _, (_, bytes))| bytes).sum();
            let (credit, (id, freed)) =
                least(inner.idle(tier)).filter(|_| bytes <= budget.limit() && possible >= missing)?;
            let victim = Victim { id: id.clone(), credit, bytes: freed };
            drop(inner);
            self.push_out(tier, &victim);
        }
    }

    /// Pushes one session out of a tier, into the next where that has room.
    fn push_out(&self, tier: Tier, victim: &Victim) {
        tracing::debug!(session = %victim.id, tier = tier.as_str(), bytes = victim.bytes, "pushed out to make room");
        self.metrics.demotions.of(tier).inc();
        let mut inner = self.lock();
        inner.clocks.of(tier).pushed_out(victim.credit);
        let Some(session) = inner.sessions.get_mut(&victim.id) else {
            return;
        };
        // What is taken out is given back when the lock is gone.
        match tier {
            Tier::Device | Tier::Memory => {
                let attention = session.attention.take();
                drop(inner);
                if let (Tier::Device, Some((_, log))) = (tier, attention) {
                    self.move_to_memory(&victim.id, &log);
                }
            }
            Tier::Trajectory => {
                let taken = (session.trajectory.take(), session.attention.take());
                drop(inner);
                drop(taken);
            }
            Tier::Disk => {
                // Attention first: it is large, and the trajectory is what it is computed again from.
                let mut parts: Vec<Part> = session.files.parts.keys().copied().collect();
                if parts.len() > 1 {
                    parts.retain(|part| *part != Part::Trajectory);
                }
                let taken: Vec<_> = parts.iter().filter_map(|part| session.files.parts.remove(part)).collect();
                drop(inner);
                for part in parts {
                    self.remove_file(&victim.id, part);
                }
                drop(taken);
            }
            Tier::Source => {}
        }
    }

    fn move_to_memory(&self, id: &SessionId, log: &crate::recordings::AttentionLog) {
        let Some(reservation) = self.reserve(Tier::Memory, log.bytes()) else {
            return;
        };
        match log.moved_to(&Device::Cpu, reservation) {
            Ok(moved) => self.attach_attention(id, Tier::Memory, &Arc::new(moved)),
            Err(error) => tracing::warn!(%error, session = %id, "a recording could not be copied to memory"),
        }
    }
}

impl Clocks {
    fn of(&mut self, tier: Tier) -> &mut Clock {
        match tier {
            Tier::Device => &mut self.device,
            Tier::Memory => &mut self.memory,
            Tier::Disk => &mut self.disk,
            Tier::Trajectory | Tier::Source => &mut self.trajectory,
        }
    }
}

impl Inner {
    /// What could be pushed out of a tier, for nobody reads it: its credit, its last use, whose it is and its bytes.
    fn idle(&self, tier: Tier) -> impl Iterator<Item = (Credit, u64, (&SessionId, u64))> {
        self.sessions.iter().filter_map(move |(id, session)| {
            let (bytes, cost, mut clocks) = (session.idle_bytes(tier)?, session.cost(tier), session.clocks);
            Some((clocks.of(tier).credit(cost, bytes), session.last_tick, (id, bytes)))
        })
    }
}

impl Session {
    /// Bytes that pushing it out of a tier would free.
    fn idle_bytes(&self, tier: Tier) -> Option<u64> {
        let is_read = self.attention.as_ref().is_some_and(|(_, log)| Arc::strong_count(log) > 1);
        match tier {
            Tier::Device | Tier::Memory => {
                let (at, log) = self.attention.as_ref()?;
                (*at == tier && !is_read).then(|| log.bytes())
            }
            Tier::Trajectory => {
                let trajectory = self.trajectory.as_ref()?;
                (!is_read && Arc::strong_count(trajectory) == 1).then(|| trajectory.bytes())
            }
            Tier::Disk => {
                let (parts, only_trajectory) = (&self.files.parts, self.files.parts.len() == 1);
                let pushed_out = parts.iter().filter(|(part, _)| only_trajectory || **part != Part::Trajectory);
                let bytes: u64 = pushed_out.map(|(_, file)| file.bytes()).sum();
                (bytes > 0).then_some(bytes)
            }
            Tier::Source => None,
        }
    }

    /// What it takes to have again what would be pushed out: rows of the UNet, times the pixels of each.
    fn cost(&self, tier: Tier) -> f64 {
        let attention_steps = match (tier, &self.attention) {
            (Tier::Device | Tier::Memory, Some((_, log))) => log.planned().steps(),
            (Tier::Disk, _) if self.files.parts.len() > 1 => self.files.parts.len() - 1,
            // Both rows of every step.
            _ => 2 * self.source.steps,
        };
        #[allow(clippy::cast_precision_loss)]
        let work = (attention_steps * self.source.width * self.source.height) as f64;
        work
    }
}
