//! Prefetching a source's attention from host memory to a GPU: a step's attention is copied while the step before it is
//! computed. On the CPU, and for recordings on the device, nothing is copied.

use candle_core::{Device, Result};

#[cfg(feature = "cuda")]
use crate::kernels::cuda::staging::{Staged, Staging};
use crate::recordings::{AttentionLog, GroupSet, StepAttention};

/// Brings each step's attention to the device of an edit.
#[derive(Debug)]
pub(crate) struct Prefetch {
    device: Device,
    #[cfg(feature = "cuda")]
    in_flight: Box<InFlight>,
}

impl Prefetch {
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            #[cfg(feature = "cuda")]
            in_flight: Box::default(),
        }
    }

    /// A step's attention on the device. Begins to prefetch what the next step needs, if that is recorded already.
    pub fn step(
        &mut self,
        log: &AttentionLog,
        (step, needs): (usize, GroupSet),
        next: Option<(usize, GroupSet)>,
    ) -> Result<StepAttention> {
        if self.device.is_cpu() {
            return Ok(log.step(step));
        }
        #[cfg(feature = "cuda")]
        if log.device().is_cpu() {
            let attention = match self.in_flight.take(step)? {
                Some(attention) => attention,
                None => log.step(step).only(needs).on_device(&self.device)?,
            };
            if let Some((step, needs)) = next.filter(|(step, needs)| !needs.is_empty() && log.has(*step, *needs)) {
                self.in_flight.begin(&self.device, step, log.step(step).only(needs));
            }
            return Ok(attention);
        }
        let _ = next;
        log.step(step).only(needs).on_device(&self.device)
    }
}

/// The next step's attention, being copied.
#[cfg(feature = "cuda")]
#[derive(Debug, Default)]
struct InFlight {
    /// Made when it is first needed.
    staging: Option<Staging>,
    step: Option<(usize, StepAttention, Staged)>,
    /// Prefetching failed once and is not tried again; each step is copied when it is needed.
    is_disabled: bool,
}

#[cfg(feature = "cuda")]
impl InFlight {
    /// The attention of a step, if its copy is in flight.
    fn take(&mut self, step: usize) -> Result<Option<StepAttention>> {
        let Some((_, attention, staged)) = self.step.take().filter(|(in_flight, ..)| *in_flight == step) else {
            return Ok(None);
        };
        let mut tensors = staged.finish()?.into_iter();
        let copied = attention.map(|tensor| match tensors.next() {
            Some(copied) => Ok(copied),
            None => candle_core::bail!("a tensor of {:?} was not copied", tensor.shape()),
        });
        copied.map(Some)
    }

    fn begin(&mut self, device: &Device, step: usize, attention: StepAttention) {
        if self.is_disabled {
            return;
        }
        match self.try_begin(device, &attention) {
            Ok(staged) => self.step = Some((step, attention, staged)),
            Err(error) => {
                tracing::warn!(%error, "prefetching of recordings to the device failed and is disabled");
                self.is_disabled = true;
            }
        }
    }

    fn try_begin(&mut self, device: &Device, attention: &StepAttention) -> Result<Staged> {
        let staging = match &mut self.staging {
            Some(staging) => staging,
            none => none.insert(Staging::new(device)?),
        };
        let mut tensors = Vec::new();
        attention.map(|tensor| {
            tensors.push(tensor.clone());
            Ok(tensor.clone())
        })?;
        staging.begin(&tensors)
    }
}
