//! The calls: of each its request, its handler and its response.

pub(crate) mod align;
pub(crate) mod attention;
pub(crate) mod bodies;
pub(crate) mod edits;
pub(crate) mod health;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod metrics;
pub mod models;
pub(crate) mod operation;
pub mod output;
pub(crate) mod sessions;
pub mod source;
pub(crate) mod values;
pub(crate) mod waiting;
pub(crate) mod warnings;
pub(crate) mod windows;

pub use crate::api::operations::edits::request::EditRequest;
