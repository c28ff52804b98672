//! Operations that candle lacks or does slowly.
//!
//! - [`conv2d`]: convolution on the CPU as one matrix product a row, patches gathered by whole lines

pub mod conv2d;

pub use conv2d::Conv2d;
