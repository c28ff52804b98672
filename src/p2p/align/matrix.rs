//! A square matrix over token positions, source along the rows and target along the columns.
//!
//! Contract: `size` x `size` numbers, row-major. In `probabilities [positions, source] * matrix`, column `j` says what
//! target token `j` takes from the source's tokens.

/// A matrix \[source tokens, target tokens\], row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenMatrix {
    size: usize,
    data: Vec<f32>,
}

impl TokenMatrix {
    /// All zeros.
    #[must_use]
    pub fn zeros(size: usize) -> Self {
        Self { size, data: vec![0.0; size * size] }
    }

    /// Ones on the diagonal.
    #[must_use]
    pub fn identity(size: usize) -> Self {
        let mut matrix = Self::zeros(size);
        for at in 0..size {
            matrix.set(at, at, 1.0);
        }
        matrix
    }

    /// Number of rows, and of columns.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number at a source and a target position, both below `size`.
    #[must_use]
    pub fn get(&self, source: usize, target: usize) -> f32 {
        self.data[self.at(source, target)]
    }

    /// Sets the number at a source and a target position, both below `size`.
    pub fn set(&mut self, source: usize, target: usize, value: f32) {
        let at = self.at(source, target);
        self.data[at] = value;
    }

    /// Where a number lies. The check keeps a column out of range from landing in the next row.
    fn at(&self, source: usize, target: usize) -> usize {
        assert!(source < self.size && target < self.size, "token position");
        source * self.size + target
    }

    /// What one source token gives to every target token.
    #[must_use]
    pub fn row(&self, source: usize) -> &[f32] {
        &self.data[source * self.size..(source + 1) * self.size]
    }

    /// All rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.size.max(1))
    }

    /// What one target token takes from every source token.
    pub fn column(&self, target: usize) -> impl Iterator<Item = f32> {
        (0..self.size).map(move |source| self.get(source, target))
    }

    /// The numbers in row-major order.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// The matrix times a diagonal matrix: column `j` scaled by `factors[j]`.
    #[must_use]
    pub fn scale_columns(&self, factors: &[f32]) -> Self {
        let scaled = self.rows().flat_map(|row| {
            let pairs = row.iter().zip(factors);
            // A plain product would leave -0.0 under a negative factor.
            pairs.map(|(&value, &factor)| if value == 0.0 { 0.0 } else { value * factor })
        });
        Self { size: self.size, data: scaled.collect() }
    }

    /// True where every number is zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.data.iter().all(|&value| value == 0.0)
    }

    /// True for exact ones on the diagonal and zeros elsewhere.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        *self == Self::identity(self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sources_and_columns_targets() {
        let mut matrix = TokenMatrix::zeros(3);
        matrix.set(0, 2, 0.5);
        assert_eq!(matrix.row(0), [0.0, 0.0, 0.5]);
        assert_eq!(matrix.column(2).collect::<Vec<_>>(), [0.5, 0.0, 0.0]);
        assert_eq!(matrix.as_slice()[2], 0.5);
        assert_eq!(matrix.rows().count(), 3);
    }

    #[test]
    fn scaling_acts_on_columns() {
        let scaled = TokenMatrix::identity(2).scale_columns(&[0.0, -2.0]);
        assert_eq!(scaled.as_slice(), [0.0, 0.0, 0.0, -2.0]);
        assert!(scaled.scale_columns(&[0.0, 0.0]).is_zero());
        assert!(!scaled.is_identity());
    }

    #[test]
    #[should_panic(expected = "token position")]
    fn a_column_out_of_range_does_not_reach_the_next_row() {
        let _ = TokenMatrix::zeros(2).get(0, 2);
    }
}
