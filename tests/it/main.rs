//! The specification: what the service computes, and what it answers.

// Helpers of tests fail a test by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod bf16;
mod cli;
mod cli_ends;
mod device;
mod edits;
mod ends;
mod engine;
mod fake;
mod golden;
mod heat;
mod jobs;
mod killed;
mod metrics;
mod model;
mod playground;
mod presets;
mod problems;
mod process;
mod profile;
mod support;
mod threads;
mod tiers;
mod waiting;
mod webhooks;
mod work;
