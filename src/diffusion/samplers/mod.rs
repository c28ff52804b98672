//! Samplers: how latents go from noise to an image.

pub mod ddim;
