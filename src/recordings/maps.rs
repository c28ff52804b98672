//! Attention of the image's positions to the tokens of a prompt, as a mean over layers and heads.

use std::sync::Arc;

/// Mean maps at the local-blend level, one for each step of a run, or one for the sum of all its steps.
#[derive(Debug, Clone, PartialEq)]
pub struct AttentionMaps {
    /// Rows of a map.
    pub height: usize,
    /// Columns of a map.
    pub width: usize,
    /// Tokens of a prompt, padding included.
    pub tokens: usize,
    /// By step, `[height * width, tokens]` row by row. The maps are empty if the model has no level for local blend.
    pub steps: Vec<Arc<[f32]>>,
}
