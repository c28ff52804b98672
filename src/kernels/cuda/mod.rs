//! What is computed on NVIDIA GPUs with kernels and copies of our own; compiled with the feature `cuda` alone.
//!
//! - [`device`]: opens a GPU with one stream for all threads
//! - [`attention`]: fused attention, from `attention.cu`; `compiler` makes machine code of it when it is first used
//! - [`staging`]: copies to the GPU beside what it computes

pub(crate) mod attention;
mod compiler;
pub mod device;
pub mod staging;

pub use attention::attend;
