//! The calls: of each its request, its handler and its answer.

pub mod align;
pub mod attention;
pub mod edits;
pub mod health;
pub mod images;
pub mod metrics;
pub mod models;
pub mod operation;
pub mod output;
pub mod sessions;
pub mod source;
pub(crate) mod values;
pub(crate) mod waiting;
pub mod warnings;
pub mod windows;
