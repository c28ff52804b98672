//! The HTTP API. Nothing here sees a tensor.
//!
//! A request passes `transport`, `routes` and `guard`, is read and prepared in `operations`, and its answer reaches the
//! client through `delivery`.
//!
//! - [`routes`]: the table of endpoints and the router; [`state`]: what handlers share
//! - [`transport`]: connections, request ids, bodies, headers, content negotiation
//! - [`guard`]: API keys, rate limits, job limits, CORS, timeouts
//! - `fields`: the fields of requests, as tables
//! - [`operations`]: the request, the handler and the response of each call; [`wire`]: schemas of values in answers
//! - [`delivery`]: how answers reach clients
//! - [`problem`]: error codes and problem documents
//! - [`openapi`]: the contract; [`assets`]: the playground and the contract's page

pub(crate) mod assets;
mod config;
pub mod delivery;
pub(crate) mod fields;
pub mod guard;
pub mod metrics;
pub mod openapi;
pub mod operations;
pub mod problem;
pub(crate) mod routes;
pub(crate) mod state;
pub(crate) mod transport;
pub(crate) mod wire;

pub use crate::api::config::ApiConfig;
pub use crate::api::delivery::jobs::JobLimits;
pub use crate::api::routes::{metrics_router, router};
pub use crate::api::state::AppState;
