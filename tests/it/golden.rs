//! The published algorithm's own results: every stage of every case, and the images that come out over HTTP.
//!
//! A stage test names the first stage that leaves the path: tokens, text embeddings, noise, timesteps, the UNet's
//! output at the first step, each step's latents, the blend mask, the image.
//!
//! `REPROMPT_GOLDEN=FOLDER` runs another collection: `FOLDER/cases/*` on `FOLDER/models/*`; `REPROMPT_TEST_DEVICE` and
//! `REPROMPT_TEST_DTYPE` run them elsewhere, with the tolerance that `support` gives for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use reprompt::api::operations::EditRequest;
use reprompt::diffusion::nn::tensor_bytes;
use reprompt::diffusion::{Model, ModelFiles};
use reprompt::engine::PreparedEdit;
use reprompt::engine::runs::forward::{denoise, forward};
use reprompt::engine::runs::{EditRun, Run, Sampling, SourceRun, needs_of, recording_layout};
use reprompt::p2p::{EditPlan, Presets, add_step, blend_mask};
use reprompt::recordings::RecordingMetrics;
use reprompt::recordings::Tier;
use reprompt::recordings::{AttentionLog, Recordings, SessionLimits, SourceContexts, Trajectory};
use reprompt::telemetry::metrics::MetricsRegistry;
use serde_json::Value;

use crate::support::{
    Service, Tolerance, config_on_device, difference, fixtures, image, load_on_device, model, pixels, tolerance,
};

/// A case: its folder, and the name of the model that it runs on.
struct Case {
    folder: PathBuf,
    model: String,
}

fn collection() -> Option<PathBuf> {
    std::env::var_os("REPROMPT_GOLDEN").map(PathBuf::from)
}

fn cases() -> Vec<Case> {
    let folder = collection().map_or_else(|| fixtures().join("golden"), |folder| folder.join("cases"));
    let mut folders: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("request.json").is_file())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no cases in {}", folder.display());
    let model = |folder: &Path| std::fs::read_to_string(folder.join("model")).unwrap().trim().to_owned();
    folders.into_iter().map(|folder| Case { model: model(&folder), folder }).collect()
}

fn files(name: &str) -> ModelFiles {
    let folder = collection().map(|folder| folder.join("models").join(name));
    folder.filter(|folder| folder.is_dir()).map_or_else(|| model(name), ModelFiles::Folder)
}

fn request(case: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(case.join("request.json")).unwrap()).unwrap()
}

/// `tolerance` is a part of the largest value wanted: latents of random weights reach 60.
fn assert_close(case: &Path, stage: &str, found: &Tensor, wanted: &Tensor, tolerance: f64) {
    let found = found.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    assert_eq!(found.dims(), wanted.dims(), "{}: {stage}", case.display());
    let largest = |tensor: &Tensor| -> f64 {
        let largest = tensor.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        f64::from(largest.to_scalar::<f32>().unwrap())
    };
    let (off, scale) = (largest(&(&found - wanted).unwrap()), largest(wanted).max(1.0));
    println!("{} {stage}: off by {off:.2e} of {scale:.3}", case.display());
    assert!(off < tolerance * scale, "{}: {stage} is off by {off} of {scale}", case.display());
}

#[test]
fn every_stage_of_every_case_follows_the_published_path() {
    let mut loaded: HashMap<String, Model> = HashMap::new();
    for Case { folder, model } in cases() {
        if folder.join("trace.safetensors").is_file() {
            let load = || load_on_device(&files(&model));
            follow(loaded.entry(model.clone()).or_insert_with(load), &folder);
        }
    }
}

fn follow(model: &Model, case: &Path) {
    let Tolerance { pass, latents, mask, .. } = tolerance();
    let trace = candle_core::safetensors::load(case.join("trace.safetensors"), &Device::Cpu).unwrap();
    let Value::Object(body) = request(case) else { panic!("a request is an object") };
    let (source, prompt, params) = EditRequest::read(&body).unwrap().resolve(&model.info).unwrap();

    for (row, text) in [&source.prompt, &prompt].into_iter().enumerate() {
        let ids = model.info.tokenizer.encode_prompt(text).unwrap().ids;
        let wanted: Vec<i64> = trace["input_ids"].get(row).unwrap().to_vec1().unwrap();
        let padded: Vec<i64> = model.info.tokenizer.pad(&ids).into_iter().map(i64::from).collect();
        assert_eq!(padded, wanted, "{}: tokens of {text:?}", case.display());
        let embeddings = model.text_embeddings(std::slice::from_ref(&ids)).unwrap().squeeze(0).unwrap();
        assert_close(case, "text embeddings", &embeddings, &trace["text_embeddings"].get(row).unwrap(), pass);
    }
    let noise = model.noise(source.seed(), source.height, source.width).unwrap();
    assert_close(case, "noise", &noise, &trace["noise"], pass);
    let sampling = Sampling::of(&model.info, &source).unwrap();
    let timesteps: Vec<i64> = sampling.sampler.timesteps().iter().map(|&t| t as i64).collect();
    assert_eq!(timesteps, trace["timesteps"].to_vec1::<i64>().unwrap(), "{}: timesteps", case.display());

    let store = Recordings::new(
        SessionLimits::default(),
        Arc::new(RecordingMetrics::register(&MetricsRegistry::new()).unwrap()),
    );
    let edit = PreparedEdit::new(&model.info, &Presets::default(), &source, &prompt, &params).unwrap();
    let layout = Arc::new(recording_layout(model, source.height, source.width));
    let room = store.reserve(Tier::Trajectory, layout.trajectory_bytes(source.steps)).unwrap();
    let trajectory = Arc::new(Trajectory::new(Arc::clone(&layout), noise, source.steps, room));
    let keys = [source.negative_prompt.as_str(), &source.prompt, edit.prompt.text()]
        .map(|prompt| model.info.conditioning_key(prompt).unwrap());
    let mut contexts = model.condition(&keys).unwrap();
    let (target, conditional, unconditional) =
        (contexts.pop().unwrap(), contexts.pop().unwrap(), contexts.pop().unwrap());
    let contexts = Arc::new(SourceContexts::new(conditional, unconditional));
    let needs = needs_of(&edit.plan, &layout);
    let room = store.reserve(Tier::Memory, layout.context_bytes() + layout.bytes(&needs)).unwrap();
    let log = Arc::new(AttentionLog::kept(
        Arc::clone(&layout),
        Arc::clone(&contexts),
        needs.clone(),
        source.steps,
        (Device::Cpu, room),
    ));
    let records = Some((Arc::clone(&log), needs));
    let mut source_run = Run::Source(SourceRun::new(&sampling, Arc::clone(&trajectory), contexts, records));

    let first = forward(model, &mut [&mut source_run]).unwrap();
    let eps = |row: usize| trace["eps_step0"].narrow(0, row, 1).unwrap();
    assert_close(case, "unconditional output of the source", &first.narrow(0, 0, 1).unwrap(), &eps(0), pass);
    assert_close(case, "conditional output of the source", &first.narrow(0, 1, 1).unwrap(), &eps(2), pass);
    for step in 0..source.steps {
        denoise(model, &mut [&mut source_run]).unwrap().0.remove(0).unwrap();
        let wanted = trace["latents"].get(step).unwrap().narrow(0, 0, 1).unwrap();
        assert_close(case, &format!("source latents after step {step}"), source_run.latents(), &wanted, latents);
    }
    assert_eq!(log.bytes(), bytes_in(&log, source.steps), "{}: bytes of attention", case.display());
    let image = (source.width * source.height * 3) as u64;
    assert_eq!(trajectory.bytes(), bytes_on(&trajectory) + image, "{}: a trajectory", case.display());

    let edit_run = EditRun::new(model, &sampling, Arc::clone(&trajectory), log, target, Arc::clone(&edit.plan), false);
    let mut edit_run = Run::Edit(edit_run);
    let first = forward(model, &mut [&mut edit_run]).unwrap();
    assert_close(case, "unconditional output of the edit", &first.narrow(0, 0, 1).unwrap(), &eps(1), pass);
    assert_close(case, "conditional output of the edit", &first.narrow(0, 1, 1).unwrap(), &eps(3), pass);
    for step in 0..source.steps {
        denoise(model, &mut [&mut edit_run]).unwrap().0.remove(0).unwrap();
        let wanted = trace["latents"].get(step).unwrap().narrow(0, 1, 1).unwrap();
        assert_close(case, &format!("edited latents after step {step}"), edit_run.latents(), &wanted, latents);
    }
    if let Some(wanted) = trace.get("blend_mask") {
        let Run::Edit(run) = &edit_run else { unreachable!("an edit") };
        let wanted: Vec<f32> = wanted.get(0).unwrap().get(0).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let found = last_mask(run, &trajectory, &edit.plan).expect("a mask where there is one");
        let off = found.iter().zip(&wanted).filter(|(found, wanted)| **found != (**wanted > 0.5)).count();
        let may_be = mask * wanted.len() as f64;
        assert!(off as f64 <= may_be, "{}: {off} positions of the blend mask differ", case.display());
    }
}

/// Bytes of all tensors of a log.
fn bytes_in(log: &AttentionLog, steps: usize) -> u64 {
    let mut bytes = log.contexts().bytes();
    let mut count = |tensor: &Tensor| {
        bytes += tensor_bytes(tensor);
        Ok(tensor.clone())
    };
    for step in 0..steps {
        log.step(step).map(&mut count).unwrap();
    }
    bytes
}

/// Bytes of the latents and maps of a trajectory.
fn bytes_on(trajectory: &Trajectory) -> u64 {
    let steps = (0..trajectory.recorded_steps()).map(|step| trajectory.step(step).unwrap());
    let of_steps: u64 = steps.map(|step| tensor_bytes(&step.latents) + size_of_val(&*step.maps) as u64).sum();
    tensor_bytes(trajectory.start()) + of_steps
}

/// The local-blend mask of a finished edit's last step, row by row over the latents.
fn last_mask(run: &EditRun, trajectory: &Trajectory, plan: &EditPlan) -> Option<Vec<bool>> {
    let (map_height, map_width) = run.layout().blend_level()?;
    let (_, _, height, width) = trajectory.start().dims4().unwrap();
    let mut source = Vec::new();
    trajectory.maps().steps.iter().for_each(|maps| add_step(&mut source, maps));
    Some(blend_mask(plan.blend()?, &source, run.summed_maps()?, map_height, map_width, height, width))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_gives_its_image_over_http() {
    let mut services: HashMap<String, Service> = HashMap::new();
    for Case { folder: case, model } in cases() {
        if !services.contains_key(&model) {
            services.insert(model.clone(), Service::start(files(&model), config_on_device()).await);
        }
        let mut body = request(&case);
        body["include_source"] = true.into();
        let answer = services[&model].post("/v1/edits", &body).await;
        let json = answer.json();
        assert_eq!(answer.status, 200, "{}: {json}", case.display());
        for (role, file) in [("source", "source.png"), ("edit", "edited.png")] {
            let Ok(wanted) = std::fs::read(case.join(file)) else { continue };
            let (max, mean) = difference(&image(&json, role), &pixels(&wanted));
            println!("{} {role}: max {max}, mean {mean:.5}", case.display());
            let (most, of_all) = tolerance().image;
            assert!(
                max <= most && mean <= of_all,
                "{}: {role} is off by {max} at most, {mean} in the mean",
                case.display()
            );
        }
    }
}
