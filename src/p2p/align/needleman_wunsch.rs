//! Global alignment of two sequences (Needleman-Wunsch), as the published code aligns token ids for refine.
//!
//! Contract: gap 0, match 1, mismatch -1; ties prefer a step to the left (an element of the second sequence without a
//! counterpart), then up. A mismatch then never pays, so every pair that comes out is a pair of equal elements, and
//! the pairs ascend on both sides.

#[derive(Debug, Clone, Copy)]
enum Step {
    Left,
    Up,
    Diagonal,
}

/// Pairs (index in `x`, index in `y`) of the alignment, ascending (`global_align` and `get_aligned_sequences` of the
/// published `seq_aligner.py`).
pub(crate) fn align<T: PartialEq>(x: &[T], y: &[T]) -> Vec<(usize, usize)> {
    let width = y.len() + 1;
    // Gaps cost nothing, so the first row and column of the scores stay 0.
    let mut scores = vec![0_i32; (x.len() + 1) * width];
    let mut steps = vec![Step::Up; (x.len() + 1) * width];
    for i in 1..=x.len() {
        for j in 1..=y.len() {
            let at = i * width + j;
            let left = scores[at - 1];
            let up = scores[at - width];
            let gain = if x[i - 1] == y[j - 1] { 1 } else { -1 };
            let diagonal = scores[at - width - 1] + gain;
            let best = left.max(up).max(diagonal);
            scores[at] = best;
            steps[at] = match best {
                best if best == left => Step::Left,
                best if best == up => Step::Up,
                _ => Step::Diagonal,
            };
        }
    }
    let (mut i, mut j) = (x.len(), y.len());
    let mut pairs = Vec::new();
    // Along an edge only gaps are left, and gaps make no pairs.
    while i > 0 && j > 0 {
        match steps[i * width + j] {
            Step::Left => j -= 1,
            Step::Up => i -= 1,
            Step::Diagonal => {
                i -= 1;
                j -= 1;
                pairs.push((i, j));
            }
        }
    }
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn equal_elements_pair_in_order() {
        assert_eq!(align(&[1, 2, 3], &[1, 2, 3]), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(align(&[1, 2, 3], &[1, 9, 3]), [(0, 0), (2, 2)]);
        assert_eq!(align(&[1, 2], &[9, 1, 8, 2, 7]), [(0, 1), (1, 3)]);
        assert_eq!(align::<u32>(&[], &[1]), []);
    }

    #[test]
    fn ties_leave_the_later_elements_without_a_counterpart() {
        // Both 5s of y would do: walking back from the end, left is tried first.
        assert_eq!(align(&[5], &[5, 5]), [(0, 0)]);
        assert_eq!(align(&[5, 5], &[5]), [(0, 0)]);
        // One of two crossing pairs: left gives up the 2 of y before up gives up the 1 of x.
        assert_eq!(align(&[2, 1], &[1, 2]), [(1, 0)]);
    }
}
