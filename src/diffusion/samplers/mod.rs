//! Samplers: how latents go from noise to an image.

pub mod ddim;
mod name;

pub use crate::diffusion::samplers::name::{SamplerName, UnknownSampler};
