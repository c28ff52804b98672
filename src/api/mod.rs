//! HTTP. Nothing here sees a tensor.
//!
//! - [`routes`]: the table of endpoints and the router; [`state`]: what handlers share
//! - [`transport`]: connections, request ids, bodies, headers, content negotiation
//! - [`guard`]: API keys, rate limits, CORS, timeouts
//! - `fields`: fields of requests, as tables
//! - [`operations`]: of each call its request, its handler and its response; [`wire`]: schemas of values in answers
//! - [`delivery`]: how answers reach clients
//! - [`problem`]: everything that can go wrong, in one table
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
