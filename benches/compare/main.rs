//! The side of `reprompt` in the comparison with PyTorch: a process that answers JSON lines on stdin with JSON lines on
//! stdout.
//!
//! Started by `benches/compare/run.sh`, not by hand. Every line is an object with `do`. The answer is an object, with
//! `error` if the work failed, and `unsupported` if this build does not support it. Seconds are wall-clock time of the
//! work alone.
//!
//! | `do` | takes | answers |
//! | --- | --- | --- |
//! | `load` | `model`: a folder in the diffusers layout | |
//! | `op` | `spec` (see `ops.py`), `times`, `values` | `seconds` per run, `values` |
//! | `forward` | `rows`, `height`, `width` in pixels, `seed`, `times`, `warm`, `values` | `seconds` per pass, `values` |
//! | `plain` | `source` as in `POST /v1/edits` | `seconds`, `images`: raw RGB as base64 |
//!
//! `values` requests a sample of the result, which is compared with the other side's.

// A bench that cannot continue panics with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod ops;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use candle_core::{DType, Device, Tensor};
use reprompt::diffusion::nn::Compute;
use reprompt::diffusion::samplers::{GuidanceMode, StepNoise};
use reprompt::diffusion::unet::NoControl;
use reprompt::diffusion::{Model, ModelFiles};
use reprompt::kernels::pool::Pool;
use serde_json::{Value, json};

use crate::ops::Operation;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Maximum number of values in a sample.
const SAMPLE: usize = 4096;
/// Prompt and timestep of every row of a timed pass.
const PROMPT: &str = "a cat on the beach";
const TIMESTEP: f64 = 500.0;

type Answer = Result<Value, Box<dyn std::error::Error>>;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
    let Some(threads) = after("--threads") else {
        println!("benches/compare/run.sh runs this bench");
        return;
    };
    let threads: NonZeroUsize = threads.parse().expect("--threads: a number, at least 1");
    assert!(reprompt::kernels::thread_budget::limit(1), "the number of candle's threads cannot be set");
    reprompt::kernels::memory::keep_freed();
    let _entered = Arc::new(Pool::new(threads).expect("threads")).enter();
    let dtype = match after("--dtype").map(String::as_str) {
        Some("bf16") => DType::BF16,
        _ => DType::F32,
    };
    let mut worker = Worker { dtype, model: None, operations: HashMap::new() };
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = worker.answer(&request).unwrap_or_else(|error| json!({"error": error.to_string()}));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}").unwrap();
        out.flush().unwrap();
    }
}

struct Worker {
    dtype: DType,
    model: Option<Model>,
    /// Operations by specification, so that inputs are drawn once.
    operations: HashMap<String, Operation>,
}

impl Worker {
    fn answer(&mut self, request: &Value) -> Answer {
        match request["do"].as_str() {
            Some("load") => self.load(request["model"].as_str().ok_or("no model")?),
            Some("op") => self.op(request),
            Some("forward") => forward(self.model()?, request),
            Some("plain") => plain(self.model()?, &request["source"]),
            other => Err(format!("nothing is done for {other:?}").into()),
        }
    }

    fn load(&mut self, folder: &str) -> Answer {
        let compute = Compute { device: Device::Cpu, dtype: self.dtype };
        self.model = Some(Model::load_as(&ModelFiles::Folder(folder.into()), &compute)?);
        Ok(json!({}))
    }

    fn model(&self) -> Result<&Model, &'static str> {
        self.model.as_ref().ok_or("no model is loaded")
    }

    fn op(&mut self, request: &Value) -> Answer {
        let key = request["spec"].to_string();
        if !self.operations.contains_key(&key) {
            let Some(operation) = ops::build(&request["spec"], self.dtype)? else {
                return Ok(json!({"error": "there is no such operation", "unsupported": true}));
            };
            self.operations.insert(key.clone(), operation);
        }
        let Operation { run, shown } = &self.operations[&key];
        timed(request, run, |result| shown(result))
    }
}

/// Runs `work` as often as the request says, after one untimed run unless `warm` is false. `shown` brings its result
/// into the layout of the other side.
fn timed(
    request: &Value,
    work: impl Fn() -> candle_core::Result<Tensor>,
    shown: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
) -> Answer {
    if request["warm"].as_bool().unwrap_or(true) {
        work()?;
    }
    let times = request["times"].as_u64().unwrap_or(1).max(1);
    let began = Instant::now();
    let mut result = work()?;
    for _ in 1..times {
        result = work()?;
    }
    let seconds = began.elapsed().as_secs_f64() / times as f64;
    let values = request["values"].as_bool().unwrap_or(false).then(|| sample(&shown(&result)?)).transpose()?;
    Ok(json!({"seconds": seconds, "values": values}))
}

/// Evenly spaced values of a tensor, at an odd distance so that all columns of a map occur.
fn sample(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let distance = (values.len() / SAMPLE) | 1;
    Ok(values.into_iter().step_by(distance).collect())
}

fn forward(model: &Model, request: &Value) -> Answer {
    let number = |key: &str| request[key].as_u64().unwrap_or(0);
    let rows = number("rows") as usize;
    let context = model.condition(&[model.info.conditioning_key(PROMPT)?])?.remove(0);
    let contexts = vec![&context; rows];
    let seeds = number("seed")..number("seed") + rows as u64;
    let (height, width) = (number("height") as usize, number("width") as usize);
    let noise: Result<Vec<_>, _> = seeds.map(|seed| model.noise(seed, height, width)).collect();
    let latents = Tensor::cat(&noise?, 0)?;
    let timesteps = vec![TIMESTEP; rows];
    timed(request, || model.unet.forward(&latents, &timesteps, &contexts, &mut NoControl), |output| Ok(output.clone()))
}

/// Text to image without editing: two rows per step, nothing recorded.
fn plain(model: &Model, source: &Value) -> Answer {
    let text = |key: &str| source[key].as_str().unwrap_or_default();
    let number = |key: &str| source[key].as_u64().unwrap_or(0);
    let (steps, guidance) =
        (number("num_inference_steps") as usize, source["guidance_scale"].as_f64().ok_or("no scale")?);
    let began = Instant::now();
    let [unconditional, conditional] = ["negative_prompt", "prompt"].map(|key| model.info.conditioning_key(text(key)));
    let contexts = model.condition(&[unconditional?, conditional?])?;
    let contexts: Vec<_> = contexts.iter().collect();
    let mut latents = model.noise(number("seed"), number("height") as usize, number("width") as usize)?;
    let sampler = model.info.sampler(model.info.default_sampler, steps)?;
    let (mut stepper, noise) = (sampler.start(), StepNoise::new(number("seed")));
    let guidance = GuidanceMode::ClassifierFree { scale: guidance };
    for (step, &timestep) in sampler.timesteps().iter().enumerate() {
        let rows = Tensor::cat(&[&latents, &latents], 0)?;
        let output = model.unet.forward(&rows, &[timestep; 2], &contexts, &mut NoControl)?;
        latents = stepper.step(step, &guidance.guide(&output)?, &latents, &noise)?;
    }
    let images = model.decode(&latents)?;
    let seconds = began.elapsed().as_secs_f64();
    let images: Vec<_> = images.iter().map(|image| STANDARD.encode(image)).collect();
    Ok(json!({"seconds": seconds, "images": images}))
}
