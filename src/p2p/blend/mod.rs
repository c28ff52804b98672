//! Local blend: outside the parts of the image that words select, an edit keeps the source (`LocalBlend` of the published
//! code, section 3.2 of the paper, "local editing").
//!
//! Contract: `plan` looks up the words and checks the ranges before anything runs; `mask` turns attention maps into
//! masks, as pure functions on slices.

pub(crate) mod mask;
pub(crate) mod plan;
