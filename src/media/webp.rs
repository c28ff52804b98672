//! Lossy WebP, by libwebp; the `image` crate writes only lossless WebP.

use webp::Encoder;

/// Encodes an RGB image of these sides with a quality of 1 to 100. `None` if libwebp cannot, for example if a side is
/// longer than [`MAX_SIDE`](crate::media::MAX_SIDE).
pub(crate) fn encode(rgb: &[u8], width: u32, height: u32, quality: u8) -> Option<Vec<u8>> {
    if rgb.len() as u64 != u64::from(width) * u64::from(height) * 3 {
        return None;
    }
    let file = Encoder::from_rgb(rgb, width, height).encode_simple(false, f32::from(quality)).ok()?;
    Some(file.to_vec())
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
