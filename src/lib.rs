//! `reprompt`: image editing by editing the prompt, as a service.
//!
//! Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) on Stable Diffusion: the source's attention is recorded at every
//! step, and the target's attention is steered with it, so that only what the changed words mean changes.
//!
//! What lives where, from the outside in; each room knows only those below it:
//!
//! | room | holds |
//! | --- | --- |
//! | [`cli`] | `serve`; `edit`, `align`, `models` without a server; `openapi`, completions, man pages |
//! | [`config`] | defaults < file < environment < flags |
//! | [`api`] | HTTP: routes, wire types, problems; never sees a tensor |
//! | [`engine`] | the worker that owns the model, its queue, its batches; runs; attention under control |
//! | [`recordings`] | sources, their ids, their recordings, and the tiers and budgets for these |
//! | [`p2p`] | the method: pure functions from prompts and parameters to a plan |
//! | [`diffusion`] | the model: tokenizer, text encoder, UNet, VAE, scheduler, noise, weights |
//! | [`kernels`] | operations that candle lacks or does slowly |
//! | [`media`], [`telemetry`] | images in and out; log lines and metrics |
//! | `suggest` | what a name that is none may have meant |
//! | `sync`, `tls` | locks without poison; the provider of TLS |

pub mod api;
pub mod cli;
pub mod config;
pub mod diffusion;
pub mod engine;
pub mod kernels;
pub mod media;
pub mod p2p;
pub mod recordings;
mod suggest;
mod sync;
pub mod telemetry;
mod tls;
