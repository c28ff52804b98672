//! HTTP: routes, the types on the wire, problems. Nothing here sees a tensor.
//!
//! - [`routes`], [`state`]: which call answers which request, and what all of them share
//! - [`transport`]: connections, request ids, bodies, headers, content negotiation
//! - [`guard`]: who may call, how often and for how long
//! - `fields`: fields of requests, as tables; [`operations`]: the calls; [`wire`]: the bodies of their answers
//! - [`delivery`]: how answers reach clients
//! - [`problem`]: everything that can go wrong, in one table
//! - [`openapi`]: the contract; [`assets`]: the playground and the contract's page

pub mod assets;
pub mod config;
pub mod delivery;
pub(crate) mod fields;
pub mod guard;
pub mod metrics;
pub mod openapi;
pub mod operations;
pub mod problem;
pub mod routes;
pub mod state;
pub mod transport;
pub mod wire;

pub use crate::api::config::ApiConfig;
pub use crate::api::delivery::jobs::JobLimits;
pub use crate::api::routes::{metrics_router, router};
pub use crate::api::state::AppState;
