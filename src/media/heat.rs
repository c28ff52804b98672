//! Heat maps over images: the image in dim grey, with the heat in colours over it.
//!
//! Cold parts still show the image, and the hottest parts are nearly all colour. So two heat maps can be compared by
//! their colours, whatever the images are.

use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma};

use crate::media::Image;

/// Luma of sRGB (Rec. 709).
const LUMA: [f32; 3] = [0.2126, 0.7152, 0.0722];
/// Brightness of the image below. If darker, it is lost among the colours; if brighter, it looks warm itself.
const DIMMED: f32 = 0.6;
/// Opacity of the colour at heat 0 and at heat 1.
const COVER: (f32, f32) = (0.2, 0.85);

/// matplotlib's inferno (van der Walt and Smith, CC0), perceptually uniform and readable without red or green. These
/// are the coefficients of red, green and blue, constant first, of Matt Zucker's fit of degree six
/// (shadertoy.com/view/WlfXRN, CC0), which is within 0.034 everywhere.
const INFERNO: [[f32; 3]; 7] = [
    [0.000_218_940_37, 0.001_651_004_6, -0.019_480_899],
    [0.106_513_42, 0.563_956_44, 3.932_712_4],
    [11.602_493, -3.972_854, -15.942_394],
    [-41.703_995, 17.436_398, 44.354_145],
    [77.162_94, -33.402_36, -81.807_31],
    [-71.319_43, 32.626_064, 73.209_52],
    [25.131_126, -12.242_669, -23.070_325],
];

/// Draws a map over an image. `map` is `[map_height, map_width]`, row by row, with values 0 to 1. It is scaled to the
/// image's size by bicubic interpolation (Catmull-Rom) and clamped to 0 to 1. `None` if the number of values of the map
/// or the image does not match its sides.
pub fn heat_overlay(image: &Image, map: &[f32], map_width: usize, map_height: usize) -> Option<Image> {
    let heat = upscale(map, (map_width, map_height), (image.width, image.height))?;
    if image.rgb.len() != heat.len() * 3 {
        return None;
    }
    let rgb = image.rgb.chunks_exact(3).zip(heat).flat_map(|(pixel, heat)| covered(pixel, heat)).collect();
    Some(Image { rgb, ..*image })
}

/// Sides are (width, height).
fn upscale(map: &[f32], from: (usize, usize), to: (usize, usize)) -> Option<Vec<f32>> {
    let side = |side: usize| u32::try_from(side).ok().filter(|side| *side > 0);
    if map.len() != from.0.checked_mul(from.1)? {
        return None;
    }
    let map: ImageBuffer<Luma<f32>, _> = ImageBuffer::from_raw(side(from.0)?, side(from.1)?, map.to_vec())?;
    let scaled = resize(&map, side(to.0)?, side(to.1)?, FilterType::CatmullRom).into_raw();
    Some(scaled.into_iter().map(|value| value.clamp(0.0, 1.0)).collect())
}

fn covered(pixel: &[u8], heat: f32) -> [u8; 3] {
    let luma: f32 = pixel.iter().zip(LUMA).map(|(&value, weight)| f32::from(value) / 255.0 * weight).sum();
    let cover = COVER.0 + (COVER.1 - COVER.0) * heat;
    inferno(heat).map(|colour| {
        let mixed = DIMMED * luma * (1.0 - cover) + colour * cover;
        // In range: the mean of two values between 0 and 1.
        (mixed * 255.0).round() as u8
    })
}

/// The colour of a heat of 0 to 1; each channel is 0 to 1.
fn inferno(heat: f32) -> [f32; 3] {
    std::array::from_fn(|part| {
        let value = INFERNO.iter().rev().fold(0.0, |sum, coefficients| sum * heat + coefficients[part]);
        value.clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize, value: u8) -> Image {
        Image { width, height, rgb: vec![value; width * height * 3] }
    }

    #[test]
    fn colours_are_those_of_inferno() {
        // Entries 0, 64, 128, 192 and 255 of matplotlib's table.
        let table = [
            (0.0, [0.001_462, 0.000_466, 0.013_866]),
            (64.0 / 255.0, [0.341_500, 0.062_325, 0.429_425]),
            (128.0 / 255.0, [0.735_683, 0.215_906, 0.330_245]),
            (192.0 / 255.0, [0.978_422, 0.557_937, 0.034_931]),
            (1.0, [0.988_362, 0.998_364, 0.644_924]),
        ];
        for (heat, wanted) in table {
            let found = inferno(heat);
            let off = found.iter().zip(wanted).map(|(a, b): (&f32, f32)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 0.035, "{heat}: {found:?} is not {wanted:?}");
        }
    }

    #[test]
    fn cold_places_are_dim_grey_and_hot_ones_are_coloured() {
        let overlay = heat_overlay(&grey(8, 4, 200), &[0.0, 1.0], 2, 1).unwrap();
        assert_eq!((overlay.width, overlay.height), (8, 4));
        let at = |x: usize| &overlay.rgb[x * 3..x * 3 + 3];
        let spread = |pixel: &[u8]| pixel.iter().max().unwrap() - pixel.iter().min().unwrap();
        assert!(spread(at(0)) < 10 && at(0)[0] < 120, "{:?}", at(0));
        assert!(spread(at(7)) > 60 && at(7)[0] > 220, "{:?}", at(7));
    }

    #[test]
    fn what_is_below_shows_through_where_it_is_cold() {
        let mut image = grey(2, 1, 0);
        image.rgb[3..].fill(255);
        let overlay = heat_overlay(&image, &[0.0], 1, 1).unwrap();
        assert!(overlay.rgb[3] > overlay.rgb[0] + 80, "{:?}", overlay.rgb);
    }

    #[test]
    fn a_map_is_interpolated_smoothly_and_stays_in_its_range() {
        let heat = upscale(&[0.0, 1.0, 0.0, 0.0], (4, 1), (32, 1)).unwrap();
        assert!(heat.iter().all(|value| (0.0..=1.0).contains(value)), "{heat:?}");
        let top = heat.iter().copied().fold(0.0, f32::max);
        assert!(top > 0.95 && heat[20..24].iter().all(|value| *value < 0.2), "{heat:?}");
        assert!(heat.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.25), "no steps: {heat:?}");
        // Corners keep their positions: rows and columns are not swapped.
        let corner = upscale(&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (3, 2), (30, 20)).unwrap();
        assert!(corner[29] > 0.9 && corner[0] < 0.1 && corner[19 * 30 + 29] < 0.1);
    }

    #[test]
    fn sides_that_do_not_fit_the_values_give_no_picture() {
        assert_eq!(heat_overlay(&grey(4, 4, 0), &[0.0; 3], 2, 2), None);
        assert_eq!(heat_overlay(&grey(4, 4, 0), &[], 0, 0), None);
        assert_eq!(heat_overlay(&Image { width: 4, height: 4, rgb: vec![0; 3] }, &[0.0], 1, 1), None);
    }
}
