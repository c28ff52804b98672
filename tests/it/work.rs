//! What is not done twice, and what is not done at all: multiplications and exponentials are counted.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use reprompt::diffusion::unet::{AttentionKind, NoControl};
use reprompt::diffusion::weights::embedded;
use reprompt::diffusion::{Conditioning, Model};
use reprompt::engine::runs::forward::denoise;
use reprompt::engine::runs::{EditRun, Run, Sampling, SourceRun, needs_of, recording_layout};
use reprompt::engine::{self as jobs, JobOptions, PreparedEdit, PreparedSource};
use reprompt::kernels::op_counters::{Work, so_far};
use reprompt::p2p::{CrossReplaceSteps, EditParams, EditType, Presets, Window};
use reprompt::recordings::RecordingMetrics;
use reprompt::recordings::Tier;
use reprompt::recordings::{AttentionLog, Origin, Recordings, SessionLimits, Source, SourceContexts, Trajectory};
use reprompt::telemetry::metrics::MetricsRegistry;

use crate::fake;
use crate::support::config;

const STEPS: usize = 10;
const SIDE: usize = 128;

fn counted<T>(work: impl FnOnce() -> T) -> (T, Work) {
    let before = so_far();
    let result = work();
    (result, so_far() - before)
}

fn model() -> Model {
    Model::load(&embedded::demo(), &Device::Cpu).unwrap()
}

fn context(model: &Model, prompt: &str) -> Conditioning {
    model.condition(&[model.info.conditioning_key(prompt).unwrap()]).unwrap().remove(0)
}

/// A pass of `rows` that attend to themselves.
fn plain(model: &Model, context: &Conditioning, rows: usize, timestep: f64) -> Work {
    let noise = model.noise(1, SIDE, SIDE).unwrap();
    let latents = Tensor::cat(&vec![&noise; rows], 0).unwrap();
    let pass = || model.unet.forward(&latents, &vec![timestep; rows], &vec![context; rows], &mut NoControl).unwrap();
    counted(pass).1
}

/// A step of two rows that attend to themselves, whose timestep is known.
fn free(model: &Model, prompt: &str) -> Work {
    let prompt = context(model, prompt);
    plain(model, &prompt, 2, 500.0);
    plain(model, &prompt, 2, 500.0)
}

/// Multiplications of one projection of each attention layer of a kind; in self-attention, of those that are injected.
fn projections(model: &Model, kind: AttentionKind) -> u64 {
    let sites = model.sites(SIDE, SIDE);
    let layout = recording_layout(model, SIDE, SIDE);
    let sites = sites.iter().filter(|site| site.kind == kind && layout.records(site));
    sites.map(|site| (site.positions() * (site.heads * site.head_dim).pow(2)) as u64).sum()
}

/// Both products and the exponentials of one attention of each cross-attention layer.
fn attention_to_text(model: &Model) -> Work {
    let tokens = model.info.tokenizer.max_tokens();
    let sites = model.sites(SIDE, SIDE).into_iter().filter(|site| site.kind == AttentionKind::CrossAttention);
    sites.fold(Work::default(), |sum, site| Work {
        multiply_adds: sum.multiply_adds + (2 * site.positions() * tokens * site.heads * site.head_dim) as u64,
        exponentials: sum.exponentials + (site.positions() * tokens * site.heads) as u64,
    })
}

/// An edit of a recorded source, and what each of its steps takes.
fn edit(model: &Model, target: &str, params: &EditParams) -> (Vec<Work>, bool) {
    let new = Source::new("a cat on the beach", Origin::Seed(1), STEPS, (SIDE, SIDE));
    let source = PreparedSource::new(&model.info, Source { guidance_scale: 5.0, ..new }).unwrap();
    let store = Recordings::new(
        SessionLimits::default(),
        Arc::new(RecordingMetrics::register(&MetricsRegistry::new()).unwrap()),
    );
    let edit = PreparedEdit::new(&model.info, &Presets::default(), &source, target, params).unwrap();
    let sampling = Sampling::of(&model.info, &source).unwrap();
    let layout = Arc::new(recording_layout(model, SIDE, SIDE));
    let room = store.reserve(Tier::Trajectory, layout.trajectory_bytes(STEPS)).unwrap();
    let noise = model.noise(source.seed(), SIDE, SIDE).unwrap();
    let trajectory = Arc::new(Trajectory::new(Arc::clone(&layout), noise, STEPS, room));
    let (conditional, unconditional) = (context(model, &source.prompt), context(model, ""));
    let contexts = Arc::new(SourceContexts::new(conditional, unconditional));
    let needs = needs_of(&edit.plan, &layout);
    let room = store.reserve(Tier::Memory, layout.context_bytes() + layout.bytes(&needs)).unwrap();
    let room = (Device::Cpu, room);
    let log = Arc::new(AttentionLog::kept(Arc::clone(&layout), Arc::clone(&contexts), needs.clone(), STEPS, room));
    let records = Some((Arc::clone(&log), needs.clone()));
    let mut run = Run::Source(SourceRun::new(&sampling, Arc::clone(&trajectory), contexts, records));
    for _ in 0..STEPS {
        denoise(model, &mut [&mut run]).unwrap().0.remove(0).unwrap();
    }
    let has_only_what_is_read = log.present() == needs;
    let target = context(model, edit.prompt.text());
    let mut run = Run::Edit(EditRun::new(model, &sampling, trajectory, log, target, edit.plan, false));
    let steps = (0..STEPS).map(|_| counted(|| denoise(model, &mut [&mut run]).unwrap().0.remove(0).unwrap()).1);
    (steps.collect(), has_only_what_is_read)
}

fn params(edit_type: EditType, cross: f64, own: f64) -> EditParams {
    let (default, own) = (Window::from_fraction(cross).unwrap(), Window::from_fraction(own).unwrap());
    let cross_replace = CrossReplaceSteps { default, words: Vec::new() };
    EditParams { edit_type, cross_replace: Some(cross_replace), self_replace: Some(own), ..EditParams::default() }
}

#[test]
fn a_timestep_is_embedded_once_and_a_row_costs_what_it_costs_alone() {
    let model = model();
    let prompt = context(&model, "a cat");
    let (first, again) = (plain(&model, &prompt, 1, 500.0), plain(&model, &prompt, 1, 500.0));
    assert!(first.multiply_adds > again.multiply_adds, "{first:?} {again:?}");
    for rows in [2, 3, 5] {
        let row = plain(&model, &prompt, rows, 500.0);
        assert_eq!(row.multiply_adds, rows as u64 * again.multiply_adds);
        assert_eq!(row.exponentials, rows as u64 * again.exponentials);
    }
}

#[test]
fn a_pass_does_nothing_that_does_not_depend_on_the_image() {
    // Keys and values of the prompt, for instance: what is left beside self-attention grows exactly with the positions.
    let model = model();
    let prompt = context(&model, "a cat");
    let pass = |side: usize| {
        let noise = model.noise(1, side, side).unwrap();
        let pass = || counted(|| model.unet.forward(&noise, &[500.0], &[&prompt], &mut NoControl).unwrap()).1;
        pass();
        let own = model.sites(side, side).into_iter().filter(|site| site.kind == AttentionKind::SelfAttention);
        let attention = own.map(|site| 2 * site.positions().pow(2) * site.heads * site.head_dim).sum::<usize>();
        pass().multiply_adds - attention as u64
    };
    assert_eq!(pass(128), 4 * pass(64));
}

#[test]
fn where_the_gate_is_closed_the_target_has_no_queries_and_no_softmax_of_its_own() {
    let model = model();
    let free = free(&model, "a dog on the beach");
    // Closed for cross-attention in steps 0 to 4, for self-attention in steps 0 and 1.
    let (steps, has_only_what_is_read) = edit(&model, "a dog on the beach", &params(EditType::Replace, 0.5, 0.2));
    assert!(has_only_what_is_read, "the source has recorded what no edit reads");
    let (cross, own) =
        (projections(&model, AttentionKind::CrossAttention), projections(&model, AttentionKind::SelfAttention));
    let saved = |step: usize| free.multiply_adds - steps[step].multiply_adds;
    assert_eq!(saved(1), cross + 2 * own);
    assert_eq!(saved(2), cross);
    assert_eq!(saved(4), cross);
    assert_eq!(saved(5), 0);
    assert_eq!(saved(9), 0);
    assert!(steps.iter().all(|step| step.exponentials == free.exponentials));
}

#[test]
fn where_words_are_added_both_attend_and_the_values_are_mixed_once() {
    let model = model();
    let free = free(&model, "a cat on the beach at night");
    let (steps, _) = edit(&model, "a cat on the beach at night", &params(EditType::Refine, 0.5, 0.0));
    let more = attention_to_text(&model);
    // The first step of a phase mixes values; the ones after it do not.
    for step in &steps[1..5] {
        assert_eq!(step.multiply_adds - free.multiply_adds, more.multiply_adds);
        assert_eq!(step.exponentials - free.exponentials, more.exponentials);
    }
    assert!(steps[0].multiply_adds > steps[1].multiply_adds);
    assert_eq!(steps[7], free);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_jobs_share_is_encoded_once() {
    let (engine, encoded) = fake::engine_with_encoded_prompts(std::time::Duration::ZERO, config()).await;
    for seed in 0..3 {
        engine.submit(fake::edit(&engine, seed, 2), JobOptions::default()).unwrap().outcome().await.unwrap();
    }
    // Another text, but the same tokens.
    let source = Source { prompt: "A Cat  on the BEACH".to_owned(), ..Source::clone(&fake::source(0, 2)) };
    let record = jobs::Work::Record { source: fake::prepared(source) };
    engine.submit(record, JobOptions::default()).unwrap().outcome().await.unwrap();
    assert_eq!(engine.sessions().views().len(), 4);
    let mut encoded = encoded.lock().unwrap().clone();
    encoded.sort();
    assert_eq!(encoded, ["", "a cat on the beach", "a dog on the beach"]);
}
