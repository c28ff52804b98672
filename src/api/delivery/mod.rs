//! How answers reach clients: in the response, as events, as a job, by webhook. Requests with the same idempotency key
//! share one job.
//!
//! - [`respond`]: the path of every request that runs something
//! - [`answer`]: what an operation has made; [`encoded_image`], [`image_headers`], [`png_metadata`]: its images
//! - [`jobs`], [`sse`], [`webhooks`]: the ways to wait for an answer; [`idempotency`]: requests that are sent again

pub(crate) mod answer;
pub(crate) mod encoded_image;
pub(crate) mod idempotency;
pub(crate) mod image_headers;
pub(crate) mod jobs;
pub(crate) mod png_metadata;
pub(crate) mod respond;
pub(crate) mod sse;
pub mod webhooks;
