//! Guidance: how many rows a run has, which prompt each of them reads, and how their outputs are combined.

use candle_core::{Result, Tensor};

/// How the prompt steers a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GuidanceMode {
    /// Classifier-free guidance (Ho and Salimans, arXiv 2207.12598): one row without the prompt and one with it, at any
    /// scale.
    ClassifierFree {
        /// How far the output is moved from the unconditional to the conditional one; 1 is the conditional one.
        scale: f64,
    },
}

/// The prompt that a row reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowPrompt {
    /// The negative prompt.
    Unconditional,
    /// The prompt. It is the row that is recorded, replayed and edited.
    Conditional,
}

impl GuidanceMode {
    /// The most rows that a run of any mode has.
    pub const MAX_ROWS: usize = 2;

    /// The rows of a step, in the order in which [`Self::guide`] reads their outputs.
    pub fn rows(self) -> &'static [RowPrompt] {
        match self {
            Self::ClassifierFree { .. } => &[RowPrompt::Unconditional, RowPrompt::Conditional],
        }
    }

    /// The outputs of all rows, `[rows, channels, h, w]` -> the guided output, `[1, channels, h, w]`.
    ///
    /// # Errors
    /// A failed tensor operation, such as on too few rows.
    pub fn guide(self, output: &Tensor) -> Result<Tensor> {
        match self {
            Self::ClassifierFree { scale } => {
                let (unconditional, conditional) = (output.narrow(0, 0, 1)?, output.narrow(0, 1, 1)?);
                &unconditional + ((conditional - &unconditional)? * scale)?
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn scale_0_is_the_unconditional_row_and_scale_1_the_conditional_one() {
        let output = Tensor::new(&[[[[1.0_f32]]], [[[3.0]]]], &Device::Cpu).unwrap();
        for (scale, wanted) in [(0.0, 1.0), (1.0, 3.0), (2.5, 6.0)] {
            let mode = GuidanceMode::ClassifierFree { scale };
            assert!(mode.rows().len() <= GuidanceMode::MAX_ROWS);
            let guided = mode.guide(&output).unwrap();
            assert_eq!(guided.dims(), [1, 1, 1, 1]);
            assert_eq!(guided.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [wanted]);
        }
    }
}
