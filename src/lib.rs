//! `reprompt`: image editing by editing the prompt, as a service.
//!
//! Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) on Stable Diffusion: the source's attention is recorded at every
//! step and injected into the edit's, so that only what the changed words mean changes.
//!
//! The rooms of the crate, from the outside in; each imports only those below it:
//!
//! | room | content |
//! | --- | --- |
//! | [`cli`] | `serve`; `edit`, `align`, `models` without a server; `openapi`, completions, man pages |
//! | [`config`] | settings: defaults < file < environment < flags |
//! | [`api`] | HTTP: routes, wire types, problems; never sees a tensor |
//! | [`engine`] | the job queue, and the worker that owns the model: batches, runs, controlled attention |
//! | [`recordings`] | sources, their ids and recordings, with tiers and budgets |
//! | [`p2p`] | the method: pure functions from prompts and parameters to a plan |
//! | [`diffusion`] | the models: weights, text encoders, samplers, UNet, VAE, noise |
//! | [`kernels`] | operations that candle lacks or does slowly |
//! | [`media`], [`telemetry`] | image files; logs, traces and metrics. Every room may use them |
//! | `suggest` | "did you mean" for unknown names |
//! | `sync` | locks without poisoning |

pub mod api;
pub mod cli;
mod config;
pub mod diffusion;
pub mod engine;
pub mod kernels;
pub mod media;
pub mod p2p;
pub mod recordings;
mod suggest;
mod sync;
pub mod telemetry;
