//! The specification: what the service computes, and what it answers.

mod golden;
mod support;
