//! A source's attention on its way from main memory to a GPU: a step's is copied while the step before it is computed.
//!
//! On the processor, and for recordings that lie on the device, everything is where it is needed.

use candle_core::{Device, Result};

#[cfg(feature = "cuda")]
use crate::kernels::cuda::staging::{Staged, Staging};
use crate::recordings::{AttentionLog, GroupSet, StepAttention};

/// Brings each step's attention to the device of an edit.
#[derive(Debug)]
pub(crate) struct Ahead {
    device: Device,
    #[cfg(feature = "cuda")]
    coming: Box<Coming>,
}

impl Ahead {
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            #[cfg(feature = "cuda")]
            coming: Box::default(),
        }
    }

    /// A step's attention on the device. The work of the step comes next, so of what `next` needs, if it is there
    /// already, the copying begins.
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
            let found = match self.coming.take(step)? {
                Some(attention) => attention,
                None => log.step(step).only(needs).on_device(&self.device)?,
            };
            if let Some((step, needs)) = next.filter(|(step, needs)| !needs.is_empty() && log.has(*step, *needs)) {
                self.coming.begin(&self.device, step, log.step(step).only(needs));
            }
            return Ok(found);
        }
        let _ = next;
        log.step(step).only(needs).on_device(&self.device)
    }
}

/// The next step's attention, being copied.
#[cfg(feature = "cuda")]
#[derive(Debug, Default)]
struct Coming {
    /// Made when it is first needed.
    staging: Option<Staging>,
    step: Option<(usize, StepAttention, Staged)>,
    /// Copying ahead did not work, so it is left alone; each step is copied when it is needed.
    gave_up: bool,
}

#[cfg(feature = "cuda")]
impl Coming {
    /// What was begun for a step; `None` where nothing was.
    fn take(&mut self, step: usize) -> Result<Option<StepAttention>> {
        let Some((_, attention, staged)) = self.step.take().filter(|(coming, ..)| *coming == step) else {
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
        if self.gave_up {
            return;
        }
        match self.try_begin(device, &attention) {
            Ok(staged) => self.step = Some((step, attention, staged)),
            Err(error) => {
                tracing::warn!(%error, "recordings are not copied ahead to the device");
                self.gave_up = true;
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
