//! The attention of a source that edits read, step by step.
//!
//! A log is written by the source's run, by replays and from the store, and read by any number of edits, in any order,
//! as soon as a step is present. A *kept* log holds all that is planned for it. A *streamed* log, for a source whose
//! attention exceeds the budget, has one reader and holds only the few steps that this is about to read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use candle_core::{Device, Result, Tensor};

use crate::diffusion::Conditioning;
use crate::recordings::budget::Reservation;
use crate::recordings::coverage::Coverage;
use crate::recordings::layout::RecordingLayout;
use crate::recordings::site_group::{GroupSet, SiteGroup};
use crate::sync;

/// Steps that a streamed log holds: the one that is read, and the one that is written meanwhile.
pub const RING_STEPS: usize = 2;

/// The conditionings of a source's two prompts.
#[derive(Debug)]
pub struct SourceContexts {
    conditional: Conditioning,
    unconditional: Conditioning,
}

impl SourceContexts {
    /// Of the prompt and of the negative prompt.
    pub fn new(conditional: Conditioning, unconditional: Conditioning) -> Self {
        Self { conditional, unconditional }
    }

    /// Of the prompt.
    pub fn conditional(&self) -> &Conditioning {
        &self.conditional
    }

    /// Of the negative prompt, at a step. Every step has the same.
    pub fn unconditional(&self, _step: usize) -> &Conditioning {
        &self.unconditional
    }

    /// Bytes that the tensors take.
    pub fn bytes(&self) -> u64 {
        self.conditional.bytes() + self.unconditional.bytes()
    }
}

/// What is recorded of a layer at a step, `[positions, channels]` each.
#[derive(Debug, Clone)]
pub struct LayerRecord {
    /// The queries.
    pub queries: Tensor,
    /// The keys, in self-attention. Those of cross-attention come from the prompt.
    pub keys: Option<Tensor>,
}

/// What is recorded of a group of layers at a step, by [`AttentionSite::index`](crate::diffusion::unet::AttentionSite).
pub type GroupRecord = BTreeMap<usize, LayerRecord>;

/// The attention of one step. A group is present as a whole or not at all.
#[derive(Debug, Clone, Default)]
pub struct StepAttention(BTreeMap<SiteGroup, Arc<GroupRecord>>);

/// A source's attention, filled step by step.
#[derive(Debug)]
pub struct AttentionLog {
    layout: Arc<RecordingLayout>,
    contexts: Arc<SourceContexts>,
    is_streamed: bool,
    /// The device of its tensors.
    device: Device,
    inner: RwLock<Inner>,
    /// Returns the bytes when the last reader drops the log.
    reservation: Mutex<Reservation>,
}

#[derive(Debug)]
struct Inner {
    steps: Vec<StepAttention>,
    /// What bytes are reserved for: what is present, and what is still to be written.
    planned: Coverage,
    /// Of a streamed log: the step that its reader takes next.
    reader: usize,
}

impl AttentionLog {
    /// A log that keeps what is put into it, on a device; the reservation holds the bytes of `planned` and of
    /// the conditionings.
    pub fn kept(
        layout: Arc<RecordingLayout>,
        contexts: Arc<SourceContexts>,
        planned: Coverage,
        steps: usize,
        (device, reservation): (Device, Reservation),
    ) -> Self {
        let inner = Inner { steps: vec![StepAttention::default(); steps], planned, reader: 0 };
        let (inner, reservation) = (RwLock::new(inner), Mutex::new(reservation));
        Self { layout, contexts, is_streamed: false, device, inner, reservation }
    }

    /// A log for one reader, which drops a step when that is read; the reservation holds the bytes of [`RING_STEPS`]
    /// steps and of the conditionings.
    pub fn streamed(
        layout: Arc<RecordingLayout>,
        contexts: Arc<SourceContexts>,
        steps: usize,
        placed: (Device, Reservation),
    ) -> Self {
        Self { is_streamed: true, ..Self::kept(layout, contexts, Coverage::none(steps), steps, placed) }
    }

    /// The conditionings of the source's prompts.
    pub fn contexts(&self) -> &Arc<SourceContexts> {
        &self.contexts
    }

    /// What is recorded at this size.
    pub fn layout(&self) -> &Arc<RecordingLayout> {
        &self.layout
    }

    /// What there is of a step.
    pub fn step(&self, step: usize) -> StepAttention {
        self.read().steps.get(step).cloned().unwrap_or_default()
    }

    /// Whether all that is needed of a step is present.
    pub fn has(&self, step: usize, needs: GroupSet) -> bool {
        self.read().steps.get(step).is_some_and(|there| there.present().contains_all(needs))
    }

    /// Whether a step may be written now. A streamed log admits the step that its reader takes next, and the one after
    /// it.
    pub fn admits(&self, step: usize) -> bool {
        !self.is_streamed || step < self.read().reader + RING_STEPS
    }

    /// Adds groups of a step; those that are present stay.
    pub fn put(&self, step: usize, attention: StepAttention) -> Result<()> {
        let attention = attention.on_device(&self.device)?;
        let mut inner = self.write();
        if self.is_streamed && step < inner.reader {
            return Ok(());
        }
        if let Some(there) = inner.steps.get_mut(step) {
            there.add(attention);
        }
        Ok(())
    }

    /// Notes that the reader is done with a step.
    pub fn read_past(&self, step: usize) {
        if self.is_streamed {
            let mut inner = self.write();
            inner.reader = inner.reader.max(step + 1);
            let read = inner.reader;
            inner.steps[..read].fill(StepAttention::default());
        }
    }

    /// What bytes are reserved for.
    pub fn planned(&self) -> Coverage {
        self.read().planned.clone()
    }

    /// What is present.
    pub fn present(&self) -> Coverage {
        let inner = self.read();
        Coverage::select(inner.steps.len(), |step| inner.steps[step].present())
    }

    /// Plans more; `reservation` holds the bytes of what is new.
    pub fn plan(&self, more: &Coverage, reservation: Reservation) {
        let mut inner = self.write();
        inner.planned = inner.planned.union(more);
        drop(inner);
        self.reserved().absorb(reservation);
    }

    /// Returns the bytes of what is planned and not present. To be called when nothing writes the log any more.
    pub fn settle(&self) {
        if self.is_streamed {
            return;
        }
        let present = self.present();
        self.write().planned = present.clone();
        self.reserved().shrink_to(self.layout.context_bytes() + self.layout.bytes(&present));
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.reserved().bytes()
    }

    /// The same log on another device, its bytes counted in another budget.
    pub fn moved_to(&self, device: &Device, reservation: Reservation) -> Result<Self> {
        let inner = self.read();
        let steps = inner.steps.iter().map(|step| step.moved_to(device)).collect::<Result<_>>()?;
        let inner = Inner { steps, planned: inner.planned.clone(), reader: inner.reader };
        Ok(Self {
            layout: Arc::clone(&self.layout),
            contexts: Arc::clone(&self.contexts),
            is_streamed: self.is_streamed,
            device: device.clone(),
            inner: RwLock::new(inner),
            reservation: Mutex::new(reservation),
        })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        sync::read(&self.inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        sync::write(&self.inner)
    }

    fn reserved(&self) -> std::sync::MutexGuard<'_, Reservation> {
        sync::lock(&self.reservation)
    }
}

impl StepAttention {
    /// One group of a step.
    pub fn of(group: SiteGroup, record: GroupRecord) -> Self {
        std::iter::once((group, record)).collect()
    }

    /// The groups that are present.
    pub fn present(&self) -> GroupSet {
        self.0.keys().copied().collect()
    }

    /// A group, if it is present.
    pub fn group(&self, group: SiteGroup) -> Option<&GroupRecord> {
        self.0.get(&group).map(Arc::as_ref)
    }

    /// A layer of a group, if it is present.
    pub fn layer(&self, group: SiteGroup, layer: usize) -> Option<&LayerRecord> {
        self.group(group)?.get(&layer)
    }

    /// The same on the device of an edit; copied only if it is elsewhere.
    pub fn on_device(self, device: &Device) -> Result<Self> {
        // On the CPU everything is where it is needed.
        if device.is_cpu() { Ok(self) } else { self.moved_to(device) }
    }

    fn moved_to(&self, device: &Device) -> Result<Self> {
        self.map(|tensor| tensor.to_device(device))
    }

    /// Only the groups that are needed.
    #[must_use]
    pub fn only(mut self, needs: GroupSet) -> Self {
        self.0.retain(|group, _| needs.contains(*group));
        self
    }

    /// Adds the groups that are not present yet.
    fn add(&mut self, other: Self) {
        for (group, record) in other.0 {
            self.0.entry(group).or_insert(record);
        }
    }

    /// The same with each tensor replaced by what `make` makes of it, always in the same order.
    pub fn map(&self, mut make: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let mut made = Self::default();
        for (group, record) in &self.0 {
            let mut of_group = GroupRecord::new();
            for (layer, LayerRecord { queries, keys }) in record.iter() {
                let queries = make(queries)?;
                of_group.insert(*layer, LayerRecord { queries, keys: keys.as_ref().map(&mut make).transpose()? });
            }
            made.0.insert(*group, Arc::new(of_group));
        }
        Ok(made)
    }
}

impl FromIterator<(SiteGroup, GroupRecord)> for StepAttention {
    fn from_iter<I: IntoIterator<Item = (SiteGroup, GroupRecord)>>(groups: I) -> Self {
        Self(groups.into_iter().map(|(group, record)| (group, Arc::new(record))).collect())
    }
}
