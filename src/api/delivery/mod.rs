//! How answers reach clients: plain, as events, as jobs, by webhook; once for each idempotency key.
//!
//! - [`respond`]: the path of every request that runs something
//! - [`answer`]: what an operation has made; [`encoded_image`], [`image_headers`], [`png_metadata`]: its images
//! - [`jobs`], [`sse`], [`webhooks`]: the ways to wait; [`idempotency`]: requests that are sent again

pub(crate) mod answer;
pub(crate) mod encoded_image;
pub(crate) mod idempotency;
pub(crate) mod image_headers;
pub(crate) mod jobs;
pub(crate) mod png_metadata;
pub(crate) mod respond;
pub(crate) mod sse;
pub mod webhooks;
