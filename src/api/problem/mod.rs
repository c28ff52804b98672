//! Problems: what went wrong with a request, with a stable code for programs.
//!
//! - `code`: the table of codes, statuses and titles; `problem`: a code with what is wrong with this request
//! - `domain`: from the errors of other modules; `field_path`: the paths of the fields that they name
//! - `render`: problem documents as in RFC 9457, and the OpenAI API's error object
//!
//! Handlers and layers return a [`Problem`] as their response; [`crate::api::transport::request_id`] renders it, in the
//! dialect of the endpoint. Streams and jobs write the same documents into their events and bodies.

mod code;
mod domain;
pub(crate) mod field_path;
#[allow(clippy::module_inception)]
mod problem;
mod render;

pub use crate::api::problem::code::Code;
pub(crate) use crate::api::problem::domain::prompt_problem;
pub(crate) use crate::api::problem::problem::Problem;
pub(crate) use crate::api::problem::render::render;
pub(crate) use crate::api::problem::render::{Dialect, OpenAiError, ProblemBody};
