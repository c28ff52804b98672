//! How answers reach clients: plain, as events, as jobs, by webhook; once for each idempotency key.

pub mod idempotency;
pub mod jobs;
pub mod png_metadata;
pub mod respond;
pub mod response;
pub mod sse;
pub mod webhooks;
