//! The specification: what the service computes, and what it answers.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod golden;
mod support;
