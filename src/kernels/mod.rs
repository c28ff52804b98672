//! Operations that candle lacks or does slowly.
//!
//! - `cuda`: on NVIDIA GPUs, with the feature of that name
//! - [`conv2d`]: convolution on the CPU as one matrix product a row, patches gathered by whole lines
//! - [`threads`]: how many threads an operation may use

pub mod conv2d;
#[cfg(feature = "cuda")]
pub mod cuda;
pub mod threads;

pub use conv2d::Conv2d;
