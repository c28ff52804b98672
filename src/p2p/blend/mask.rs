//! The mask of a local blend, from attention maps summed over the steps.
//!
//! Contract: pure functions on slices. Maps are \[positions, tokens\], row-major, positions line by line: means over
//! layers and heads, summed over the steps so far (any factor on them cancels). Masks are \[height, width\] of the
//! latents, true where the edit may change the image (`LocalBlend` of the published code, section 3.2 of the paper,
//! "local editing").

use crate::p2p::blend::plan::BlendPlan;

/// Where tokens get more than a part of the highest attention (`LocalBlend.get_mask`).
///
/// The tokens' maps are summed, with `pool` each position takes the highest of its 3x3 neighbours, the result is
/// resized to the `latent` (height, width) by the nearest neighbour, divided by its maximum and compared with the
/// threshold. `map` is the (height, width) of the maps; without attention or tokens the mask is empty.
#[must_use]
pub fn mask(
    maps: &[f32],
    map: (usize, usize),
    tokens: &[usize],
    pool: bool,
    latent: (usize, usize),
    threshold: f32,
) -> Vec<bool> {
    let (height, width) = latent;
    if maps.is_empty() || map.0 * map.1 == 0 {
        return vec![false; height * width];
    }
    let per_position = maps.chunks_exact(maps.len() / (map.0 * map.1));
    let mut attention: Vec<f32> =
        per_position.map(|position| tokens.iter().map(|&token| position[token]).sum()).collect();
    if pool {
        attention = max_pool(&attention, map);
    }
    let columns: Vec<usize> = (0..width).map(|x| nearest(x, map.1, width)).collect();
    let resized: Vec<f32> = (0..height)
        .flat_map(|y| {
            let line = nearest(y, map.0, height) * map.1;
            columns.iter().map(move |x| line + x)
        })
        .map(|at| attention[at])
        .collect();
    let highest = resized.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Where the maximum is 0 this is NaN or negative infinity, and neither passes.
    let passes = |value: &f32| value / highest > threshold;
    resized.iter().map(passes).collect()
}

/// The mask of an edit: (source or target words) and not (excluded words of either).
///
/// The maps of the source and of the edit are \[`map_h` * `map_w`, tokens\]; the mask is \[`h`, `w`\]. As published,
/// only the words that select are pooled, not the excluded ones.
#[must_use]
pub fn blend_mask(
    plan: &BlendPlan,
    source_maps: &[f32],
    target_maps: &[f32],
    map_h: usize,
    map_w: usize,
    h: usize,
    w: usize,
) -> Vec<bool> {
    let part = |maps: &[f32], tokens: &[usize], pool| mask(maps, (map_h, map_w), tokens, pool, (h, w), plan.threshold);
    let source = part(source_maps, &plan.source_tokens, true);
    let target = part(target_maps, &plan.target_tokens, true);
    let not_source = part(source_maps, &plan.exclude_source, false);
    let not_target = part(target_maps, &plan.exclude_target, false);
    (0..h * w).map(|at| (source[at] || target[at]) && !(not_source[at] || not_target[at])).collect()
}

/// The (height, width) of the attention maps that a blend uses: the level whose number of positions is nearest to
/// `nearest_to`, which is a property of the model (16x16 as published); the larger of two as near. `None` without
/// levels.
#[must_use]
pub fn blend_level(levels: &[(usize, usize)], nearest_to: usize) -> Option<(usize, usize)> {
    levels.iter().copied().min_by_key(|&(height, width)| {
        let positions = height * width;
        (positions.abs_diff(nearest_to), std::cmp::Reverse(positions))
    })
}

/// 3x3 maximum with stride 1; positions outside do not count.
fn max_pool(values: &[f32], (height, width): (usize, usize)) -> Vec<f32> {
    let around = |at: usize, size: usize| at.saturating_sub(1)..(at + 2).min(size);
    let highest = |y: usize, x: usize| {
        around(y, height)
            .flat_map(|near_y| around(x, width).map(move |near_x| near_y * width + near_x))
            .fold(f32::NEG_INFINITY, |highest, at| highest.max(values[at]))
    };
    (0..height * width).map(|at| highest(at / width, at % width)).collect()
}

/// The index that `torch.nn.functional.interpolate(mode="nearest")` reads for an output index:
/// floor(index * (input / output)), reckoned in f32.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn nearest(index: usize, input: usize, output: usize) -> usize {
    let scale = input as f32 / output as f32;
    ((index as f32 * scale) as usize).min(input - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 4x4 map of one token with one bright position.
    fn one_bright(at: usize, rest: f32) -> Vec<f32> {
        let mut map = vec![rest; 16];
        map[at] = 1.0;
        map
    }

    fn count(mask: &[bool]) -> usize {
        mask.iter().filter(|&&set| set).count()
    }

    #[test]
    fn pooling_widens_a_bright_position_by_one() {
        let map = one_bright(0, 0.0);
        let bare = mask(&map, (4, 4), &[0], false, (4, 4), 0.3);
        assert_eq!((count(&bare), bare[0]), (1, true));
        let pooled = mask(&map, (4, 4), &[0], true, (4, 4), 0.3);
        assert_eq!((count(&pooled), pooled[5]), (4, true));
        assert_eq!(count(&mask(&one_bright(5, 0.0), (4, 4), &[0], true, (4, 4), 0.3)), 9);
    }

    #[test]
    fn a_position_must_pass_the_threshold_not_reach_it() {
        let map = one_bright(3, 0.5);
        assert_eq!(count(&mask(&map, (4, 4), &[0], false, (4, 4), 0.5)), 1);
        assert_eq!(count(&mask(&map, (4, 4), &[0], false, (4, 4), 0.49)), 16);
    }

    #[test]
    fn the_maximum_is_relative_and_tokens_add_up() {
        // Two tokens a position: the second alone is flat, the sum has a maximum.
        let maps: Vec<f32> = (0..16).flat_map(|at| [if at == 7 { 9.0 } else { 1.0 }, 2.0]).collect();
        assert_eq!(count(&mask(&maps, (4, 4), &[1], false, (4, 4), 0.5)), 16);
        assert_eq!(count(&mask(&maps, (4, 4), &[0, 1], false, (4, 4), 0.3)), 1);
    }

    #[test]
    fn resizing_takes_the_nearest_position() {
        let resized = mask(&one_bright(1, 0.0), (4, 4), &[0], false, (8, 8), 0.3);
        let set: Vec<_> = (0..64).filter(|&at| resized[at]).collect();
        assert_eq!(set, [2, 3, 10, 11]);
        assert_eq!((0..6).map(|x| nearest(x, 4, 6)).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 3]);
    }

    #[test]
    fn without_attention_or_tokens_nothing_passes() {
        assert_eq!(count(&mask(&[0.0; 16], (4, 4), &[0], true, (8, 8), 0.0)), 0);
        assert_eq!(count(&mask(&[1.0; 16], (4, 4), &[], true, (8, 8), 0.0)), 0);
        assert_eq!(mask(&[], (4, 4), &[0], true, (2, 2), 0.0), [false; 4]);
    }

    #[test]
    fn excluded_parts_are_cut_out_without_pooling() {
        let plan = BlendPlan {
            source_tokens: vec![0],
            target_tokens: vec![0],
            exclude_source: vec![],
            exclude_target: vec![1],
            threshold: 0.3,
            start_step: 0,
        };
        let interleaved = |first: Vec<f32>, second: Vec<f32>| -> Vec<f32> {
            first.into_iter().zip(second).flat_map(|(a, b)| [a, b]).collect()
        };
        let source = interleaved(one_bright(0, 0.0), one_bright(10, 0.0));
        let target = interleaved(one_bright(15, 0.0), one_bright(0, 0.0));
        let mask = blend_mask(&plan, &source, &target, 4, 4, 4, 4);
        // Two corners of four positions; the excluded word takes one position.
        assert_eq!(count(&mask), 7);
        assert!(!mask[0] && mask[1] && mask[15]);
    }

    #[test]
    fn the_level_nearest_to_the_wanted_positions_is_used() {
        assert_eq!(blend_level(&[(64, 64), (32, 32), (16, 16), (8, 8)], 256), Some((16, 16)));
        assert_eq!(blend_level(&[(32, 16), (16, 8), (8, 4)], 256), Some((16, 8)));
        // 192 and 320 are as near.
        assert_eq!(blend_level(&[(16, 12), (20, 16)], 256), Some((20, 16)));
        assert_eq!(blend_level(&[(64, 64), (32, 32), (16, 16)], 1024), Some((32, 32)));
        assert_eq!(blend_level(&[], 256), None);
    }
}
