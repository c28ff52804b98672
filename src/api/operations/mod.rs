//! The calls: of each its request, its handler and its answer.

pub mod align;
pub mod attention;
pub mod edit_params;
pub mod edits;
pub mod health;
pub mod images;
pub mod metrics;
pub mod models;
pub mod operation;
pub mod sessions;
pub mod source;
pub mod warnings;
pub mod windows;
