//! The trajectory of a source: the latents after each step, from which any step can be replayed, the mean maps that
//! local blend and heat maps read, and the image. An append-only log that one run writes and any number of jobs read.

use std::sync::{Arc, OnceLock, RwLock};

use candle_core::Tensor;

use crate::media::Image;
use crate::recordings::budget::Reservation;
use crate::recordings::layout::RecordingLayout;
use crate::recordings::maps::AttentionMaps;
use crate::sync;

/// One step of a source's run.
#[derive(Debug, Clone)]
pub struct TrajectoryStep {
    /// Latents after the step, `[1, channels, h, w]`.
    pub latents: Tensor,
    /// Attention of each position to each token at the blend level, mean over layers and heads,
    /// `[positions * tokens]`; empty where the model has no such level.
    pub maps: Arc<[f32]>,
}

/// A source's run, growing step by step until it is complete.
#[derive(Debug)]
pub struct Trajectory {
    layout: Arc<RecordingLayout>,
    start: Tensor,
    total_steps: usize,
    steps: RwLock<Vec<TrajectoryStep>>,
    image: OnceLock<Arc<Image>>,
    /// Returns the bytes when the last reader drops the trajectory.
    reservation: Reservation,
}

impl Trajectory {
    /// An empty log for a run of `total_steps` from the latents `start`, `[1, channels, h, w]`.
    pub fn new(layout: Arc<RecordingLayout>, start: Tensor, total_steps: usize, reservation: Reservation) -> Self {
        let steps = RwLock::new(Vec::with_capacity(total_steps));
        Self { layout, start, total_steps, steps, image: OnceLock::new(), reservation }
    }

    /// What is recorded at this size.
    pub fn layout(&self) -> &Arc<RecordingLayout> {
        &self.layout
    }

    /// The latents that the run starts with: noise, scaled as the sampler needs it.
    pub fn start(&self) -> &Tensor {
        &self.start
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// Steps written so far.
    pub fn recorded_steps(&self) -> usize {
        self.read().len()
    }

    /// A step, if it has been written.
    pub fn step(&self, step: usize) -> Option<TrajectoryStep> {
        self.read().get(step).cloned()
    }

    /// The latents before a step, if they are recorded.
    pub fn before(&self, step: usize) -> Option<Tensor> {
        match step.checked_sub(1) {
            None => Some(self.start.clone()),
            Some(previous) => self.step(previous).map(|step| step.latents),
        }
    }

    /// Writes the next step.
    pub fn push(&self, step: TrajectoryStep) {
        let mut steps = sync::write(&self.steps);
        debug_assert!(steps.len() < self.total_steps, "a trajectory has no more steps than its run");
        steps.push(step);
    }

    /// The source's image, once it is decoded.
    pub fn image(&self) -> Option<&Arc<Image>> {
        self.image.get()
    }

    /// Adds the image; the first one stays.
    pub fn set_image(&self, image: Arc<Image>) {
        let _ = self.image.set(image);
    }

    /// The maps of all steps so far.
    pub fn maps(&self) -> AttentionMaps {
        let (height, width) = self.layout.blend_level().unwrap_or((0, 0));
        let steps = self.read().iter().map(|step| Arc::clone(&step.maps)).collect();
        AttentionMaps { height, width, tokens: self.layout.tokens(), steps }
    }

    /// Bytes held, reserved before the first step was run.
    pub fn bytes(&self) -> u64 {
        self.reservation.bytes()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Vec<TrajectoryStep>> {
        sync::read(&self.steps)
    }
}
