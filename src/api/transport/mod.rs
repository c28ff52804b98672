//! What comes before a request's meaning: connections, ids, headers, bodies.

pub(crate) mod blocking;
pub mod body;
pub mod cancel_after;
pub mod connections;
pub mod content_negotiation;
pub mod headers;
pub(crate) mod path_id;
pub mod query;
pub mod request_id;
pub(crate) mod response_headers;
