//! The calls: of each its request, its handler and its response.

pub(crate) mod align;
pub(crate) mod attention;
pub(crate) mod bodies;
pub mod edit_params;
pub(crate) mod edits;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub mod models;
pub(crate) mod operation;
pub(crate) mod sessions;
pub mod source;
pub(crate) mod warnings;
pub(crate) mod windows;
