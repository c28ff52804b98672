//! Copies tensors from host memory to a GPU while it computes.
//!
//! [`Staging::begin`] copies into page-locked memory, from where the GPU reads on a second stream;
//! [`Staged::finish`] lets the device's stream wait for that, not the CPU. Tensors are not tracked by events
//! ([`crate::kernels::cuda::device`]), so everything that keeps the two streams apart is here:
//!
//! - memory on the GPU is allocated, and later freed, on the device's stream; copies begin after the allocation
//! - the tensors are neither read nor freed before the device's stream waits for the copies
//! - page-locked memory is written again, or freed, only when the copies from it are done

#![allow(unsafe_code)]

use std::sync::Arc;

use candle_core::cuda::{CudaDType, CudaDevice, WrapErr as _};
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, CudaStorage, Device, Result, Storage, Tensor, bail};
use cudarc::driver::{CudaEvent, CudaStream, DeviceRepr, PinnedHostSlice};

/// Buffers that take turns: one is fetched from while the next is filled.
const BUFFERS: usize = 2;
/// Tensors begin at multiples of this in a buffer.
const ALIGNMENT: usize = 256;

/// What copies to one device.
#[derive(Debug)]
pub struct Staging {
    device: CudaDevice,
    copies: Arc<CudaStream>,
    buffers: [Buffer; BUFFERS],
    next: usize,
}

#[derive(Debug, Default)]
struct Buffer {
    memory: Option<PinnedHostSlice<u8>>,
    /// When the last copies from it are done.
    copied: Option<Arc<CudaEvent>>,
}

/// Tensors on their way.
#[derive(Debug)]
pub struct Staged {
    tensors: Vec<Tensor>,
    copied: Arc<CudaEvent>,
    stream: Arc<CudaStream>,
}

impl Staging {
    /// To a GPU.
    ///
    /// # Errors
    /// The device is not a CUDA device, or has no second stream.
    pub fn new(device: &Device) -> Result<Self> {
        let device = device.as_cuda_device()?.clone();
        let copies = device.cuda_stream().context().new_stream().w()?;
        Ok(Self { device, copies, buffers: Default::default(), next: 0 })
    }

    /// Begins to copy tensors in main memory, f32, f16 or bf16; they are not needed any more when this returns.
    ///
    /// # Errors
    /// A tensor is of another type or lies elsewhere; and whatever the GPU says.
    pub fn begin(&mut self, tensors: &[Tensor]) -> Result<Staged> {
        let tensors = tensors.iter().map(Tensor::contiguous).collect::<Result<Vec<_>>>()?;
        let mut buffer = std::mem::take(&mut self.buffers[self.next]);
        buffer.prepare(&self.copies, tensors.iter().map(padded_bytes).sum())?;
        let mut on_device = Vec::with_capacity(tensors.len());
        match self.copy(&tensors, &mut buffer, &mut on_device) {
            Ok(copied) => {
                buffer.copied = Some(Arc::clone(&copied));
                self.buffers[self.next] = buffer;
                self.next = (self.next + 1) % BUFFERS;
                Ok(Staged { tensors: on_device, copied, stream: self.device.cuda_stream() })
            }
            Err(error) => {
                // Copies in flight end before the memory on either side is freed.
                let _ = self.copies.synchronize();
                Err(error)
            }
        }
    }

    /// Puts a copy of each tensor into `on_device`; the event comes when all are there.
    fn copy(&self, tensors: &[Tensor], buffer: &mut Buffer, on_device: &mut Vec<Tensor>) -> Result<Arc<CudaEvent>> {
        let Some(memory) = &mut buffer.memory else {
            bail!("no memory was prepared");
        };
        let mut rest = memory.as_mut_slice().w()?;
        for tensor in tensors {
            let (part, later) = rest.split_at_mut(padded_bytes(tensor));
            rest = later;
            let (storage, layout) = tensor.storage_and_layout();
            let range = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
            let copied = match &*storage {
                Storage::Cpu(CpuStorage::F32(values)) => self.copy_values(&values[range], part)?,
                Storage::Cpu(CpuStorage::F16(values)) => self.copy_values(&values[range], part)?,
                Storage::Cpu(CpuStorage::BF16(values)) => self.copy_values(&values[range], part)?,
                _ => bail!("a tensor of {:?} on {:?} cannot be staged", tensor.dtype(), tensor.device()),
            };
            on_device.push(Tensor::from_storage(Storage::Cuda(copied), layout.shape(), BackpropOp::none(), false));
        }
        Ok(Arc::new(self.copies.record_event(None).w()?))
    }

    /// Through the page-locked `part`, which is large enough for the values.
    fn copy_values<T: CudaDType + DeviceRepr + Copy>(&self, values: &[T], part: &mut [u8]) -> Result<CudaStorage> {
        // SAFETY: the copy writes all of it before it is handed out.
        let mut on_device = unsafe { self.device.alloc::<T>(values.len())? };
        self.copies.join(&self.device.cuda_stream()).w()?;
        assert!(size_of_val(values) <= part.len() && part.as_ptr().addr().is_multiple_of(align_of::<T>()));
        // SAFETY: it is large enough and aligned, as was just seen, lives for as long as `part` is borrowed, and `T` is
        // one of the types of numbers of a tensor, for which all bits mean something.
        let part = unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast::<T>(), values.len()) };
        part.copy_from_slice(values);
        self.copies.memcpy_htod(part, &mut on_device).w()?;
        Ok(CudaStorage::wrap_cuda_slice(on_device, self.device.clone()))
    }
}

/// Bytes of a buffer that a tensor takes.
fn padded_bytes(tensor: &Tensor) -> usize {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()).next_multiple_of(ALIGNMENT)
}

impl Buffer {
    /// Waits until nothing is fetched from it any more, and makes it large enough.
    fn prepare(&mut self, copies: &CudaStream, bytes: usize) -> Result<()> {
        if let Some(copied) = self.copied.take() {
            copied.synchronize().w()?;
        }
        if self.memory.as_ref().is_none_or(|memory| memory.len() < bytes) {
            self.memory = None;
            // SAFETY: bytes are written before they are read, and any bits are a byte.
            self.memory = Some(unsafe { copies.context().alloc_pinned(bytes.max(ALIGNMENT)) }.w()?);
        }
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(copied) = self.copied.take() {
            // A device that fails here has failed for all, and the next call says so.
            let _ = copied.synchronize();
        }
    }
}

impl Staged {
    /// The tensors; what is computed with them waits for the copies.
    ///
    /// # Errors
    /// Whatever the GPU says.
    pub fn finish(mut self) -> Result<Vec<Tensor>> {
        self.stream.wait(&self.copied).w()?;
        Ok(std::mem::take(&mut self.tensors))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Tensors that were not taken are freed on the device's stream, after the copies into them.
        if !self.tensors.is_empty() && self.stream.wait(&self.copied).is_err() {
            let _ = self.copied.synchronize();
        }
    }
}
