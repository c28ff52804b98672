//! The specification: what the service computes, and what it answers.

// Helpers of tests fail a test by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod alignment;
mod bf16;
mod cli;
mod cli_ends;
mod codes;
mod device;
mod docs;
mod edits;
mod ends;
mod engine;
mod fake;
mod folders;
mod golden;
mod groups;
mod guard;
mod header_sizes;
mod heat;
mod images;
mod jobs;
mod killed;
#[cfg(target_os = "linux")]
mod memory;
mod metrics;
mod model;
mod not_finite;
mod observing;
#[cfg(feature = "otlp")]
mod otlp;
mod outputs;
mod playground;
mod presets;
mod problems;
mod process;
mod profile;
mod rooms;
mod settings;
mod shared_store;
mod sites;
mod strict;
mod support;
mod threads;
mod tiers;
mod waiting;
mod warnings;
mod webhooks;
mod words;
mod work;
