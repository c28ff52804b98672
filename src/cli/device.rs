//! The device and the type of numbers that `device` and `dtype` select on this machine.

use candle_core::{DType, Device};

use crate::config::{CPU_DTYPES, ConfigError, DeviceChoice, DtypeChoice, Settings};

/// The device, opened, and the type of numbers that it computes in.
///
/// # Errors
/// If a GPU that was selected by its number cannot be opened, or the device cannot compute in the selected type. The
/// error names the key.
pub(crate) fn chosen(settings: &Settings) -> Result<(Device, DType), ConfigError> {
    let device = match settings.device {
        DeviceChoice::Cpu => Device::Cpu,
        DeviceChoice::Auto => open(0).unwrap_or(Device::Cpu),
        DeviceChoice::Cuda(number) => open(number).map_err(|error| ConfigError::Value {
            key: "device",
            value: settings.device.to_string(),
            expected: format!("it cannot be opened: {error}"),
        })?,
    };
    let dtype = match settings.dtype {
        DtypeChoice::Auto if device.is_cuda() => DType::F16,
        DtypeChoice::Auto | DtypeChoice::F32 => DType::F32,
        DtypeChoice::Bf16 => DType::BF16,
        DtypeChoice::F16 if device.is_cuda() => DType::F16,
        DtypeChoice::F16 => {
            let expected = format!("no GPU was found; {CPU_DTYPES}");
            return Err(ConfigError::Value { key: "dtype", value: "f16".to_owned(), expected });
        }
    };
    tracing::info!(device = ?device.location(), dtype = dtype.as_str(), "computing");
    Ok((device, dtype))
}

/// A GPU by its number; the error is one line.
#[cfg(feature = "cuda")]
fn open(number: usize) -> Result<Device, String> {
    crate::kernels::cuda::device::open(number).map_err(|error| {
        let text = error.to_string();
        text.lines().next().unwrap_or_default().to_owned()
    })
}

#[cfg(not(feature = "cuda"))]
fn open(_number: usize) -> Result<Device, String> {
    Err("this build has no CUDA".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_the_cpu(dtype: DtypeChoice) -> Result<DType, String> {
        let settings = Settings { device: DeviceChoice::Cpu, dtype, ..Settings::default() };
        chosen(&settings).map(|(_, dtype)| dtype).map_err(|error| error.to_string())
    }

    #[test]
    fn the_cpu_computes_in_f32_by_default() {
        assert_eq!(on_the_cpu(DtypeChoice::Auto), Ok(DType::F32));
        assert_eq!(on_the_cpu(DtypeChoice::F32), Ok(DType::F32));
        assert_eq!(on_the_cpu(DtypeChoice::Bf16), Ok(DType::BF16));
        let refused = on_the_cpu(DtypeChoice::F16).unwrap_err();
        assert!(refused.starts_with("dtype: unsupported value f16; "), "{refused}");
    }

    #[test]
    fn a_gpu_that_is_not_there_is_named_with_its_key_in_one_line() {
        let settings = Settings { device: DeviceChoice::Cuda(99), ..Settings::default() };
        let error = chosen(&settings).unwrap_err().to_string();
        assert!(error.starts_with("device: unsupported value cuda:99; it cannot be opened: "), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }

    #[test]
    fn what_is_best_is_always_to_be_had() {
        let (device, dtype) = chosen(&Settings::default()).unwrap();
        assert_eq!(dtype, if device.is_cuda() { DType::F16 } else { DType::F32 });
    }
}
