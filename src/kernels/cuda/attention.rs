//! Fused attention on a GPU: nothing of the size of the maps is ever stored, but for the one map that is asked for.
//!
//! Tensors have the layout of tokens: `[positions, heads * head_dim]`, the channels of a head side by side. They may be
//! f32, f16 or bf16; sums are f32. What a call computes depends on its own inputs alone, to the byte.

#![allow(unsafe_code)]

use candle_core::cuda::{CudaDType, CudaDevice, CudaStorageSlice, WrapErr as _};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, DType, Result, Storage, Tensor, bail};
use cudarc::driver::{CudaSlice, CudaView, DeviceRepr, LaunchConfig, PushKernelArg as _};

use crate::kernels::cuda::compiler::{Variant, is_ampere};

/// The widest head that the kernels have memory for.
pub const MAX_HEAD_DIM: usize = 256;
/// Queries of a block of the kernel without tensor cores.
const SCALAR_QUERIES: usize = 32;
/// Queries of a warp of the kernel with tensor cores.
const WARP_QUERIES: usize = 16;
/// Maps of few positions are spread over more and smaller blocks than there would be of four warps.
const FEW_POSITIONS: usize = 256;

/// `softmax(Q K^T / sqrt(head_dim)) V`, head by head, for `queries` `[positions, heads * head_dim]` and `keys` and
/// `values` `[tokens, heads * head_dim]`: `[positions, heads * head_dim]`.
///
/// `add_to`, of the shape and type of the result, is added to it. `map` `[positions, tokens]` in f32 is a sum of maps
/// so far; then the second result is a new tensor with this call's probabilities, summed over the heads, added to it.
///
/// # Errors
/// Shapes or types that do not fit together, heads wider than [`MAX_HEAD_DIM`], tensors that are not on one GPU; and
/// whatever the GPU says.
pub fn attend(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    heads: usize,
    add_to: Option<&Tensor>,
    map: Option<&Tensor>,
) -> Result<(Tensor, Option<Tensor>)> {
    let sizes = Sizes::new(queries, keys, values, heads, add_to, map)?;
    let (queries, keys, values) = (queries.contiguous()?, keys.contiguous()?, values.contiguous()?);
    let (add_to, map) = (add_to.map(Tensor::contiguous).transpose()?, map.map(Tensor::contiguous).transpose()?);
    let device = queries.device().as_cuda_device()?;
    let call = Call { queries: &queries, keys: &keys, values: &values, add_to: add_to.as_ref(), map: map.as_ref() };
    match queries.dtype() {
        DType::F32 => call.run(&sizes, device, |storage| match storage {
            CudaStorageSlice::F32(slice) => Some(slice),
            _ => None,
        }),
        DType::F16 => call.run(&sizes, device, |storage| match storage {
            CudaStorageSlice::F16(slice) => Some(slice),
            _ => None,
        }),
        DType::BF16 => call.run(&sizes, device, |storage| match storage {
            CudaStorageSlice::BF16(slice) => Some(slice),
            _ => None,
        }),
        other => bail!("attention on a GPU is computed in f32, f16 or bf16, not in {other:?}"),
    }
}

/// Sizes that fit together.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    positions: usize,
    tokens: usize,
    channels: usize,
    heads: usize,
    head_dim: usize,
}

impl Sizes {
    fn new(
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        heads: usize,
        add_to: Option<&Tensor>,
        map: Option<&Tensor>,
    ) -> Result<Self> {
        let ((positions, channels), (tokens, _)) = (queries.dims2()?, keys.dims2()?);
        let expect = |what: &str, tensor: &Tensor, dims: [usize; 2], dtype: DType| {
            if tensor.dims() != dims || tensor.dtype() != dtype || !tensor.device().same_device(queries.device()) {
                let (shape, found) = (tensor.dims(), tensor.dtype());
                bail!("{what}: got {shape:?} of {found:?} on {:?}; expected {dims:?} of {dtype:?}", tensor.device());
            }
            Ok(())
        };
        expect("keys", keys, [tokens, channels], queries.dtype())?;
        expect("values", values, [tokens, channels], queries.dtype())?;
        if let Some(add_to) = add_to {
            expect("what is added to", add_to, [positions, channels], queries.dtype())?;
        }
        if let Some(map) = map {
            expect("the map", map, [positions, tokens], DType::F32)?;
        }
        if heads == 0 || channels % heads != 0 || !(1..=MAX_HEAD_DIM).contains(&(channels / heads)) {
            bail!("{channels} channels in {heads} heads: heads of 1 to {MAX_HEAD_DIM} channels are possible");
        }
        if positions == 0 || tokens == 0 {
            bail!("{positions} positions attend to {tokens} tokens: there is nothing to compute");
        }
        Ok(Self { positions, tokens, channels, heads, head_dim: channels / heads })
    }

    /// Positions, tokens, channels and heads as the kernels take them, and what scores are multiplied with before
    /// exponentials to base 2 are taken of them.
    #[allow(clippy::cast_precision_loss)]
    fn arguments(&self) -> Result<([i32; 4], f32)> {
        let size = |size: usize| i32::try_from(size).map_err(candle_core::Error::wrap);
        let sizes = [size(self.positions)?, size(self.tokens)?, size(self.channels)?, size(self.heads)?];
        Ok((sizes, std::f32::consts::LOG2_E / (self.head_dim as f32).sqrt()))
    }
}

/// One call's tensors, contiguous, of sizes that fit together.
struct Call<'a> {
    queries: &'a Tensor,
    keys: &'a Tensor,
    values: &'a Tensor,
    add_to: Option<&'a Tensor>,
    map: Option<&'a Tensor>,
}

impl Call<'_> {
    /// `slice_of` finds the numbers in a storage of this type.
    fn run<T: CudaDType + DeviceRepr>(
        &self,
        sizes: &Sizes,
        device: &CudaDevice,
        slice_of: fn(&CudaStorageSlice) -> Option<&CudaSlice<T>>,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let variant = Variant { dtype: self.queries.dtype(), head_dim: sizes.head_dim, is_ampere: is_ampere(device)? };
        let (queries, keys, values) = (Held::new(self.queries), Held::new(self.keys), Held::new(self.values));
        let (add_to, map) = (self.add_to.map(Held::new), self.map.map(Held::new));
        let (queries, keys, values) = (queries.view(slice_of)?, keys.view(slice_of)?, values.view(slice_of)?);
        let add_to = add_to.as_ref().map(|held| held.view(slice_of)).transpose()?;
        let inputs = [Some(self.queries), Some(self.keys), Some(self.values), self.add_to];
        let is_aligned = inputs.into_iter().flatten().all(|tensor| tensor.layout().start_offset().is_multiple_of(8));
        let tensor_cores =
            variant.dtype != DType::F32 && variant.is_ampere && sizes.head_dim.is_multiple_of(8) && is_aligned;
        let (name, queries_of_block, threads) = match tensor_cores {
            false => ("attend_scalar", SCALAR_QUERIES, 128),
            true if sizes.positions <= FEW_POSITIONS => ("attend_tensor_cores", WARP_QUERIES, 32),
            true => ("attend_tensor_cores", WARP_QUERIES * 4, 128),
        };
        let function = variant.function(device, name)?;
        let config = LaunchConfig {
            grid_dim: (blocks(sizes.positions, queries_of_block)?, blocks(sizes.heads, 1)?, 1),
            block_dim: (threads, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the kernels write every number of it before it is read: blocks cover all positions and heads.
        let out = unsafe { device.alloc::<T>(sizes.positions * sizes.channels)? };
        let log_sums = match map {
            // SAFETY: likewise, one number for each head and position.
            Some(_) => Some(unsafe { device.alloc::<f32>(sizes.heads * sizes.positions)? }),
            None => None,
        };
        let ([positions, tokens, channels, _], scale) = sizes.arguments()?;
        let none = 0_u64;
        let stream = device.cuda_stream();
        let mut launch = stream.launch_builder(&function);
        launch.arg(&queries).arg(&keys).arg(&values);
        match &add_to {
            Some(add_to) => launch.arg(add_to),
            None => launch.arg(&none),
        };
        launch.arg(&out);
        match &log_sums {
            Some(log_sums) => launch.arg(log_sums),
            None => launch.arg(&none),
        };
        launch.arg(&positions).arg(&tokens).arg(&channels).arg(&scale);
        // SAFETY: the arguments are those of the kernel, in its order, each pointer null where it says that it may be.
        // Queries, `out` and `add_to` have positions * channels numbers of the kernel's element, keys and values have
        // tokens * channels, `log_sums` has heads * positions; the kernel stays within these. `out` and `log_sums` are
        // not shared. All of them are used and freed on the one stream that this is launched on. The
        // kernel with tensor cores finds its pointers to be multiples of 16 bytes: allocations are of 256, offsets of
        // 8 numbers of 2 bytes, and rows of multiples of 8 numbers.
        unsafe { launch.launch(config) }.w()?;
        let map = match (map, &log_sums) {
            (Some(map), Some(log_sums)) => {
                let map = map.view(f32_slice)?;
                Some(add_to_map(sizes, device, variant, (&queries, &keys), log_sums, &map)?)
            }
            _ => None,
        };
        let out = tensor(CudaStorage::wrap_cuda_slice(out, device.clone()), (sizes.positions, sizes.channels));
        Ok((out, map))
    }
}

/// The map with the probabilities of all heads added.
fn add_to_map<T: DeviceRepr>(
    sizes: &Sizes,
    device: &CudaDevice,
    variant: Variant,
    (queries, keys): (&CudaView<'_, T>, &CudaView<'_, T>),
    log_sums: &CudaSlice<f32>,
    map: &CudaView<'_, f32>,
) -> Result<Tensor> {
    let function = variant.function(device, "add_to_map")?;
    // SAFETY: the kernel writes every number of it: its blocks cover all positions and tokens.
    let out = unsafe { device.alloc::<f32>(sizes.positions * sizes.tokens)? };
    let ([positions, tokens, channels, heads], scale) = sizes.arguments()?;
    let stream = device.cuda_stream();
    let mut launch = stream.launch_builder(&function);
    launch.arg(queries).arg(keys).arg(log_sums).arg(map).arg(&out);
    launch.arg(&positions).arg(&tokens).arg(&channels).arg(&heads).arg(&scale);
    let config = LaunchConfig {
        grid_dim: (blocks(sizes.tokens, 16)?, blocks(sizes.positions, 16)?, 1),
        block_dim: (16, 16, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: as above; `map` and `out` have positions * tokens numbers, `out` is not shared.
    unsafe { launch.launch(config) }.w()?;
    Ok(tensor(CudaStorage::wrap_cuda_slice(out, device.clone()), (sizes.positions, sizes.tokens)))
}

/// A tensor's storage, locked for reading.
struct Held<'a> {
    storage: candle_core::StorageRef<'a>,
    start: usize,
    count: usize,
}

impl<'a> Held<'a> {
    /// Of a contiguous tensor.
    fn new(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage, start: layout.start_offset(), count: layout.shape().elem_count() }
    }

    fn view<T>(&self, slice_of: fn(&CudaStorageSlice) -> Option<&CudaSlice<T>>) -> Result<CudaView<'_, T>> {
        let slice = match &*self.storage {
            Storage::Cuda(storage) => slice_of(&storage.slice),
            _ => None,
        };
        match slice.and_then(|slice| slice.try_slice(self.start..self.start + self.count)) {
            Some(view) => Ok(view),
            None => bail!("a tensor is not where its type and its device say"),
        }
    }
}

fn f32_slice(storage: &CudaStorageSlice) -> Option<&CudaSlice<f32>> {
    match storage {
        CudaStorageSlice::F32(slice) => Some(slice),
        _ => None,
    }
}

fn tensor(storage: CudaStorage, dims: (usize, usize)) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), dims, BackpropOp::none(), false)
}

/// Blocks for so many rows, of so many each.
fn blocks(rows: usize, of_block: usize) -> Result<u32> {
    u32::try_from(rows.div_ceil(of_block)).map_err(candle_core::Error::wrap)
}
