//! Freeing bytes in a tier: entries that are not pinned are evicted, the least credit first
//! ([`crate::recordings::greedy_dual`]). What is evicted from the device is demoted to memory, if it fits there.

use std::sync::Arc;

use candle_core::Device;

use crate::recordings::attention_log::AttentionLog;
use crate::recordings::budget::Reservation;
use crate::recordings::entry::Evicted;
use crate::recordings::greedy_dual::{Credit, least};
use crate::recordings::index::{Index, Inner};
use crate::recordings::place::{Place, Tier};
use crate::recordings::session_id::SessionId;

impl Index {
    /// Reserves bytes on the device or in memory, evicting what is not pinned if necessary. `None` if even that would
    /// not be enough; then nothing is evicted. In the store only free bytes are reserved, because evicting there takes
    /// deletions ([`Self::reserve_evicting`]). To be called on the thread that owns the device.
    pub(crate) fn reserve(&self, tier: Tier, bytes: u64) -> Option<Reservation> {
        if tier == Tier::Disk {
            return self.budgets[tier].try_reserve(bytes);
        }
        self.reserve_evicting(tier, bytes, |session, evicted| match evicted {
            Evicted::Attention(Place::Device, log) => self.demote_to_memory(session, log.value()),
            evicted => drop(evicted),
        })
    }

    /// Reserves bytes; what is evicted for them is handed to `release`, outside the lock. `None` if evicting everything
    /// would not be enough; then nothing is evicted.
    pub(crate) fn reserve_evicting(
        &self,
        tier: Tier,
        bytes: u64,
        mut release: impl FnMut(&SessionId, Evicted),
    ) -> Option<Reservation> {
        let budget = &self.budgets[tier];
        loop {
            if let Some(reservation) = budget.try_reserve(bytes) {
                return Some(reservation);
            }
            if bytes > budget.limit() {
                return None;
            }
            let (session, evicted) = self.lock().evict_least(tier, budget.missing(bytes))?;
            self.metrics.demotions.with(tier).inc();
            tracing::debug!(%session, tier = tier.as_str(), "evicted to make room");
            release(&session, evicted);
        }
    }

    /// Demotes what is evicted from the device to memory, if it fits there.
    fn demote_to_memory(&self, session: &SessionId, log: &AttentionLog) {
        let moved = self.reserve(Tier::Memory, log.bytes()).map(|reservation| log.moved_to(&Device::Cpu, reservation));
        match moved {
            Some(Ok(moved)) => return drop(self.attach_attention(session, Place::Memory, &Arc::new(moved))),
            Some(Err(error)) => tracing::warn!(%error, %session, "a recording could not be copied to memory"),
            None => {}
        }
        if let Some(entry) = self.lock().entries.get_mut(session) {
            entry.take_attention();
        }
    }
}

impl Inner {
    /// Evicts the entry of the least credit from a tier, if evicting all of them would free `missing` bytes.
    fn evict_least(&mut self, tier: Tier, missing: u64) -> Option<(SessionId, Evicted)> {
        let possible: u64 = self.evictable(tier).map(|(_, _, (_, bytes))| bytes).sum();
        let (credit, (session, _)) = least(self.evictable(tier)).filter(|_| possible >= missing)?;
        let session = session.clone();
        self.clocks[tier].evict(credit);
        let evicted = self.entries.get_mut(&session)?.evict(tier)?;
        Some((session, evicted))
    }

    /// What can be evicted from a tier: its credit, its last use, its session and its bytes.
    fn evictable(&self, tier: Tier) -> impl Iterator<Item = (Credit, u64, (&SessionId, u64))> {
        self.entries.iter().filter_map(move |(id, entry)| {
            let bytes = entry.evictable_bytes(tier)?;
            Some((entry.clocks[tier].credit(entry.cost(tier), bytes), entry.last_tick, (id, bytes)))
        })
    }
}
