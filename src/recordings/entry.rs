//! One session in the index: what of it is kept, where, what is being written, and what an eviction takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::Reservation;
use crate::recordings::greedy_dual::Clock;
use crate::recordings::part::Part;
use crate::recordings::pin::Pinnable;
use crate::recordings::place::{PerTier, Place, Substance, Tier};
use crate::recordings::source::Source;
use crate::recordings::trajectory::Trajectory;

/// A session in the index.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What it is made from.
    pub source: Arc<Source>,
    /// Distinguishes this entry from earlier and later ones of the same id.
    pub generation: u64,
    /// False while its first recording is not complete: it is not listed yet.
    pub is_recorded: bool,
    pub trajectory: Option<Pinnable<Trajectory>>,
    /// On the device or in memory.
    pub attention: Option<(Place, Pinnable<AttentionLog>)>,
    pub stored: Stored,
    pub hits: u64,
    pub created: SystemTime,
    pub last_used: SystemTime,
    /// Orders sessions by use; clocks may stop or jump.
    pub last_tick: u64,
    /// The tiers' clocks at the last use.
    pub clocks: PerTier<Clock>,
}

/// What of a session is in the store, or queued to be written.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub source: Option<Reservation>,
    pub parts: BTreeMap<Part, Reservation>,
    /// Whether the source is queued to be written.
    pub is_source_queued: bool,
    /// Parts that are queued to be written.
    pub queued: BTreeSet<Part>,
    /// Parts in memory that were offered to the store since they came there. A part that is evicted from the store
    /// while it is in memory is not written again.
    pub offered: BTreeSet<Part>,
}

/// What is taken out of an entry by an eviction, to be dropped outside the lock.
#[derive(Debug)]
pub(crate) enum Evicted {
    /// From the device or from memory.
    Attention(Place, Pinnable<AttentionLog>),
    /// With the attention of the same session, which is useless without it.
    Trajectory {
        /// Held until it is dropped.
        _trajectory: Pinnable<Trajectory>,
        /// Held until it is dropped.
        _attention: Option<(Place, Pinnable<AttentionLog>)>,
    },
    /// From the store: these are to be deleted there, and their bytes are returned afterwards.
    Parts(Vec<(Part, Reservation)>),
}

impl Entry {
    /// An entry without a recording.
    pub(crate) fn new(source: Arc<Source>, generation: u64) -> Self {
        let now = SystemTime::now();
        Self {
            source,
            generation,
            is_recorded: false,
            trajectory: None,
            attention: None,
            stored: Stored::default(),
            hits: 0,
            created: now,
            last_used: now,
            last_tick: 0,
            clocks: PerTier::default(),
        }
    }

    /// Notes a use.
    pub(crate) fn touch(&mut self, tick: u64, clocks: PerTier<Clock>) {
        self.last_used = SystemTime::now();
        self.last_tick = tick;
        self.clocks = clocks;
    }

    /// Bytes in each tier.
    pub(crate) fn bytes(&self) -> PerTier<u64> {
        let mut bytes = PerTier::default();
        bytes[Tier::Disk] = self.stored.bytes();
        bytes[Tier::Trajectory] = self.trajectory.as_ref().map_or(0, |trajectory| trajectory.value().bytes());
        if let Some((place, log)) = &self.attention {
            bytes[Tier::of(Substance::Attention, *place)] = log.value().bytes();
        }
        bytes
    }

    /// The fastest tier that holds it.
    pub(crate) fn tier(&self) -> Tier {
        let mut stored = self.stored.parts.keys();
        match &self.attention {
            Some((place, _)) => Tier::of(Substance::Attention, *place),
            None if stored.any(|part| *part != Part::Trajectory) => Tier::Disk,
            None if self.trajectory.is_some() => Tier::Trajectory,
            None if !self.stored.parts.is_empty() => Tier::Disk,
            None => Tier::Source,
        }
    }

    /// Bytes that an eviction from a tier would free; `None` if nothing of this session can be evicted from it.
    pub(crate) fn evictable_bytes(&self, tier: Tier) -> Option<u64> {
        match tier {
            Tier::Device | Tier::Memory => {
                let (place, log) = self.attention.as_ref()?;
                (Tier::of(Substance::Attention, *place) == tier && !log.is_pinned()).then(|| log.value().bytes())
            }
            Tier::Trajectory => {
                let trajectory = self.trajectory.as_ref().filter(|trajectory| !trajectory.is_pinned())?;
                let is_attention_read = self.attention.as_ref().is_some_and(|(_, log)| log.is_pinned());
                (!is_attention_read).then(|| trajectory.value().bytes())
            }
            Tier::Disk => {
                let bytes: u64 = self.evictable_parts().map(|(_, file)| file.bytes()).sum();
                (bytes > 0).then_some(bytes)
            }
            Tier::Source => None,
        }
    }

    /// Takes out what [`Self::evictable_bytes`] counts.
    pub(crate) fn evict(&mut self, tier: Tier) -> Option<Evicted> {
        match tier {
            // It is demoted to memory, so what was offered stays offered.
            Tier::Device => self.attention.take().map(|(place, log)| Evicted::Attention(place, log)),
            Tier::Memory => self.take_attention().map(|(place, log)| Evicted::Attention(place, log)),
            Tier::Trajectory => {
                let attention = self.take_attention();
                self.stored.offered.clear();
                self.trajectory
                    .take()
                    .map(|trajectory| Evicted::Trajectory { _trajectory: trajectory, _attention: attention })
            }
            Tier::Disk => {
                let parts: Vec<Part> = self.evictable_parts().map(|(part, _)| *part).collect();
                for part in &parts {
                    if self.is_in_memory(*part) {
                        self.stored.offered.insert(*part);
                    }
                }
                Some(Evicted::Parts(
                    parts.into_iter().filter_map(|part| self.stored.parts.remove_entry(&part)).collect(),
                ))
            }
            Tier::Source => None,
        }
    }

    /// Takes out the attention in memory or on the device. If it is computed again, it may be written again.
    pub(crate) fn take_attention(&mut self) -> Option<(Place, Pinnable<AttentionLog>)> {
        self.stored.offered.retain(|part| *part == Part::Trajectory);
        self.attention.take()
    }

    /// The cost of computing again what an eviction would take: rows of the UNet, times the pixels of each.
    pub(crate) fn cost(&self, tier: Tier) -> f64 {
        let attention_steps = match (tier, &self.attention) {
            (Tier::Device | Tier::Memory, Some((_, log))) => log.value().planned().steps(),
            (Tier::Disk, _) if self.stored.parts.len() > 1 => self.stored.parts.len() - 1,
            // Both rows of every step.
            _ => 2 * self.source.steps,
        };
        #[allow(clippy::cast_precision_loss)]
        let work = (attention_steps * self.source.width * self.source.height) as f64;
        work
    }

    /// The parts that an eviction takes: attention first, which is large and can be computed from the trajectory.
    fn evictable_parts(&self) -> impl Iterator<Item = (&Part, &Reservation)> {
        let parts = &self.stored.parts;
        parts.iter().filter(|(part, _)| parts.len() == 1 || **part != Part::Trajectory)
    }

    fn is_in_memory(&self, part: Part) -> bool {
        match part {
            Part::Trajectory => self.trajectory.is_some(),
            _ => self.attention.as_ref().is_some_and(|(_, log)| log.value().present().has_part(part)),
        }
    }
}

impl Stored {
    /// Bytes in the store.
    pub(crate) fn bytes(&self) -> u64 {
        self.source.iter().chain(self.parts.values()).map(Reservation::bytes).sum()
    }

    /// Whether a part is to be written: it is not in the store, not queued, and was not offered before.
    pub(crate) fn offer(&mut self, part: Part) -> bool {
        let is_settled = self.parts.contains_key(&part) || self.queued.contains(&part) || self.offered.contains(&part);
        if !is_settled {
            self.offered.insert(part);
            self.queued.insert(part);
        }
        !is_settled
    }

    /// The reservations of all bytes in the store, to be dropped when they are deleted there.
    pub(crate) fn into_reservations(self) -> Vec<Reservation> {
        self.source.into_iter().chain(self.parts.into_values()).collect()
    }
}
