//! Square convolutions `[rows, in, h, w] -> [rows, out, h', w']`.
//!
//! On the CPU the patches are gathered line by line into `[in * kernel^2, h' * w']` and multiplied with the weight as
//! stored, `[out, in * kernel^2]`: candle gathers them number by number and lays the weight out anew on every call.
//! Each row of a batch is a product of its own, so a row's bytes do not depend on what shares its batch. Other devices
//! take candle's own convolution.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Module, Result, Shape, Tensor};
use candle_nn::Conv2dConfig;

/// Where a row's patches are more numbers than this, they are gathered in bands of the output's lines, to bound their
/// memory (32 MiB a row).
const MAX_PATCH_VALUES: usize = 1 << 23;

/// A convolution with the same stride and padding on both axes.
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// `[out, in, kernel, kernel]`.
    weight: Tensor,
    /// `[1, out, 1]`.
    bias: Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// A convolution of `weight` `[out, in, kernel, kernel]` and `bias` `[out]`.
    pub fn new(weight: Tensor, bias: &Tensor, stride: usize, padding: usize) -> Result<Self> {
        let (_, _, kernel, width) = weight.dims4()?;
        if kernel != width || stride == 0 {
            candle_core::bail!(
                "a square kernel and a stride of 1 at least are wanted, not {kernel}x{width} and {stride}"
            );
        }
        Ok(Self { weight: weight.contiguous()?, bias: bias.reshape((1, (), 1))?, kernel, stride, padding })
    }

    fn output_side(&self, side: usize) -> Result<usize> {
        match (side + 2 * self.padding).checked_sub(self.kernel) {
            Some(rest) => Ok(rest / self.stride + 1),
            None => candle_core::bail!("a side of {side} is too small for a kernel of {}", self.kernel),
        }
    }

    fn forward_cpu(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, input, height, width) = x.dims4()?;
        let (out_height, out_width) = (self.output_side(height)?, self.output_side(width)?);
        let output = self.weight.dim(0)?;
        let x = x.contiguous()?;
        let weight = self.weight.reshape((output, input * self.kernel * self.kernel))?;
        let y = if self.kernel == 1 && self.stride == 1 && self.padding == 0 {
            multiply(&weight, &x.reshape((rows, input, height * width))?)?
        } else {
            // Of one row, whatever their number: the rounding of a product depends on its shape.
            let line_values = input * self.kernel * self.kernel * out_width;
            let band = (MAX_PATCH_VALUES / line_values.max(1)).clamp(1, out_height.max(1));
            let bands: Result<Vec<_>> = (0..out_height)
                .step_by(band)
                .map(|first| {
                    let lines = first..(first + band).min(out_height);
                    let patches =
                        Patches { kernel: self.kernel, stride: self.stride, padding: self.padding, lines, out_width };
                    multiply(&weight, &x.apply_op1_no_bwd(&patches)?)
                })
                .collect();
            match bands?.as_slice() {
                [only] => only.clone(),
                bands => Tensor::cat(bands, 2)?,
            }
        };
        y.broadcast_add(&self.bias)?.reshape((rows, output, out_height, out_width))
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if let Device::Cpu = x.device() {
            return self.forward_cpu(x);
        }
        let config = Conv2dConfig { stride: self.stride, padding: self.padding, ..Conv2dConfig::default() };
        candle_nn::Conv2d::new(self.weight.clone(), Some(self.bias.flatten_all()?), config).forward(x)
    }
}

/// `[out, k]` times each of `[rows, k, n]`.
fn multiply(weight: &Tensor, columns: &Tensor) -> Result<Tensor> {
    weight.broadcast_left(columns.dim(0)?)?.matmul(columns)
}

/// Gathers what each output position sees: `[rows, in, h, w] -> [rows, in * kernel^2, lines * out_width]`.
struct Patches {
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Lines of the output.
    lines: std::ops::Range<usize>,
    out_width: usize,
}

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, channels, height, width) = layout.shape().dims4()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("patches are gathered from contiguous images");
        };
        let images = &storage.as_slice::<f32>()?[start..end];
        let per_tap = self.lines.len() * self.out_width;
        let taps = self.kernel * self.kernel;
        let mut patches = vec![0.0_f32; rows * channels * taps * per_tap];
        let of_channels = patches.chunks_exact_mut(taps * per_tap).zip(images.chunks_exact(height * width));
        for (patches, channel) in of_channels {
            for (tap, patches) in patches.chunks_exact_mut(per_tap).enumerate() {
                let (tap_y, tap_x) = (tap / self.kernel, tap % self.kernel);
                for (y, line) in self.lines.clone().zip(patches.chunks_exact_mut(self.out_width)) {
                    // What lies in the padding stays zero.
                    let Some(from) = (y * self.stride + tap_y).checked_sub(self.padding).filter(|y| *y < height) else {
                        continue;
                    };
                    self.gather(&channel[from * width..(from + 1) * width], tap_x, line);
                }
            }
        }
        Ok((CpuStorage::F32(patches), Shape::from((rows, channels * taps, per_tap))))
    }
}

impl Patches {
    /// One line of the output's positions, as one tap of the kernel sees it.
    fn gather(&self, from: &[f32], tap_x: usize, line: &mut [f32]) {
        // The first position whose tap is not in the padding, and where that tap is.
        let first = self.padding.saturating_sub(tap_x).div_ceil(self.stride);
        let offset = (first * self.stride + tap_x).saturating_sub(self.padding);
        let (Some(line), Some(from)) = (line.get_mut(first..), from.get(offset..)) else {
            return;
        };
        if self.stride == 1 {
            let count = line.len().min(from.len());
            line[..count].copy_from_slice(&from[..count]);
        } else {
            line.iter_mut().zip(from.iter().step_by(self.stride)).for_each(|(to, from)| *to = *from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::noise::randn;
    use proptest::prelude::*;

    fn random(seed: u64, shape: (usize, usize, usize, usize)) -> Tensor {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        Tensor::from_vec(randn(seed, count), shape, &Device::Cpu).unwrap()
    }

    /// The definition, in double precision.
    fn naive(x: &Tensor, weight: &Tensor, bias: &[f32], stride: usize, padding: usize) -> Vec<f32> {
        let (rows, input, height, width) = x.dims4().unwrap();
        let (output, _, kernel, _) = weight.dims4().unwrap();
        let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let weight = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let side = |side: usize| (side + 2 * padding - kernel) / stride + 1;
        let mut out = Vec::new();
        for (row, o, y, x_out) in itertools(rows, output, side(height), side(width)) {
            let mut sum = f64::from(bias[o]);
            for (c, ky, kx, _) in itertools(input, kernel, kernel, 1) {
                let (iy, ix) = ((y * stride + ky).wrapping_sub(padding), (x_out * stride + kx).wrapping_sub(padding));
                if iy < height && ix < width {
                    let value = x[((row * input + c) * height + iy) * width + ix];
                    sum += f64::from(value) * f64::from(weight[((o * input + c) * kernel + ky) * kernel + kx]);
                }
            }
            out.push(sum as f32);
        }
        out
    }

    /// All indices below four bounds, the last one fastest.
    fn itertools(a: usize, b: usize, c: usize, d: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn convolution_is_what_its_definition_says(
            rows in 1_usize..3, input in 1_usize..5, output in 1_usize..5, height in 3_usize..12, width in 3_usize..12,
            kernel in prop_oneof![Just(1_usize), Just(3)], stride in 1_usize..3, padding in 0_usize..2, seed in 0_u64..1000,
        ) {
            let x = random(seed, (rows, input, height, width));
            let weight = random(seed + 1, (output, input, kernel, kernel));
            let bias = randn(seed + 2, output);
            let conv = Conv2d::new(weight.clone(), &Tensor::new(bias.as_slice(), &Device::Cpu).unwrap(), stride, padding).unwrap();
            let found = conv.forward(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let wanted = naive(&x, &weight, &bias, stride, padding);
            prop_assert_eq!(found.len(), wanted.len());
            for (found, wanted) in found.iter().zip(wanted) {
                prop_assert!((found - wanted).abs() < 1e-4, "{} is not {}", found, wanted);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_batch_and_large_images_are_taken_in_bands() {
        let (input, side) = (24, 300);
        let weight = random(1, (8, input, 3, 3));
        let conv =
            Conv2d::new(weight, &Tensor::zeros(8, candle_core::DType::F32, &Device::Cpu).unwrap(), 1, 1).unwrap();
        let x = random(2, (2, input, side, side));
        assert!(input * 9 * side * side > MAX_PATCH_VALUES);
        let both = conv.forward(&x).unwrap().get(1).unwrap();
        let alone = conv.forward(&x.narrow(0, 1, 1).unwrap()).unwrap().get(0).unwrap();
        let bits = |t: &Tensor| {
            t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert!(bits(&both) == bits(&alone));
    }
}
