//! The attention of a source that edits read, step by step.
//!
//! A log is filled from wherever its steps come (the source's own run, a replay from the trajectory, files) and read
//! by any number of edits, in any order, as soon as a step is there. A *kept* log holds all that was asked of it; a
//! *passing* one, for sources that are larger than memory, holds a few steps ahead of its one reader.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use candle_core::{Device, Result, Tensor};

use crate::diffusion::{Conditioning, tensor_bytes};
use crate::recordings::budget::Reservation;
use crate::recordings::coverage::Coverage;
use crate::recordings::layout::RecordingLayout;

/// Steps that a passing log holds: the one that is read, and the one that is written meanwhile.
pub const PASSING_STEPS: usize = 2;

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

/// A step's cross-attention: by layer, queries `[positions, channels]`; `None` where nothing is kept.
pub type CrossRecord = Vec<Option<Tensor>>;
/// A step's self-attention: by layer, queries and keys `[positions, channels]`; `None` where nothing is kept.
pub type SelfRecord = Vec<Option<(Tensor, Tensor)>>;

/// What there is of one step.
#[derive(Debug, Clone, Default)]
pub struct StepAttention {
    /// Cross-attention.
    pub cross: Option<Arc<CrossRecord>>,
    /// Self-attention.
    pub self_attention: Option<Arc<SelfRecord>>,
}

/// What a run needs of one step, or is to record of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepNeeds {
    /// Cross-attention.
    pub cross: bool,
    /// Self-attention.
    pub self_attention: bool,
}

impl StepNeeds {
    /// Whether anything is needed.
    pub fn any(self) -> bool {
        self.cross || self.self_attention
    }
}

impl Coverage {
    /// What is covered of a step.
    pub fn at(&self, step: usize) -> StepNeeds {
        StepNeeds { cross: self.cross.contains(step), self_attention: self.self_attention.contains(step) }
    }

    /// Takes out what is there of a step.
    pub fn remove(&mut self, step: usize, there: StepNeeds) {
        if there.cross {
            self.cross.remove(step);
        }
        if there.self_attention {
            self.self_attention.remove(step);
        }
    }
}

/// A source's attention, filled step by step.
#[derive(Debug)]
pub struct AttentionLog {
    layout: Arc<RecordingLayout>,
    contexts: Arc<SourceContexts>,
    is_passing: bool,
    /// Where its tensors lie.
    device: Device,
    inner: RwLock<Inner>,
    /// Gives the bytes back when the last reader is gone.
    reservation: Mutex<Reservation>,
}

#[derive(Debug)]
struct Inner {
    steps: Vec<StepAttention>,
    /// What bytes are reserved for: what is there, and what is on its way.
    promised: Coverage,
    /// Of a passing log: the step that its reader takes next.
    reader: usize,
}

impl AttentionLog {
    /// A log that keeps what is put into it, on a device; the reservation holds the bytes of `promised` and of the
    /// prompts.
    pub fn kept(
        layout: Arc<RecordingLayout>,
        contexts: Arc<SourceContexts>,
        promised: Coverage,
        steps: usize,
        (device, reservation): (Device, Reservation),
    ) -> Self {
        let inner = Inner { steps: vec![StepAttention::default(); steps], promised, reader: 0 };
        let (inner, reservation) = (RwLock::new(inner), Mutex::new(reservation));
        Self { layout, contexts, is_passing: false, device, inner, reservation }
    }

    /// A log for one reader, which gives up a step when that is read; the reservation holds the bytes of
    /// [`PASSING_STEPS`] steps and of the prompts.
    pub fn passing(
        layout: Arc<RecordingLayout>,
        contexts: Arc<SourceContexts>,
        steps: usize,
        room: (Device, Reservation),
    ) -> Self {
        Self { is_passing: true, ..Self::kept(layout, contexts, Coverage::none(steps), steps, room) }
    }

    /// The source's prompts.
    pub fn contexts(&self) -> &Arc<SourceContexts> {
        &self.contexts
    }

    /// What is recorded at this size.
    pub fn layout(&self) -> &Arc<RecordingLayout> {
        &self.layout
    }

    /// Where its tensors lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// What there is of a step.
    pub fn step(&self, step: usize) -> StepAttention {
        self.read().steps.get(step).cloned().unwrap_or_default()
    }

    /// Whether all that is needed of a step is there.
    pub fn has(&self, step: usize, needs: StepNeeds) -> bool {
        let inner = self.read();
        let Some(there) = inner.steps.get(step) else {
            return false;
        };
        (there.cross.is_some() || !needs.cross) && (there.self_attention.is_some() || !needs.self_attention)
    }

    /// Whether a step may be written now: into a passing log only when the reader is near.
    pub fn admits(&self, step: usize) -> bool {
        !self.is_passing || step < self.read().reader + PASSING_STEPS
    }

    /// Adds what has become known of a step; what is there stays.
    pub fn put(&self, step: usize, found: StepAttention) -> Result<()> {
        let found = found.on_device(&self.device)?;
        let mut inner = self.write();
        if self.is_passing && step < inner.reader {
            return Ok(());
        }
        if let Some(there) = inner.steps.get_mut(step) {
            there.cross = there.cross.take().or(found.cross);
            there.self_attention = there.self_attention.take().or(found.self_attention);
        }
        Ok(())
    }

    /// Tells that a reader is done with a step.
    pub fn read_past(&self, step: usize) {
        if self.is_passing {
            let mut inner = self.write();
            inner.reader = inner.reader.max(step + 1);
            let passed = inner.reader;
            inner.steps[..passed].fill(StepAttention::default());
        }
    }

    /// What bytes are reserved for.
    pub fn promised(&self) -> Coverage {
        self.read().promised.clone()
    }

    /// What is there.
    pub fn present(&self) -> Coverage {
        let inner = self.read();
        let mut present = Coverage::none(inner.steps.len());
        for (step, there) in inner.steps.iter().enumerate() {
            if there.cross.is_some() {
                present.cross.insert(step);
            }
            if there.self_attention.is_some() {
                present.self_attention.insert(step);
            }
        }
        present
    }

    /// Promises more; `reservation` holds the bytes of what is new.
    pub fn promise(&self, more: &Coverage, reservation: Reservation) {
        let mut inner = self.write();
        inner.promised = inner.promised.union(more);
        drop(inner);
        self.reserved().absorb(reservation);
    }

    /// Gives back the bytes of what was promised and has not come: nobody is filling the log any more.
    pub fn settle(&self) {
        if self.is_passing {
            return;
        }
        let present = self.present();
        self.write().promised = present.clone();
        self.reserved().shrink_to(self.layout.context_bytes() + self.layout.bytes(&present));
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        self.reserved().bytes()
    }

    /// Bytes of all tensors that are there now.
    pub fn measured_bytes(&self) -> u64 {
        let inner = self.read();
        let cross =
            inner.steps.iter().filter_map(|step| step.cross.as_ref()).flat_map(|record| record.iter().flatten());
        let own = inner.steps.iter().filter_map(|step| step.self_attention.as_ref());
        let own = own.flat_map(|record| record.iter().flatten());
        cross.map(tensor_bytes).sum::<u64>()
            + own.map(|(queries, keys)| tensor_bytes(queries) + tensor_bytes(keys)).sum::<u64>()
            + self.contexts.bytes()
    }

    /// The same log on another device, its bytes counted in another budget.
    pub fn moved_to(&self, device: &Device, reservation: Reservation) -> Result<Self> {
        let inner = self.read();
        let steps = inner.steps.iter().map(|step| step.moved_to(device)).collect::<Result<_>>()?;
        let inner = Inner { steps, promised: inner.promised.clone(), reader: inner.reader };
        Ok(Self {
            layout: Arc::clone(&self.layout),
            contexts: Arc::clone(&self.contexts),
            is_passing: self.is_passing,
            device: device.clone(),
            inner: RwLock::new(inner),
            reservation: Mutex::new(reservation),
        })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserved(&self) -> std::sync::MutexGuard<'_, Reservation> {
        self.reservation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StepAttention {
    /// The same where the edit is computed, copied only where it lies elsewhere.
    pub fn on_device(self, device: &Device) -> Result<Self> {
        // On the processor everything is where it is needed.
        if device.is_cpu() { Ok(self) } else { self.moved_to(device) }
    }

    fn moved_to(&self, device: &Device) -> Result<Self> {
        self.map(|tensor| tensor.to_device(device))
    }

    /// Of this, what is needed.
    #[must_use]
    pub fn only(self, needs: StepNeeds) -> Self {
        Self {
            cross: self.cross.filter(|_| needs.cross),
            self_attention: self.self_attention.filter(|_| needs.self_attention),
        }
    }

    /// The same with other tensors, made one by one of its own, always in the same order.
    pub fn map(&self, mut make: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let cross = self.cross.as_ref().map(|record| {
            let tensors = record.iter().map(|tensor| tensor.as_ref().map(&mut make).transpose());
            tensors.collect::<Result<CrossRecord>>().map(Arc::new)
        });
        let cross = cross.transpose()?;
        let self_attention = self.self_attention.as_ref().map(|record| {
            let mut made =
                |(queries, keys): &(Tensor, Tensor)| Ok::<_, candle_core::Error>((make(queries)?, make(keys)?));
            let tensors = record.iter().map(|pair| pair.as_ref().map(&mut made).transpose());
            tensors.collect::<Result<SelfRecord>>().map(Arc::new)
        });
        Ok(Self { cross, self_attention: self_attention.transpose()? })
    }
}
