//! The published Python, loop by loop, for the property tests to compare with.
//!
//! Contract: each function follows the one named beside it in `seq_aligner.py`, `ptp_utils.py` or the notebooks of
//! github.com/google/prompt-to-prompt (Apache-2.0), quirks included; it shares no code with what it checks. `pieces`
//! stands for the decoded tokens without BOS and EOS.

#![expect(
    clippy::needless_range_loop,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

/// `get_word_inds` with an int.
fn get_word_inds(text: &str, word_place: usize, pieces: &[&str]) -> Vec<usize> {
    let split_text: Vec<&str> = text.split(' ').collect();
    let mut out = Vec::new();
    let (mut cur_len, mut ptr) = (0, 0);
    for i in 0..pieces.len() {
        cur_len += pieces[i].len();
        if ptr == word_place {
            out.push(i + 1);
        }
        if cur_len >= split_text[ptr].len() {
            ptr += 1;
            cur_len = 0;
        }
    }
    out
}

/// `get_replacement_mapper_`: \[source\]\[target\].
pub fn replacement_mapper(
    (x, x_pieces): (&str, &[&str]),
    (y, y_pieces): (&str, &[&str]),
    max_len: usize,
) -> Vec<Vec<f32>> {
    let words_x: Vec<&str> = x.split(' ').collect();
    let words_y: Vec<&str> = y.split(' ').collect();
    assert_eq!(words_x.len(), words_y.len());
    let inds_replace: Vec<usize> = (0..words_y.len())
        .filter(|&i| words_y[i] != words_x[i])
        .collect();
    let inds = |text: &str, pieces: &[&str]| -> Vec<Vec<usize>> {
        let words = inds_replace.iter();
        words.map(|&i| get_word_inds(text, i, pieces)).collect()
    };
    let inds_source = inds(x, x_pieces);
    let inds_target = inds(y, y_pieces);
    let mut mapper = vec![vec![0.0_f64; max_len]; max_len];
    let (mut i, mut j, mut cur_inds) = (0, 0, 0);
    while i < max_len && j < max_len {
        if cur_inds < inds_source.len() && inds_source[cur_inds][0] == i {
            let (from, to) = (&inds_source[cur_inds], &inds_target[cur_inds]);
            if from.len() == to.len() {
                for k in 0..from.len() {
                    mapper[from[k]][to[k]] = 1.0;
                }
            } else {
                let ratio = 1.0 / to.len() as f64;
                for &i_t in to {
                    for &i_s in from {
                        mapper[i_s][i_t] = ratio;
                    }
                }
            }
            cur_inds += 1;
            i += from.len();
            j += to.len();
        } else if cur_inds < inds_source.len() {
            mapper[i][j] = 1.0;
            i += 1;
            j += 1;
        } else {
            mapper[j][j] = 1.0;
            i += 1;
            j += 1;
        }
    }
    let rows = mapper.into_iter();
    rows.map(|row| row.into_iter().map(|v| v as f32).collect())
        .collect()
}

/// `get_mapper` with `global_align` and `get_aligned_sequences`: (mapper, alphas).
pub fn refinement_mapper(x: &[u32], y: &[u32], max_len: usize) -> (Vec<i64>, Vec<f32>) {
    let (gap, matching, mismatch) = (0, 1, -1);
    let mut matrix = vec![vec![0_i32; y.len() + 1]; x.len() + 1];
    let mut trace_back = vec![vec![0; y.len() + 1]; x.len() + 1];
    for j in 1..=y.len() {
        matrix[0][j] = j as i32 * gap;
        trace_back[0][j] = 1;
    }
    for i in 1..=x.len() {
        matrix[i][0] = i as i32 * gap;
        trace_back[i][0] = 2;
    }
    trace_back[0][0] = 4;
    for i in 1..=x.len() {
        for j in 1..=y.len() {
            let left = matrix[i][j - 1] + gap;
            let up = matrix[i - 1][j] + gap;
            let score = if x[i - 1] == y[j - 1] {
                matching
            } else {
                mismatch
            };
            let diag = matrix[i - 1][j - 1] + score;
            matrix[i][j] = left.max(up).max(diag);
            trace_back[i][j] = if matrix[i][j] == left {
                1
            } else if matrix[i][j] == up {
                2
            } else {
                3
            };
        }
    }
    let (mut i, mut j) = (x.len(), y.len());
    let mut mapper_y_to_x: Vec<i64> = Vec::new();
    while i > 0 || j > 0 {
        match trace_back[i][j] {
            3 => {
                i -= 1;
                j -= 1;
                mapper_y_to_x.push(i as i64);
            }
            1 => {
                j -= 1;
                mapper_y_to_x.push(-1);
            }
            2 => i -= 1,
            _ => break,
        }
    }
    mapper_y_to_x.reverse();
    let mut alphas = vec![1.0; max_len];
    let mut mapper: Vec<i64> = mapper_y_to_x.clone();
    for (at, &from) in mapper_y_to_x.iter().enumerate() {
        alphas[at] = if from == -1 { 0.0 } else { 1.0 };
    }
    mapper.extend((0..max_len - y.len()).map(|k| (y.len() + k) as i64));
    (mapper, alphas)
}

/// `get_time_words_attention_alpha` with `update_alpha_time_word`: \[steps + 1\]\[tokens\].
pub fn time_words_alpha(
    num_steps: usize,
    default: (f64, f64),
    words: &[(Vec<usize>, (f64, f64))],
    max_num_words: usize,
) -> Vec<Vec<f32>> {
    let mut alpha = vec![vec![0.0_f32; max_num_words]; num_steps + 1];
    let mut update = |bounds: (f64, f64), word_inds: &[usize]| {
        let rows = alpha.len();
        let start = (bounds.0 * rows as f64) as usize;
        let end = (bounds.1 * rows as f64) as usize;
        for &word in word_inds {
            for row in &mut alpha[..start] {
                row[word] = 0.0;
            }
            for row in &mut alpha[start..end] {
                row[word] = 1.0;
            }
            for row in &mut alpha[end..] {
                row[word] = 0.0;
            }
        }
    };
    update(default, &(0..max_num_words).collect::<Vec<_>>());
    for (inds, bounds) in words {
        update(*bounds, inds);
    }
    alpha
}

/// `LocalBlend.get_mask` of one prompt: maps \[h\]\[w\]\[tokens\] to a mask \[h\]\[w\] of the latents.
pub fn get_mask(
    maps: &[Vec<Vec<f32>>],
    alpha: &[f32],
    use_pool: bool,
    (h, w): (usize, usize),
    th: f32,
) -> Vec<Vec<bool>> {
    let (map_h, map_w) = (maps.len(), maps[0].len());
    let mut flat = vec![vec![0.0_f32; map_w]; map_h];
    for y in 0..map_h {
        for x in 0..map_w {
            for token in 0..alpha.len() {
                flat[y][x] += maps[y][x][token] * alpha[token];
            }
        }
    }
    let mut pooled = flat.clone();
    if use_pool {
        for y in 0..map_h as i64 {
            for x in 0..map_w as i64 {
                for (dy, dx) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dy, dx))) {
                    let (ny, nx) = (y + dy, x + dx);
                    if (0..map_h as i64).contains(&ny) && (0..map_w as i64).contains(&nx) {
                        let near = flat[ny as usize][nx as usize];
                        let here = &mut pooled[y as usize][x as usize];
                        *here = here.max(near);
                    }
                }
            }
        }
    }
    let mut mask = vec![vec![0.0_f32; w]; h];
    let mut highest = f32::NEG_INFINITY;
    for y in 0..h {
        for x in 0..w {
            let from_y = (y as f32 * (map_h as f32 / h as f32)).floor() as usize;
            let from_x = (x as f32 * (map_w as f32 / w as f32)).floor() as usize;
            mask[y][x] = pooled[from_y.min(map_h - 1)][from_x.min(map_w - 1)];
            highest = highest.max(mask[y][x]);
        }
    }
    let rows = mask.into_iter();
    rows.map(|row| row.into_iter().map(|v| v / highest > th).collect())
        .collect()
}
