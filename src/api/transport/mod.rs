//! What a request brings and what every answer carries, before and after its meaning.

pub mod body;
pub mod cancel_after;
pub mod connections;
pub mod content_negotiation;
pub mod headers;
pub mod query;
pub mod request_id;
