//! The runs in progress: the worker adds them, steps them batch by batch, and takes them out when they are done or have
//! failed. A pass that fails is repeated run by run, so that a run that fails takes no other with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use crate::diffusion::NotFinite;
use crate::diffusion::not_finite::largest;
use crate::engine::EngineMetrics;
use crate::engine::backend::Backend;
use crate::engine::batch::{Candidate, CompatibilityKey, next_batch};
use crate::engine::job::EngineError;
use crate::engine::runs::RowKind;
use crate::engine::runs::Run;
use crate::engine::runs::blame;
use crate::engine::runs::forward::{Failure, denoise, guarded};
use crate::media::Image;

/// Identifies a run; never used again by the same worker.
pub type RunKey = u64;

/// The most pixels that are decoded in one pass, to bound its memory.
const MAX_DECODED_PIXELS: usize = 512 * 512;

#[derive(Debug)]
struct Active {
    run: Run,
    last_tick: u64,
    failed: Option<Failure>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its key.
    pub key: RunKey,
    /// The run, at its end or where it failed.
    pub run: Run,
    /// Its image, which a replay does not have, or why it failed.
    pub image: Result<Option<Arc<Image>>, EngineError>,
    /// When it was taken out, right after its last step.
    pub denoised: Instant,
    /// How long decoding took, including others of the same batch.
    pub decode: Duration,
}

/// Images of one size that were decoded together.
#[derive(Debug, Clone, Copy)]
pub struct Decoded {
    /// Their size.
    pub key: CompatibilityKey,
    /// How many.
    pub images: usize,
    /// How long it took.
    pub took: Duration,
}

/// A pass that was taken.
#[derive(Debug, Default)]
pub struct Pass {
    /// The runs that took part.
    pub runs: Vec<RunKey>,
    /// Their size; `None` if no run was ready.
    pub key: Option<CompatibilityKey>,
    /// Rows of the pass.
    pub rows: usize,
    /// Time in the UNet.
    pub took: Duration,
}

/// All runs in progress.
#[derive(Debug, Default)]
pub struct RunSet {
    runs: BTreeMap<RunKey, Active>,
    last_key: RunKey,
    tick: u64,
}

impl RunSet {
    /// Rows of all runs together.
    pub fn rows(&self) -> usize {
        self.runs.values().map(|active| active.run.rows()).sum()
    }

    /// Adds a run.
    pub fn add(&mut self, run: Run) -> RunKey {
        self.last_key += 1;
        self.runs.insert(self.last_key, Active { run, last_tick: self.tick, failed: None });
        self.last_key
    }

    /// A run.
    pub fn get(&self, key: RunKey) -> Option<&Run> {
        self.runs.get(&key).map(|active| &active.run)
    }

    /// A run, to be changed.
    pub fn get_mut(&mut self, key: RunKey) -> Option<&mut Run> {
        self.runs.get_mut(&key).map(|active| &mut active.run)
    }

    /// Every run that has not failed.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.values().filter(|active| active.failed.is_none()).map(|active| &active.run)
    }

    /// Drops the runs that are not wanted any more.
    pub fn retain(&mut self, is_wanted: impl Fn(RunKey) -> bool) {
        self.runs.retain(|key, _| is_wanted(*key));
    }

    /// Whether a run could take a step.
    pub fn is_ready(&self) -> bool {
        self.runs.values().any(|active| active.failed.is_none() && active.run.is_ready())
    }

    /// Takes one step of the next batch, of at most `max_rows` rows. A pass that fails is repeated run by run, so that
    /// a failing run fails alone. The error is a failure of the device.
    pub fn step(&mut self, model: &dyn Backend, max_rows: usize, metrics: &EngineMetrics) -> Result<Pass, Failure> {
        let candidates: Vec<_> = self
            .runs
            .iter()
            .filter(|(_, active)| active.failed.is_none() && active.run.is_ready())
            .map(|(key, active)| Candidate {
                run: *key,
                key: CompatibilityKey::of(&active.run),
                rows: active.run.rows(),
                last_tick: active.last_tick,
            })
            .collect();
        let batch = next_batch(&candidates, max_rows);
        if batch.is_empty() {
            return Ok(Pass::default());
        }
        self.tick += 1;
        let members = self.runs.iter_mut().filter(|(key, _)| batch.contains(key));
        let mut members: Vec<&mut Active> = members.map(|(_, active)| active).collect();
        let mut pass = Pass { key: members.first().map(|active| CompatibilityKey::of(&active.run)), ..Pass::default() };
        for active in &mut members {
            active.last_tick = self.tick;
            pass.rows += active.run.rows();
            let rows = active.run.rows() as u64;
            metrics.rows.with(active.run.kind()).inc_by(rows);
            metrics.recomputed_steps.inc_by(u64::from(active.run.kind() == RowKind::Replay));
        }
        pass.took = step_members(model, &mut members)?;
        pass.runs = batch;
        Ok(pass)
    }

    /// Takes out the runs that are done or have failed, and decodes those that are done, several of one size in one
    /// pass.
    pub fn take_finished(&mut self, model: &dyn Backend) -> Result<(Vec<Finished>, Vec<Decoded>), Failure> {
        let denoised = Instant::now();
        let ended: Vec<_> =
            self.runs.extract_if(.., |_, active| active.failed.is_some() || active.run.is_done()).collect();
        let mut finished: Vec<Finished> = ended
            .into_iter()
            .map(|(key, active)| {
                let image = active.failed.map_or(Ok(None), |failure| Err(failure.into()));
                Finished { key, run: active.run, image, denoised, decode: Duration::ZERO }
            })
            .collect();
        let decoded = decode_finished(model, &mut finished)?;
        Ok((finished, decoded))
    }
}

fn step_members(model: &dyn Backend, members: &mut [&mut Active]) -> Result<Duration, Failure> {
    match step_together(model, members) {
        Ok(took) => return Ok(took),
        Err(failure @ Failure::Device(_)) => return Err(failure),
        Err(failure) => {
            if let [only] = members {
                only.failed = Some(failure);
                return Ok(Duration::ZERO);
            }
            tracing::warn!(error = %failure, runs = members.len(), "a batch failed and is repeated run by run");
        }
    }
    let mut took = Duration::ZERO;
    for active in members {
        match step_together(model, &mut [&mut **active]) {
            Ok(alone) => took += alone,
            Err(failure @ Failure::Device(_)) => return Err(failure),
            Err(failure) => active.failed = Some(failure),
        }
    }
    Ok(took)
}

fn step_together(model: &dyn Backend, members: &mut [&mut Active]) -> Result<Duration, Failure> {
    let mut runs: Vec<&mut Run> = members.iter_mut().map(|active| &mut active.run).collect();
    let (results, took) = denoise(model, &mut runs)?;
    for (active, result) in members.iter_mut().zip(results) {
        match result {
            Err(failure @ Failure::Device(_)) => return Err(failure),
            result => active.failed = result.err(),
        }
    }
    Ok(took)
}

fn decode_finished(model: &dyn Backend, finished: &mut [Finished]) -> Result<Vec<Decoded>, Failure> {
    let mut by_size: BTreeMap<CompatibilityKey, Vec<usize>> = BTreeMap::new();
    for (index, one) in finished.iter().enumerate() {
        if one.image.is_ok() && one.run.kind() != RowKind::Replay {
            by_size.entry(CompatibilityKey::of(&one.run)).or_default().push(index);
        }
    }
    let mut decoded = Vec::with_capacity(by_size.len());
    for (key, indices) in by_size {
        let latents: Vec<Tensor> = indices.iter().map(|&index| finished[index].run.latents().clone()).collect();
        let began = Instant::now();
        let images = decode(model, key, &latents)?;
        let took = began.elapsed();
        decoded.push(Decoded { key, images: indices.len(), took });
        for (index, image) in indices.into_iter().zip(images) {
            let one = &mut finished[index];
            one.image = match image {
                Err(EngineError::Diverged) => Err(blame::cause(model, &one.run)?),
                image => image.map(Some),
            };
            one.decode = took;
        }
    }
    Ok(decoded)
}

/// Decodes latents `[1, channels, h, w]` of one size, in passes of at most [`MAX_DECODED_PIXELS`]. A pass that fails is
/// repeated image by image. The outer error is a failure of the device, the inner one of this image alone.
pub fn decode(
    model: &dyn Backend,
    key: CompatibilityKey,
    latents: &[Tensor],
) -> Result<Vec<Result<Arc<Image>, EngineError>>, Failure> {
    let factor = model.info().vae_factor;
    let (width, height) = (key.width * factor, key.height * factor);
    let image = |rgb| Arc::new(Image { width, height, rgb });
    let at_once = (MAX_DECODED_PIXELS / (width * height)).max(1);
    let mut images = Vec::with_capacity(latents.len());
    for some in latents.chunks(at_once) {
        match guarded(model, || model.decode(&Tensor::cat(some, 0)?)) {
            Ok(decoded) => {
                for (latents, rgb) in some.iter().zip(decoded) {
                    images.push(is_finite(model, latents)?.map(|()| image(rgb)));
                }
            }
            Err(failure @ Failure::Device(_)) => return Err(failure),
            Err(failure) if some.len() == 1 => images.push(Err(undecoded(model, &some[0], failure)?)),
            Err(_) => {
                for one in some {
                    images.extend(decode(model, key, std::slice::from_ref(one))?);
                }
            }
        }
    }
    Ok(images)
}

/// The error of latents that cannot be decoded. If the image is not finite, latents that are extreme or not finite
/// themselves are the cause, and otherwise the decoder.
fn undecoded(model: &dyn Backend, latents: &Tensor, failure: Failure) -> Result<EngineError, Failure> {
    let is_overflow = matches!(&failure, Failure::Work(error) if NotFinite::of(error).is_some());
    if !is_overflow {
        return Ok(failure.into());
    }
    match guarded(model, || largest(latents)) {
        Ok(most) if most > blame::EXTREME => Ok(EngineError::Diverged),
        Ok(_) => Ok(failure.into()),
        Err(failure @ Failure::Device(_)) => Err(failure),
        Err(failure) => Ok(failure.into()),
    }
}

fn is_finite(model: &dyn Backend, latents: &Tensor) -> Result<Result<(), EngineError>, Failure> {
    let sum = guarded(model, || latents.abs()?.sum_all()?.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>());
    match sum {
        Ok(sum) if sum.is_finite() => Ok(Ok(())),
        Ok(_) => Ok(Err(EngineError::Diverged)),
        Err(failure @ Failure::Device(_)) => Err(failure),
        Err(failure) => Ok(Err(failure.into())),
    }
}
