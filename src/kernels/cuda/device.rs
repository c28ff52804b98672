//! Opens a GPU.
//!
//! All tensors of a device are computed on one stream, in the order in which they are asked for, whichever thread asks.
//! candle's own default is a stream for each thread, on which what one thread has computed may not be there yet for
//! another; recordings are written to files by another thread than the worker's.

#![allow(unsafe_code)]

use candle_core::{Device, Result};

/// Opens the GPU with this number, from 0.
///
/// # Errors
/// There is no such GPU, or no driver, or the driver is too old.
pub fn open(number: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    // SAFETY: what has to hold without events on tensors is that no tensor is read, written or freed on one
    // stream before another is done with it. There is one stream, but for that of `staging`, which takes care of itself.
    // Nothing was allocated yet.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    Ok(device)
}
