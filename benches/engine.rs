//! The cost of an edit by the tier of its source, the cost of a shared batch, and the overhead of the engine itself.
//!
//! ```sh
//! cargo bench --bench engine                       # the table
//! cargo bench --bench engine -- --json engine.json # also as JSON
//! cargo bench --bench engine -- --rounds 9 --steps 50
//! cargo bench --bench engine --features cuda -- --device cuda --dtype f16 --model FOLDER --size 512
//! ```
//!
//! Everything runs in one process, on the embedded model by default. Each round runs everything once, so that other
//! load on the machine affects all parts equally. Ratios are medians of the rounds' own ratios.

// A bench that cannot continue panics with the reason.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use reprompt::diffusion::nn::Compute;
use reprompt::diffusion::unet::NoControl;
use reprompt::diffusion::weights::embedded;
use reprompt::diffusion::{Model, ModelFiles, ModelInfo};
use reprompt::engine::WorkerPart;
use reprompt::engine::runs::Sampling;
use reprompt::engine::{
    Engine, EngineConfig, EngineParts, JobOptions, Outcome, PreparedEdit, PreparedSource, RecordingUse, Work,
};
use reprompt::p2p::EditParams;
use reprompt::recordings::Tier;
use reprompt::recordings::{Origin, SessionLimits, Source};
use reprompt::telemetry::labels::Label;
use reprompt::telemetry::metrics::MetricsRegistry;
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TARGETS: [&str; 8] = [
    "a dog on the beach",
    "a bird on the beach",
    "a horse on the beach",
    "a car on the beach",
    "a cat in the forest",
    "a cat in the snow",
    "a red cat on the beach",
    "a cat on the beach at night",
];

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let report = runtime.block_on(bench(&options));
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{report:#}\n")).unwrap();
    }
}

struct Options {
    json: Option<String>,
    rounds: u64,
    steps: usize,
    files: ModelFiles,
    size: usize,
    device: Device,
    dtype: DType,
}

impl Options {
    fn parse() -> Self {
        let (files, device, dtype) = (embedded::demo(), Device::Cpu, DType::F32);
        let mut options = Self { json: None, rounds: 5, steps: 20, files, size: 128, device, dtype };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} wants a value"));
            match arg.as_str() {
                "--json" => options.json = Some(value()),
                "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
                "--steps" => options.steps = value().parse().expect("a number of steps"),
                "--model" => options.files = ModelFiles::Folder(value().into()),
                "--size" => options.size = value().parse().expect("pixels of a side"),
                "--device" => options.device = device_of(&value()),
                "--dtype" => options.dtype = value().parse().expect("f32, f16 or bf16"),
                // Cargo's own argument.
                "--bench" => {}
                other => panic!(
                    "{other} is not known: --json FILE, --rounds N, --steps N, --model FOLDER, --size N, \
                     --device DEVICE and --dtype DTYPE are"
                ),
            }
        }
        options
    }

    fn source(&self, model: &ModelInfo, seed: u64) -> PreparedSource {
        let new = Source::new("a cat on the beach", Origin::Seed(seed), self.steps, (self.size, self.size));
        PreparedSource::new(model, Source { guidance_scale: 5.0, ..new }).unwrap()
    }

    async fn engine(&self, sessions: SessionLimits) -> Engine {
        let (device, dtype) = (self.device.clone(), self.dtype);
        let threads = std::num::NonZeroUsize::MIN;
        let config = EngineConfig {
            device,
            dtype,
            threads,
            max_batch_rows: 16,
            queue_limit: 64,
            sessions,
            self_test_after: Duration::MAX,
        };
        let parts = EngineParts::new(&MetricsRegistry::new(), &config.sessions).unwrap();
        let (engine, loaded) = Engine::start(self.files.clone(), config, parts).unwrap();
        loaded.await.unwrap().unwrap();
        engine
    }

    /// An engine with a memory budget for recordings, and no other tiers.
    async fn with_memory(&self, memory_bytes: u64) -> Engine {
        self.engine(SessionLimits { memory_bytes, ..SessionLimits::default() }).await
    }
}

/// Opens a device by name: `cpu`, `cuda` or `cuda:N`.
fn device_of(name: &str) -> Device {
    match name {
        "cpu" => Device::Cpu,
        #[cfg(feature = "cuda")]
        name if name.starts_with("cuda") => {
            let number = name.trim_start_matches("cuda").trim_start_matches(':');
            let number = if number.is_empty() { 0 } else { number.parse().expect("the number of a GPU") };
            reprompt::kernels::cuda::device::open(number).unwrap()
        }
        other => panic!("there is no device {other} in this build"),
    }
}

fn edit(engine: &Engine, source: &PreparedSource, prompt: &str) -> Work {
    let (model, presets) = (engine.model().unwrap(), engine.presets().unwrap());
    let edit = PreparedEdit::new(model, presets, source, prompt, &EditParams::default()).unwrap();
    Work::Edit { source: source.clone(), edit }
}

async fn run(engine: &Engine, work: Work, found: RecordingUse) -> (Outcome, f64) {
    let began = Instant::now();
    let outcome = engine.submit(work, JobOptions::default()).unwrap().outcome().await.unwrap();
    assert_eq!(outcome.recording, found);
    (outcome, began.elapsed().as_secs_f64())
}

/// Plain text to image: two rows per step, nothing recorded.
fn plain(model: &Model, source: &Source, prompt: &str) -> f64 {
    let began = Instant::now();
    let keys = [&*source.negative_prompt, prompt].map(|prompt| model.info.conditioning_key(prompt).unwrap());
    let contexts = model.condition(&keys).unwrap();
    let contexts: Vec<_> = contexts.iter().collect();
    let mut latents = model.noise(source.seed(), source.height, source.width).unwrap();
    let Sampling { sampler, guidance, noise } = Sampling::of(&model.info, source).unwrap();
    let mut stepper = sampler.start();
    for (step, &timestep) in sampler.timesteps().iter().enumerate() {
        let rows = Tensor::cat(&[&latents, &latents], 0).unwrap();
        let output = model.unet.forward(&rows, &[timestep; 2], &contexts, &mut NoControl).unwrap();
        latents = stepper.step(step, &guidance.guide(&output).unwrap(), &latents, &noise).unwrap();
    }
    model.decode(&latents).unwrap();
    began.elapsed().as_secs_f64()
}

/// Row counts of the timed passes.
const PASSES: [(usize, &str); 5] = [
    (1, "row of a pass of 1"),
    (2, "row of a pass of 2"),
    (4, "row of a pass of 4"),
    (8, "row of a pass of 8"),
    (16, "row of a pass of 16"),
];

/// Seconds per row of a pass with this many rows.
fn row(model: &Model, size: usize, rows: usize) -> f64 {
    let context = model.condition(&[model.info.conditioning_key(TARGETS[0]).unwrap()]).unwrap().remove(0);
    let contexts = vec![&context; rows];
    let noise = model.noise(1, size, size).unwrap();
    let latents = Tensor::cat(&vec![&noise; rows], 0).unwrap();
    let began = Instant::now();
    for _ in 0..32 / rows {
        model.unet.forward(&latents, &vec![500.0; rows], &contexts, &mut NoControl).unwrap();
    }
    // A GPU works asynchronously: wait for it.
    model.device().synchronize().unwrap();
    began.elapsed().as_secs_f64() / (32 / rows * rows) as f64
}

async fn bench(options: &Options) -> Value {
    let compute = Compute { device: options.device.clone(), dtype: options.dtype };
    let model = Model::load_as(&options.files, &compute).unwrap();
    let roomy = options.with_memory(16 << 30).await;
    // Memory for one and a half recordings: with two sources in turn, the attention of the other one is always evicted.
    let probe = options.source(&model.info, 0);
    run(&roomy, edit(&roomy, &probe, TARGETS[0]), RecordingUse::Created).await;
    let recording = roomy.sessions().used(Tier::Memory);
    let narrow = options.with_memory(recording * 3 / 2).await;
    let resident = match options.device.is_cpu() {
        true => None,
        false => {
            let limits =
                SessionLimits { device_bytes: 3 * recording, memory_bytes: 3 * recording, ..Default::default() };
            Some(options.engine(limits).await)
        }
    };
    let pair = [1_000, 1_001].map(|seed| options.source(&model.info, seed));
    for source in &pair {
        run(&narrow, edit(&narrow, source, TARGETS[0]), RecordingUse::Created).await;
    }
    let mut rounds: Vec<BTreeMap<&str, f64>> = Vec::new();
    for round in 0..options.rounds {
        let source = options.source(&model.info, round + 1);
        let mut took = BTreeMap::new();
        took.insert("plain generation", plain(&model, &source, TARGETS[0]));
        let cold = edit(&roomy, &source, TARGETS[0]);
        took.insert("edit, source not known", run(&roomy, cold, RecordingUse::Created).await.1);
        let hot = edit(&roomy, &source, TARGETS[1]);
        took.insert("edit, source recorded", run(&roomy, hot, RecordingUse::Hit).await.1);
        let replayed = edit(&narrow, &pair[round as usize % 2], TARGETS[1]);
        took.insert("edit, trajectory only", run(&narrow, replayed, RecordingUse::Replayed).await.1);
        if let Some(resident) = &resident {
            run(resident, edit(resident, &source, TARGETS[0]), RecordingUse::Created).await;
            let hot = edit(resident, &source, TARGETS[1]);
            took.insert("edit, source on the device", run(resident, hot, RecordingUse::Hit).await.1);
        }

        let began = Instant::now();
        for target in TARGETS {
            run(&roomy, edit(&roomy, &source, target), RecordingUse::Hit).await;
        }
        took.insert("8 edits in a row", began.elapsed().as_secs_f64());
        let began = Instant::now();
        let handles = TARGETS.map(|target| {
            let work = edit(&roomy, &source, target);
            roomy.submit(work, JobOptions::default()).unwrap()
        });
        for mut handle in handles {
            handle.outcome().await.unwrap();
        }
        took.insert("8 edits at once", began.elapsed().as_secs_f64());
        for (rows, name) in PASSES {
            took.insert(name, row(&model, options.size, rows));
        }
        eprintln!("round {} of {}", round + 1, options.rounds);
        rounds.push(took);
    }
    report(&rounds, &roomy, options)
}

fn report(rounds: &[BTreeMap<&str, f64>], engine: &Engine, options: &Options) -> Value {
    let (model, size, steps) = (options.files.name(), options.size, options.steps);
    let (device, dtype) = (format!("{:?}", options.device.location()), options.dtype.as_str());
    let median_of = |of: &dyn Fn(&BTreeMap<&str, f64>) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[0], values[values.len() - 1])
    };
    println!("\n{model}, {size} px, {steps} steps, {device}, {dtype}, {} rounds; seconds\n", rounds.len());
    println!("| | median | least | most | against plain generation | against a cold edit |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let mut cases = serde_json::Map::new();
    for name in [
        "plain generation",
        "edit, source not known",
        "edit, trajectory only",
        "edit, source recorded",
        "edit, source on the device",
        "8 edits in a row",
        "8 edits at once",
    ] {
        if !rounds.iter().all(|round| round.contains_key(name)) {
            continue;
        }
        let (median, least, most) = median_of(&|round| round[name]);
        let to_plain = median_of(&|round| round[name] / round["plain generation"]).0;
        let to_cold = median_of(&|round| round[name] / round["edit, source not known"]).0;
        println!("| {name} | {median:.2} | {least:.2} | {most:.2} | {to_plain:.2} | {to_cold:.2} |");
        let case = json!({"median": median, "least": least, "most": most, "to_plain": to_plain, "to_cold": to_cold});
        cases.insert(name.to_owned(), case);
    }
    println!("\n| | median, ms | against a pass of 2 |");
    println!("| --- | --- | --- |");
    for (_, name) in PASSES {
        let median = median_of(&|round| round[name]).0;
        let to_two = median_of(&|round| round[name] / round[PASSES[1].1]).0;
        println!("| {name} | {:.1} | {to_two:.2} |", median * 1e3);
        cases.insert(name.to_owned(), json!({"median": median, "to_two": to_two}));
    }
    let company = median_of(&|round| round["8 edits at once"] / round["8 edits in a row"]).0;
    let parts: BTreeMap<_, _> =
        WorkerPart::ALL.iter().map(|part| (part.as_str(), engine.metrics().worker_seconds.with(*part).get())).collect();
    let busy: f64 = parts.iter().filter(|(part, _)| **part != WorkerPart::Idle.as_str()).map(|(_, time)| time).sum();
    let overhead = parts[WorkerPart::Engine.as_str()] / busy;
    println!("\n8 edits at once against 8 in a row: {company:.2}");
    println!("the engine's own share of the worker's busy time: {:.2} %", overhead * 100.0);
    json!({
        "model": model, "size": size, "steps": steps, "device": device, "dtype": dtype, "rounds": rounds.len(), "seconds": cases,
        "at_once_to_in_a_row": company, "engine_share": overhead, "worker_seconds": parts,
    })
}
