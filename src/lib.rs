//! `reprompt`: image editing by editing the prompt, as a service.
//!
//! Prompt-to-Prompt (Hertz et al., arXiv 2208.01626) on Stable Diffusion: the source's attention is recorded at every
//! step and injected into the edit's, so that only what the changed words mean changes.
//!
//! The modules of the crate, from the outside in; each imports only those below it:
//!
//! | module | content |
//! | --- | --- |
//! | [`cli`] | `serve`; `edit`, `align`, `models` without a server; `openapi`, completions, man pages |
//! | [`config`] | settings: defaults < file < environment < flags |
//! | [`api`] | HTTP: routes, wire types, problems; never sees a tensor |
//! | [`engine`] | the job queue, and the worker that owns the model: batches, runs, controlled attention |
//! | [`recordings`] | sources, their ids and recordings, with tiers and budgets |
//! | [`p2p`] | the method: pure functions from prompts and parameters to a plan |
//! | [`diffusion`] | the models: weights, text encoders, samplers, UNet, VAE, noise |
//! | [`kernels`] | operations that candle lacks or does slowly |
//! | [`media`], [`telemetry`] | image files; logs, traces and metrics |
//! | `suggest` | "did you mean" for unknown names |
//! | `sync` | locks without poisoning |
//!
//! # The path of a request
//!
//! An edit (`POST /v1/edits`), from the bytes on the socket to the PNG:
//!
//! | function | what happens there |
//! | --- | --- |
//! | `api::transport::connections::serve` | accepts the connection, reads the request and calls the router |
//! | `api::router` | layers: endpoint, request id, CORS, metrics, time limits, API key, rate limit (`api::guard`) |
//! | `api::operations::edits::create` | the handler; it gets a `Call`, the request with its body as JSON |
//! | `api::delivery::respond::respond` | reads how to deliver the answer, prepares the request and starts its job |
//! | `EditRequest::read`, `engine::PreparedEdit::new` | fields are read, prompts tokenized, the `p2p::EditPlan` made |
//! | `engine::Engine::submit` | takes a queue slot; the worker gets a `Ticket`, the job's task (`drive`) a `JobHandle` |
//! | `Worker::start_jobs` | admission: rows and bytes are reserved, the source's `recordings` are looked up |
//! | `Worker::begin_runs` | prompts are encoded, and runs begin: the source or a replay if needed, and the edit |
//! | `RunSet::step` | one UNet pass for a batch of runs, under `engine::control`, and a sampler step of each run |
//! | `RunSet::take_finished`, `Worker::finish` | the VAE decodes the latents, and the ticket gets its `engine::Outcome` |
//! | `EditOperation::respond`, `media::Image::encode` | the answer is made, and its image encoded as a PNG |
//! | `drive`, `respond` | the job ends, and the client gets JSON, the bare image or events |

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
