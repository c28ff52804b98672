//! Square convolutions on the CPU, channels last: `[images, h, w, in] -> [images, h', w', out]`.
//!
//! The input is copied once into an image with a border of zeros; normalization, activation and nearest-neighbour
//! upsampling happen in that copy. Then each place of the kernel is one tap of a [product] whose rows are
//! the output's positions, or the whole goes the way of [winograd].
//!
//! [product]: crate::kernels::matmul
//! [winograd]: crate::kernels::winograd

#![allow(unsafe_code)]

use crate::kernels::activation::Activation;
use crate::kernels::buffer::{filled, for_each_chunk, with_scratch, with_scratch_bf16};
use crate::kernels::linear::Weight;
use crate::kernels::matmul::{Added, Output, Product, Rows, multiply_all};
use crate::kernels::norm::Affine;
use crate::kernels::panels::{Element, PANEL, Panels};
use crate::kernels::simd::{Kernel, LANES, Simd, dispatch};
use crate::kernels::winograd;
use crate::kernels::winograd::{Bordered, Transformed};

/// Sides of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Side of the kernel.
    pub kernel: usize,
    /// Input positions from one output position to the next.
    pub stride: usize,
    /// Zeros before the first line and column.
    pub before: usize,
    /// Zeros behind the last line and column.
    pub after: usize,
}

impl Geometry {
    /// The output's side for an input's; `None` where it is too small.
    pub fn output_side(&self, side: usize) -> Option<usize> {
        Some((side + self.before + self.after).checked_sub(self.kernel)? / self.stride + 1)
    }
}

/// A batch of images, `[images, height, width, channels]`.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// All numbers.
    pub numbers: &'a [f32],
    /// Images.
    pub count: usize,
    /// Lines of an image.
    pub height: usize,
    /// Positions of a line.
    pub width: usize,
}

/// What happens to the input on its way into a convolution.
#[derive(Debug, Clone, Copy, Default)]
pub struct Before<'a> {
    /// A group norm's outcome.
    pub norm: Option<&'a Affine>,
    /// An activation after it.
    pub activation: Option<Activation>,
    /// Height and width to which the nearest input position is taken.
    pub upsampled: Option<(usize, usize)>,
}

/// What is added to the output.
#[derive(Debug, Clone, Copy, Default)]
pub struct After<'a> {
    /// To every position of an image: `[images, out]`.
    pub shift: Option<&'a [f32]>,
    /// `[images, h', w', out]`
    pub residual: Option<&'a [f32]>,
}

/// A weight as it is multiplied.
#[derive(Debug, Clone)]
enum Form {
    Taps(Weight),
    Winograd(Transformed),
}

/// A convolution.
#[derive(Debug, Clone)]
pub struct PackedConv2d {
    form: Form,
    /// `[out, rounded up to whole panels]`
    bias: Vec<f32>,
    input: usize,
    output: usize,
    geometry: Geometry,
}

impl PackedConv2d {
    /// Of `weight` `[out, in, kernel, kernel]` and `bias` `[out]`; products are of bf16 where `is_bf16`. `positions` are
    /// those that its output has in images that the model was made for, where that is known.
    ///
    /// # Panics
    /// Where sizes do not fit together.
    pub fn new(weight: &[f32], bias: &[f32], geometry: Geometry, is_bf16: bool, positions: Option<usize>) -> Self {
        let (output, places) = (bias.len(), geometry.kernel * geometry.kernel);
        let input = weight.len() / (output * places);
        assert_eq!(weight.len(), input * output * places, "the weight of a convolution");
        let padded = Weight::padded(input, is_bf16);
        let number = |depth: usize, column: usize| {
            let (place, channel) = (depth / padded, depth % padded);
            if channel < input { weight[(column * input + channel) * places + place] } else { 0.0 }
        };
        let keeps_size = geometry == Geometry { kernel: 3, stride: 1, before: 1, after: 1 };
        let is_transformed = keeps_size && positions.is_some_and(|positions| winograd::pays(positions, input, output));
        let form = if is_transformed && !is_bf16 {
            Form::Winograd(Transformed::new(weight, input, output))
        } else {
            Form::Taps(Weight::new(padded * places, output, is_bf16, number))
        };
        let mut bias = bias.to_vec();
        bias.resize(output.next_multiple_of(PANEL), 0.0);
        Self { form, bias, input, output, geometry }
    }

    /// Output channels.
    pub fn output(&self) -> usize {
        self.output
    }

    /// Convolves; `[images, h', w', out]`.
    ///
    /// # Panics
    /// Where sizes do not fit together, the input's side is too small among them.
    pub fn forward(&self, images: Images<'_>, before: Before<'_>, after: After<'_>) -> Vec<f32> {
        let Images { numbers, count, height, width } = images;
        assert_eq!(numbers.len(), count * height * width * self.input, "the input of a convolution");
        let (height, width) = before.upsampled.unwrap_or((height, width));
        let sides = (self.geometry.output_side(height), self.geometry.output_side(width));
        let (out_height, out_width) = match sides {
            (Some(height), Some(width)) => (height, width),
            _ => panic_too_small(height, width, self.geometry),
        };
        let fill = |out: &mut [f32]| self.convolve(images, before, after, (out_height, out_width), out);
        // SAFETY: `multiply_all` writes every number of its output, and reads only those that it has written.
        unsafe { filled(count * out_height * out_width * self.output, fill) }
    }

    fn convolve(
        &self,
        images: Images<'_>,
        before: Before<'_>,
        after: After<'_>,
        out_sides: (usize, usize),
        out: &mut [f32],
    ) {
        let mut biases = Vec::new();
        if let Some(shift) = after.shift {
            assert_eq!(shift.len(), images.count * self.output, "what is added to the output of a convolution");
            for shift in shift.chunks_exact(self.output) {
                let start = biases.len();
                biases.extend_from_slice(&self.bias);
                biases[start..].iter_mut().zip(shift).for_each(|(bias, shift)| *bias += shift);
            }
        }
        let added = match after.shift {
            Some(_) => {
                Added { bias: Some(&biases), rows_per_bias: out_sides.0 * out_sides.1, residual: after.residual }
            }
            None => Added { bias: Some(&self.bias), rows_per_bias: 0, residual: after.residual },
        };
        let mut frame = Frame::new(images, before, self.geometry, self.input);
        let weight = match &self.form {
            Form::Taps(weight) => weight,
            Form::Winograd(weight) => {
                (frame.height, frame.width) = (frame.height.next_multiple_of(2), frame.width.next_multiple_of(2));
                with_scratch(frame.length(self.input), |padded| {
                    frame.fill(padded, self.input);
                    let Frame { height, width, .. } = frame;
                    let bordered = Bordered { numbers: padded, count: images.count, height, width };
                    weight.convolve(bordered, out_sides, added, out);
                });
                return;
            }
        };
        match weight {
            Weight::F32(weight) if self.geometry.kernel == 1 && frame.is_plain() => {
                self.multiply(images.numbers, &frame, weight, added, out_sides, out);
            }
            Weight::F32(weight) => with_scratch(frame.length(self.input), |padded| {
                frame.fill(padded, self.input);
                self.multiply(padded, &frame, weight, added, out_sides, out);
            }),
            Weight::Bf16(weight) => {
                let channels = Weight::padded(self.input, true);
                with_scratch_bf16(frame.length(channels), |padded| {
                    frame.fill(padded, channels);
                    self.multiply(padded, &frame, weight, added, out_sides, out);
                });
            }
        }
    }

    fn multiply<T: Element>(
        &self,
        padded: &[T],
        frame: &Frame<'_>,
        weight: &Panels<T>,
        added: Added<'_>,
        (height, width): (usize, usize),
        out: &mut [f32],
    ) {
        let (kernel, stride) = (self.geometry.kernel, self.geometry.stride);
        let channels = weight.depth() / (kernel * kernel);
        let line = frame.width * channels;
        let rows = Rows {
            width,
            height,
            images: frame.images.count,
            step: stride * channels,
            line: stride * line,
            image: frame.height * line,
        };
        let taps: Vec<_> = (0..kernel * kernel).map(|tap| tap / kernel * line + tap % kernel * channels).collect();
        let output = Output::Sums;
        multiply_all(vec![Product {
            input: padded,
            rows,
            taps: &taps,
            depth: channels,
            weights: weight,
            added,
            output,
            out,
        }]);
    }
}

#[allow(clippy::panic)]
fn panic_too_small(height: usize, width: usize, geometry: Geometry) -> ! {
    panic!("an image of {height} x {width} is too small for a kernel of {}", geometry.kernel)
}

/// Images with their borders.
struct Frame<'a> {
    images: Images<'a>,
    before: Before<'a>,
    channels: usize,
    /// Sides of the image without its border.
    inner: (usize, usize),
    border: usize,
    height: usize,
    width: usize,
}

impl<'a> Frame<'a> {
    fn new(images: Images<'a>, before: Before<'a>, geometry: Geometry, channels: usize) -> Self {
        let inner = before.upsampled.unwrap_or((images.height, images.width));
        let border = geometry.before + geometry.after;
        let (height, width) = (inner.0 + border, inner.1 + border);
        Self { images, before, channels, inner, border: geometry.before, height, width }
    }

    /// Whether it is nothing but the images.
    fn is_plain(&self) -> bool {
        let Before { norm, activation, upsampled } = self.before;
        norm.is_none() && activation.is_none() && upsampled.is_none() && self.inner == (self.height, self.width)
    }

    fn length(&self, padded: usize) -> usize {
        self.images.count * self.height * self.width * padded
    }

    /// Writes `[images, height, width, padded]`.
    fn fill<T: Element>(&self, out: &mut [T], padded: usize) {
        let line = self.width * padded;
        for_each_chunk(out, line, |chunk, out| {
            let (image, y) = (chunk / self.height, chunk % self.height);
            let Some(y) = y.checked_sub(self.border).filter(|y| *y < self.inner.0) else {
                out.fill(T::default());
                return;
            };
            let (left, rest) = out.split_at_mut(self.border * padded);
            let (inside, right) = rest.split_at_mut(self.inner.1 * padded);
            left.fill(T::default());
            right.fill(T::default());
            let y = nearest(y, self.images.height, self.inner.0);
            let from = (image * self.images.height + y) * self.images.width * self.channels;
            let line = &self.images.numbers[from..from + self.images.width * self.channels];
            let of_image = image * self.channels..(image + 1) * self.channels;
            let norm = self.before.norm.map(|norm| (&norm.scale[of_image.clone()], &norm.shift[of_image]));
            dispatch(Line { frame: self, line, norm, padded, out: inside });
        });
    }
}

/// The position that is nearest to one of a larger image (PyTorch's `nearest`).
fn nearest(at: usize, from: usize, to: usize) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if from == to { at } else { ((at as f32 * (from as f32 / to as f32)) as usize).min(from - 1) }
}

/// One line without its border.
struct Line<'a, T> {
    frame: &'a Frame<'a>,
    line: &'a [f32],
    norm: Option<(&'a [f32], &'a [f32])>,
    padded: usize,
    out: &'a mut [T],
}

impl<T: Element> Kernel for Line<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let channels = self.frame.channels;
        for (x, out) in self.out.chunks_exact_mut(self.padded).enumerate() {
            let x = nearest(x, self.frame.images.width, self.frame.inner.1);
            let from = &self.line[x * channels..(x + 1) * channels];
            let (out, behind) = out.split_at_mut(channels);
            behind.fill(T::default());
            for (block, (out, from)) in out.chunks_mut(LANES).zip(from.chunks(LANES)).enumerate() {
                let mut y = s.load_some(from, 0.0);
                if let Some((scale, shift)) = self.norm {
                    let at = block * LANES..block * LANES + from.len();
                    y = s.mul_add(y, s.load_some(&scale[at.clone()], 0.0), s.load_some(&shift[at], 0.0));
                }
                if let Some(activation) = self.frame.before.activation {
                    y = activation.of(s, y);
                }
                T::store(s, out, y);
            }
        }
    }
}

#[cfg(test)]
#[path = "conv2d_tests.rs"]
mod tests;
