//! Attention against its definition, in double precision.

use std::num::NonZeroUsize;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::kernels::pool::Pool;
use crate::kernels::test_values::randn;

/// What one term comes to, `[positions, channels]`, and its map.
fn naive(q: &[f32], k: &[f32], v: &[f32], heads: Heads) -> (Vec<f64>, Vec<f64>) {
    let Heads { count, channels, positions, is_causal } = heads;
    let (tokens, head_dim) = (k.len() / channels, channels / count);
    let (mut out, mut map) = (vec![0.0; positions * channels], vec![0.0; positions * tokens]);
    for head in 0..count {
        let at = |x: &[f32], row: usize, c: usize| f64::from(x[row * channels + head * head_dim + c]);
        for position in 0..positions {
            let visible = if is_causal { (position + 1).min(tokens) } else { tokens };
            let score = |token| {
                let products = (0..head_dim).map(|c| at(q, position, c) * at(k, token, c));
                (products.sum::<f64>() / (head_dim as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = (0..visible).map(score).collect();
            let sum: f64 = scores.iter().sum();
            for (token, score) in scores.iter().enumerate() {
                map[position * tokens + token] += score / sum;
                for c in 0..head_dim {
                    out[position * channels + head * head_dim + c] += score / sum * at(v, token, c);
                }
            }
        }
    }
    (out, map)
}

fn assert_close(found: &[f32], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((f64::from(*found) - wanted).abs() < 1e-4, "{found} is not {wanted}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_row_is_the_sum_of_its_terms(
        (positions, tokens) in (1_usize..60, 1_usize..100),
        (count, head_dim) in (1_usize..4, 1_usize..50),
        is_causal: bool,
        threads in 1_usize..4,
        seed in 0_u64..1000,
    ) {
        let _entered = Arc::new(Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()).enter();
        let channels = count * head_dim;
        let heads = Heads { count, channels, positions, is_causal };
        let of = |seed: u64, rows: usize| randn(seed, rows * channels);
        let (q, k, v) = (of(seed, positions), of(seed + 1, tokens), of(seed + 2, tokens));
        let (other_q, other_k) = (of(seed + 3, positions), of(seed + 4, tokens));
        let (keys, values) = (Keys::new(&k, tokens, count), Values::new(&v, tokens, count));
        let other_keys = Keys::new(&other_k, tokens, count);
        let own = Term { queries: &q, keys: &keys, values: &values };
        let other = Term { queries: &other_q, keys: &other_keys, values: &values };
        let mut map = vec![0.0; positions * tokens];
        let rows = vec![
            Row { terms: vec![own], map: None },
            Row { terms: vec![other, own], map: Some(&mut map) },
            Row { terms: vec![], map: None },
        ];
        let found = attend(rows, heads);
        let ((wanted, wanted_map), (added, _)) = (naive(&q, &k, &v, heads), naive(&other_q, &other_k, &v, heads));
        let size = positions * channels;
        assert_close(&found[..size], &wanted);
        let sum: Vec<f64> = wanted.iter().zip(added).map(|(a, b)| a + b).collect();
        assert_close(&found[size..2 * size], &sum);
        prop_assert!(found[2 * size..].iter().all(|value| *value == 0.0));
        assert_close(&map, &wanted_map);
    }

    #[test]
    fn values_are_mixed_and_scaled_over_tokens(
        tokens in 1_usize..80, (count, head_dim) in (1_usize..4, 1_usize..40), seed in 0_u64..1000,
    ) {
        let channels = count * head_dim;
        let (v, matrix) = (randn(seed, tokens * channels), randn(seed + 1, tokens * tokens));
        let values = Values::new(&v, tokens, count);
        let mut mixed = vec![0.0; tokens * channels];
        for (at, mixed) in mixed.iter_mut().enumerate() {
            let (row, c) = (at / channels, at % channels);
            *mixed = (0..tokens).map(|token| matrix[row * tokens + token] * v[token * channels + c]).sum();
        }
        let wanted = Values::new(&mixed, tokens, count);
        let found = values.mixed(&matrix);
        for (found, wanted) in found.numbers().iter().zip(wanted.numbers()) {
            prop_assert!((found - wanted).abs() < 1e-4);
        }
        let factors = randn(seed + 2, tokens);
        let scaled: Vec<f32> = v.iter().enumerate().map(|(at, v)| v * factors[at / channels]).collect();
        let (found, wanted) = (values.scaled(&factors), Values::new(&scaled, tokens, count));
        prop_assert_eq!(found.numbers(), wanted.numbers());
    }
}

#[test]
fn a_rows_bytes_depend_neither_on_its_batch_nor_on_threads() {
    let heads = Heads { count: 2, channels: 32, positions: 100, is_causal: false };
    let (q, k, v) = (randn(1, 3200), randn(2, 77 * 32), randn(3, 77 * 32));
    let (keys, values) = (Keys::new(&k, 77, 2), Values::new(&v, 77, 2));
    let run = |rows: usize| {
        let row = || Row { terms: vec![Term { queries: &q, keys: &keys, values: &values }], map: None };
        let bits: Vec<u32> = attend((0..rows).map(|_| row()).collect(), heads).into_iter().map(f32::to_bits).collect();
        assert!(bits.chunks_exact(3200).all(|row| *row == bits[..3200]));
        bits[..3200].to_vec()
    };
    let wanted = run(1);
    for threads in 2..5 {
        let _entered = Arc::new(Pool::new(NonZeroUsize::new(threads).unwrap()).unwrap()).enter();
        assert!(run(3) == wanted, "{threads} threads");
    }
}
