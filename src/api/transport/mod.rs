//! HTTP below the level of calls: connections, request ids, bodies, queries, headers and content negotiation.
//!
//! - `connections`: accepts connections and serves the router on them; `unreadable`: requests that are not HTTP
//! - `request_id`: the outer layer, which gives each request its id and renders problems
//! - `body`, `query`, `path_id`: reading the parts of a request, with their problems
//! - `headers`, `cancel_after`, `content_negotiation`: request headers
//! - `host_match`: the hosts that an entry of the configuration means
//! - `response_headers`: the headers of responses; `header_budget`: their size
//! - `blocking`: work off the threads of the async runtime

pub(crate) mod blocking;
pub mod body;
pub mod cancel_after;
pub mod connections;
pub mod content_negotiation;
pub(crate) mod header_budget;
pub mod headers;
pub(crate) mod host_match;
pub(crate) mod path_id;
pub mod query;
pub mod request_id;
pub(crate) mod response_headers;
pub(crate) mod unreadable;
