//! Operations that candle lacks or does slowly.
//!
//! On the CPU, channels last, on slices:
//! - [`matmul`]: matrix products, and convolutions as products, over weights in [`panels`]; `tile`: their innermost
//!   part; [`linear`], [`conv2d`] and [`winograd`] are made of them
//! - [`norm`], [`activation`], [`attention`] over [`heads`]
//! - [`simd`]: sixteen numbers at a time on what the CPU has; [`pool`]: the threads that share work;
//!   [`buffer`]: memory; [`op_counters`]: how much was computed
//! - [`memory`]: what the allocator keeps; [`thread_budget`]: how many threads candle's own operations may use
//!
//! On NVIDIA GPUs, with the feature `cuda`: `cuda`.

pub mod activation;
pub mod attention;
pub(crate) mod buffer;
pub mod conv2d;
#[cfg(feature = "cuda")]
pub mod cuda;
pub(crate) mod heads;
#[cfg(test)]
mod isa_tests;
pub mod linear;
pub(crate) mod matmul;
pub mod memory;
pub mod norm;
pub mod op_counters;
pub(crate) mod panels;
pub mod pool;
pub(crate) mod simd;
#[cfg(test)]
mod test_values;
pub mod thread_budget;
mod tile;
pub(crate) mod winograd;
