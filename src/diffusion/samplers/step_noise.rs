//! The noise that stochastic samplers add: one tensor for each step of a seed.
//!
//! Contract: the noise depends on (seed, step, shape) alone. A source, its replays and its edits share it, whichever of
//! them comes first and however often a step is computed.

use candle_core::{Result, Tensor};

use crate::diffusion::noise::Generator;

/// The noise of one seed, by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepNoise {
    seed: u64,
}

impl StepNoise {
    /// The noise of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The noise of a step, of the shape and on the device of `like`: what `torch.randn` draws after the initial latents
    /// and the steps before, from the same generator, as diffusers does.
    ///
    /// # Errors
    /// A failed tensor operation.
    pub fn at(&self, step: usize, like: &Tensor) -> Result<Tensor> {
        let count = like.elem_count();
        let mut generator = Generator::new(self.seed);
        (0..=step).for_each(|_| generator.skip(count));
        Tensor::from_vec(generator.randn(count), like.dims(), like.device())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::diffusion::noise::randn;

    #[test]
    fn a_step_has_the_next_draws_of_the_generator_that_drew_the_initial_latents() {
        let like = Tensor::zeros((1, 4, 4, 2), DType::F32, &Device::Cpu).unwrap();
        let at = |step| StepNoise::new(7).at(step, &like).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // Draws of whole blocks of 16 are one stream.
        let stream = randn(7, 3 * 32);
        assert_eq!(at(0), stream[32..64]);
        assert_eq!(at(1), stream[64..96]);
        assert_eq!(at(1), at(1));
    }
}
