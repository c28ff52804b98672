//! Memory for kernels: new vectors that are not cleared first, scratch that a thread uses again, one vector that
//! several threads write, and the numbers of a tensor.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::ops::Deref;

use candle_core::{CpuStorage, Result, Storage, Tensor};

use crate::kernels::pool::for_each;

/// Numbers of which every bit pattern is one.
///
/// # Safety
/// Any bytes must be a value of the type.
pub unsafe trait Plain: Copy + Default + Send + Sync + 'static {}
// SAFETY: any four bytes are an f32.
unsafe impl Plain for f32 {}
// SAFETY: any two bytes are a u16.
unsafe impl Plain for u16 {}

/// A vector of `length` numbers of any value, which `fill` sets; what it leaves out is whatever was in that memory.
///
/// # Safety
/// `fill` must write every number before it reads it.
pub unsafe fn filled<T: Plain>(length: usize, fill: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut numbers = Vec::with_capacity(length);
    // SAFETY: the memory is there, and every bit pattern is a number; `fill` writes all of them before they are read.
    #[allow(clippy::uninit_vec)]
    unsafe {
        numbers.set_len(length);
    }
    fill(&mut numbers);
    numbers
}

/// Numbers of scratch that is kept for the next use; what is larger goes back (32 MiB).
const MAX_KEPT: usize = 8 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `work` with `length` numbers of any value, of memory that this thread uses again; calls may be nested.
pub fn with_scratch<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut numbers = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if numbers.len() < length {
        numbers.resize(length, 0.0);
    }
    let result = work(&mut numbers[..length]);
    if numbers.len() <= MAX_KEPT {
        SCRATCH.with_borrow_mut(|free| free.push(numbers));
    }
    result
}

/// [`with_scratch`] for bf16.
pub fn with_scratch_bf16<R>(length: usize, work: impl FnOnce(&mut [u16]) -> R) -> R {
    with_scratch(length.div_ceil(2), |numbers| {
        // SAFETY: the same memory, twice as many numbers of half the size, of an alignment that divides f32's; any bits
        // are a u16 and any that are written are an f32.
        let halves = unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast::<u16>(), numbers.len() * 2) };
        work(&mut halves[..length])
    })
}

/// A slice of which several threads write different parts.
#[derive(Debug)]
pub struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    of: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives access only through `part`, whose callers promise that parts do not overlap.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    /// Shares a slice.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), of: PhantomData }
    }

    /// A part of the slice.
    ///
    /// # Panics
    /// Where it is not within the slice.
    ///
    /// # Safety
    /// No part that overlaps it may be in use.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn part(&self, range: std::ops::Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: within the slice, which is borrowed for as long as `self` lives; the caller promises disjoint parts.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// Calls `work` with each stretch of `size` numbers of a slice, the last one maybe shorter, and its place among them, on
/// whichever threads are free.
pub fn for_each_chunk<T: Send>(slice: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let length = slice.len();
    let shared = Shared::new(slice);
    for_each(length.div_ceil(size.max(1)), |index| {
        // SAFETY: stretches do not overlap, and each is given out once.
        work(index, unsafe { shared.part(index * size..((index + 1) * size).min(length)) });
    });
}

/// The numbers of a contiguous f32 tensor on the CPU.
///
/// # Errors
/// It is not contiguous, not of f32, or elsewhere.
pub fn as_slice(tensor: &Tensor) -> Result<impl Deref<Target = [f32]> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("expected a contiguous tensor, got strides {:?}", layout.stride());
    };
    match &*storage {
        Storage::Cpu(CpuStorage::F32(numbers)) if end <= numbers.len() => {}
        _ => candle_core::bail!("expected an f32 tensor on the CPU, got {:?}", tensor.dtype()),
    }
    Ok(Numbers { storage, start, end })
}

struct Numbers<G> {
    storage: G,
    start: usize,
    end: usize,
}

impl<G: Deref<Target = Storage>> Deref for Numbers<G> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(numbers)) => &numbers[self.start..self.end],
            // `as_slice` has checked.
            _ => &[],
        }
    }
}

/// `[positions, a]` and `[positions, b]` -> `[positions, a + b]`.
///
/// # Panics
/// Where they are not of as many positions.
pub fn concat((a, a_channels): (&[f32], usize), (b, b_channels): (&[f32], usize)) -> Vec<f32> {
    const POSITIONS: usize = 256;
    let (positions, channels) = (a.len() / a_channels, a_channels + b_channels);
    assert_eq!(positions * b_channels, b.len(), "maps to join");
    let fill = |out: &mut [f32]| {
        for_each_chunk(out, POSITIONS * channels, |chunk, out| {
            for (at, out) in (chunk * POSITIONS..).zip(out.chunks_exact_mut(channels)) {
                out[..a_channels].copy_from_slice(&a[at * a_channels..(at + 1) * a_channels]);
                out[a_channels..].copy_from_slice(&b[at * b_channels..(at + 1) * b_channels]);
            }
        });
    };
    // SAFETY: every position is written.
    unsafe { filled(positions * channels, fill) }
}
