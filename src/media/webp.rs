//! Lossy WebP, by libwebp: what the `image` crate writes is lossless.

#![allow(unsafe_code)]

use std::ptr;
use std::slice;

use libwebp_sys::{WebPEncodeRGB, WebPFree};

/// An RGB image of these sides as a file of a quality of 1 to 100; `None` where libwebp cannot write it, as of more than
/// 16383 pixels a side.
pub(super) fn encode(rgb: &[u8], width: u32, height: u32, quality: u8) -> Option<Vec<u8>> {
    let stride = width.checked_mul(3)?;
    if rgb.len() as u64 != u64::from(stride) * u64::from(height) {
        return None;
    }
    let side = |side: u32| i32::try_from(side).ok();
    let (width, height, stride) = (side(width)?, side(height)?, side(stride)?);
    let mut file = ptr::null_mut();
    // SAFETY: `rgb` holds `height` rows of `stride` bytes, of which libwebp reads no more.
    let bytes = unsafe { WebPEncodeRGB(rgb.as_ptr(), width, height, stride, f32::from(quality), &mut file) };
    if file.is_null() {
        return None;
    }
    // SAFETY: libwebp has put `bytes` bytes there, and gives them over to be freed by `WebPFree`.
    let copy = unsafe { slice::from_raw_parts(file, bytes).to_vec() };
    // SAFETY: it is libwebp's, and nothing refers to it any more.
    unsafe { WebPFree(file.cast()) };
    (bytes > 0).then_some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_costs_bytes_and_brings_the_picture_nearer() {
        let rgb: Vec<u8> = (0..64_u32 * 64 * 3).map(|i| (i * i / 97 % 251) as u8).collect();
        let file = |quality| encode(&rgb, 64, 64, quality).unwrap();
        let error = |file: &[u8]| -> u64 {
            let back = image::load_from_memory(file).unwrap().into_rgb8().into_raw();
            rgb.iter().zip(back).map(|(a, b)| u64::from(a.abs_diff(b))).sum()
        };
        let (poor, good) = (file(5), file(95));
        assert!(poor.len() < good.len(), "{} {}", poor.len(), good.len());
        assert!(error(&poor) > error(&good));
        assert_eq!(file(5), poor);
        assert_eq!(encode(&rgb, 64, 63, 90), None, "sides that are not those of the pixels");
    }
}
