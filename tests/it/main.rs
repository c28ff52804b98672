//! The specification: what the service computes, and what it answers.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod edits;
mod golden;
mod model;
mod problems;
mod support;
