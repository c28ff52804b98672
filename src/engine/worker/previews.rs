//! Previews: the sample that the model predicts at a step, decoded for the jobs that asked for previews.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::engine::batch::CompatibilityKey;
use crate::engine::job::Preview;
use crate::engine::metrics::WorkerPart;
use crate::engine::runs::forward::{Failure, guarded};
use crate::engine::runs::set::{RunKey, decode};
use crate::engine::state::{ActiveSource, RunningJob};
use crate::engine::worker::Worker;

impl Worker<'_> {
    /// Makes the previews that are due after a pass of these runs, those of one size in one batch. The error is a
    /// failure of the device.
    pub(super) fn make_previews(&mut self, stepped: &[RunKey]) -> Result<(), Failure> {
        let Self { context, sources, .. } = self;
        let mut due: BTreeMap<CompatibilityKey, Vec<(&mut RunningJob, usize, Tensor)>> = BTreeMap::new();
        for (job, key) in sources.iter_mut().flat_map(ActiveSource::shown_mut) {
            let key = key.filter(|key| stepped.contains(key));
            let Some(run) = key.and_then(|key| context.runs.get(key)).filter(|run| job.wants_preview(run.step()))
            else {
                continue;
            };
            if let Ok(Some(latents)) = guarded(&*context.model, || run.predicted()) {
                due.entry(CompatibilityKey::of(run)).or_default().push((job, run.step(), latents));
            }
        }
        for (key, previews) in due {
            let latents: Vec<Tensor> = previews.iter().map(|(_, _, latents)| latents.clone()).collect();
            let model = &*context.model;
            let (images, took) = context.busy_time.measure(WorkerPart::Decode, || decode(model, key, &latents));
            context.costs.add_decode(key, latents.len(), took);
            for ((job, step, _), image) in previews.into_iter().zip(images?) {
                // A preview that cannot be decoded is left out; if the latents are invalid, the image itself will fail.
                if let Ok(image) = image {
                    job.add_preview(Preview { step, image });
                }
            }
        }
        Ok(())
    }
}
