//! Checks for NaN and infinity: which part of a model computed them, and how large the numbers of a tensor are.

use std::fmt;

use candle_core::{DType, Error, Result, Tensor};

use crate::telemetry::labels::label;

label! {
    /// A part of a model.
    ModelPart as "part" {
        /// It makes the embeddings of prompts.
        TextEncoder = "text_encoder",
        /// It predicts the noise of latents.
        UNet = "unet",
        /// It makes images of latents.
        VaeDecoder = "vae_decoder",
    }
}

impl fmt::Display for ModelPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TextEncoder => "text encoder",
            Self::UNet => "UNet",
            Self::VaeDecoder => "VAE decoder",
        })
    }
}

/// A part of the model computed NaN or infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {0} computed NaN or infinity")]
pub struct NotFinite(pub ModelPart);

impl NotFinite {
    /// This as an error of tensor work; [`Self::of`] finds it again.
    pub(crate) fn error(part: ModelPart) -> Error {
        Error::WrappedContext { wrapped: Box::new(Self(part)), context: String::new() }
    }

    /// What an error of tensor work says about NaN and infinity; `None` if it is any other error.
    pub(crate) fn of(error: &Error) -> Option<Self> {
        match error {
            Error::WrappedContext { wrapped, .. } => wrapped.downcast_ref().copied(),
            Error::Context { inner, .. } | Error::WithPath { inner, .. } | Error::WithBacktrace { inner, .. } => {
                Self::of(inner)
            }
            _ => None,
        }
    }

    /// An error if a tensor that `part` computed contains NaN or infinity.
    pub(crate) fn check(part: ModelPart, computed: &Tensor) -> std::result::Result<(), Error> {
        if largest(computed)?.is_finite() { Ok(()) } else { Err(Self::error(part)) }
    }
}

/// The largest absolute value of a tensor; infinite if it contains NaN or infinity.
pub(crate) fn largest(tensor: &Tensor) -> Result<f32> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let larger = |most: f32, value: f32| if value.is_nan() { f32::INFINITY } else { most.max(value.abs()) };
    Ok(values.into_iter().fold(0.0, larger))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn a_single_nan_or_infinity_is_found_and_says_which_part_computed_it() {
        for (bad, dtype) in [(f32::NAN, DType::F32), (f32::INFINITY, DType::F16), (f32::NEG_INFINITY, DType::BF16)] {
            let tensor = Tensor::new(&[[1.0, bad], [-3.0, 2.0]], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            assert_eq!(largest(&tensor).unwrap(), f32::INFINITY);
            let error = NotFinite::check(ModelPart::VaeDecoder, &tensor).unwrap_err().with_path("a file").bt();
            assert_eq!(NotFinite::of(&error), Some(NotFinite(ModelPart::VaeDecoder)));
        }
        let tensor = Tensor::new(&[1.0_f32, -3.0], &Device::Cpu).unwrap();
        assert_eq!(largest(&tensor).unwrap(), 3.0);
        assert!(NotFinite::check(ModelPart::UNet, &tensor).is_ok());
        assert_eq!(NotFinite::of(&Error::Msg("another".to_owned())), None);
    }
}
