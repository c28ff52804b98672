//! Machine code of `attention.cu`, made when it is first used and kept for the life of the process.
//!
//! The source becomes PTX by NVRTC, once for each element and width of a head; the driver makes it code for its GPU and
//! candle keeps that by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use candle_core::cuda::{CudaDevice, WrapErr as _};
use candle_core::{DType, Result};
use cudarc::driver::CudaFunction;
use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts};

use crate::sync::lock;

/// The kernels.
const SOURCE: &str = include_str!("attention.cu");

/// What a kernel is compiled for. PTX of compute capability 8.0 runs on all later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Variant {
    /// f32, f16 or bf16.
    pub dtype: DType,
    /// Channels of a head.
    pub head_dim: usize,
    /// Whether the GPU is of compute capability 8.0 or later, with tensor cores for f16 and bf16.
    pub is_ampere: bool,
}

impl Variant {
    fn options(self) -> Result<CompileOptions> {
        let element = match self.dtype {
            DType::F32 => 0,
            DType::F16 => 1,
            DType::BF16 => 2,
            other => candle_core::bail!("attention on a GPU is computed in f32, f16 or bf16, not in {other:?}"),
        };
        let options = vec![
            format!("--gpu-architecture=compute_{}", if self.is_ampere { 80 } else { 75 }),
            format!("-DELEMENT={element}"),
            format!("-DHEAD_DIM={}", self.head_dim),
        ];
        Ok(CompileOptions { options, name: Some("attention.cu".to_owned()), ..CompileOptions::default() })
    }

    /// The compiled source.
    fn ptx(self) -> Result<Arc<str>> {
        static COMPILED: Mutex<Option<HashMap<Variant, Arc<str>>>> = Mutex::new(None);
        let mut compiled = lock(&COMPILED);
        let compiled = compiled.get_or_insert_default();
        if let Some(ptx) = compiled.get(&self) {
            return Ok(Arc::clone(ptx));
        }
        let ptx = compile_ptx_with_opts(SOURCE, self.options()?).map_err(|error| {
            let said = match &error {
                CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
                other => other.to_string(),
            };
            candle_core::Error::msg(format!("attention.cu cannot be compiled: {said}"))
        })?;
        let ptx: Arc<str> = ptx.to_src().into();
        compiled.insert(self, Arc::clone(&ptx));
        Ok(ptx)
    }

    /// A kernel, ready to be launched on the device.
    pub fn function(self, device: &CudaDevice, name: &str) -> Result<CudaFunction> {
        let module = format!("attention-{:?}-{}", self.dtype, self.head_dim);
        Ok(device.get_or_load_custom_func(name, &module, &self.ptx()?)?.into_cuda_function())
    }
}

/// Whether the device is of compute capability 8.0 or later.
pub(crate) fn is_ampere(device: &CudaDevice) -> Result<bool> {
    Ok(device.cuda_stream().context().compute_capability().w()?.0 >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NVRTC needs no GPU.
    #[test]
    fn the_kernels_compile_for_every_element_and_width() {
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            for head_dim in [1, 16, 20, 32, 40, 48, 64, 80, 160, 256] {
                for is_ampere in [false, true] {
                    let ptx = Variant { dtype, head_dim, is_ampere }.ptx().unwrap();
                    let has = |kernel: &str| ptx.contains(&format!(".entry {kernel}("));
                    assert!(has("attend_scalar") && has("add_to_map"));
                    let tensor_cores = is_ampere && dtype != DType::F32 && head_dim % 8 == 0;
                    assert_eq!(has("attend_tensor_cores"), tensor_cores, "{dtype:?} {head_dim}");
                }
            }
        }
    }

    #[test]
    fn other_elements_are_refused_by_name() {
        let error = Variant { dtype: DType::F64, head_dim: 8, is_ampere: true }.ptx().unwrap_err().to_string();
        assert!(error.contains("F64") && error.contains("bf16"), "{error}");
    }
}
