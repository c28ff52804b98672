//! Recordings in groups of layers, on the embedded model: what is missing is replayed and nothing else, and images do
//! not depend on the grouping.

use std::sync::Arc;

use candle_core::{Device, Tensor};

use crate::diffusion::weights::embedded;
use crate::diffusion::{Model, SiteGrouping};
use crate::engine::job::{PreparedEdit, PreparedSource};
use crate::engine::runs::forward::denoise;
use crate::engine::runs::{EditRun, ReplayRun, Run, Sampling, SourceRun, needs_of, recording_layout};
use crate::p2p::{EditParams, EditPlan, Presets};
use crate::recordings::Origin;
use crate::recordings::{
    AttentionLog, Coverage, GroupSet, RecordingLayout, RecordingMetrics, Recordings, SessionLimits, Source,
    SourceContexts, Tier, Trajectory,
};
use crate::telemetry::metrics::MetricsRegistry;

const STEPS: usize = 4;
const SIDE: usize = 128;
const TARGET: &str = "a dog on the beach";

/// An edit of one source on one model, and what its runs share.
struct Fixture {
    model: Model,
    layout: Arc<RecordingLayout>,
    sampling: Sampling,
    contexts: Arc<SourceContexts>,
    trajectory: Arc<Trajectory>,
    plan: Arc<EditPlan>,
    recordings: Recordings,
}

impl Fixture {
    fn new(grouping: SiteGrouping) -> Self {
        let mut model = Model::load(&embedded::demo(), &Device::Cpu).unwrap();
        Arc::get_mut(&mut model.info).unwrap().architecture.grouping = grouping;
        let new = Source::new("a cat on the beach", Origin::Seed(3), STEPS, (SIDE, SIDE));
        let source = PreparedSource::new(&model.info, Source { guidance_scale: 5.0, ..new }).unwrap();
        let params = EditParams::default();
        let edit = PreparedEdit::new(&model.info, &Presets::default(), &source, TARGET, &params).unwrap();
        let metrics = RecordingMetrics::register(&MetricsRegistry::new()).unwrap();
        let recordings = Recordings::new(SessionLimits::default(), Arc::new(metrics));
        let layout = Arc::new(recording_layout(&model, SIDE, SIDE));
        let reservation = recordings.reserve(Tier::Trajectory, layout.trajectory_bytes(STEPS)).unwrap();
        let noise = model.noise(source.seed(), SIDE, SIDE).unwrap();
        let trajectory = Arc::new(Trajectory::new(Arc::clone(&layout), noise, STEPS, reservation));
        let mut conditionings = model.condition(&source.conditioning_keys().map(Clone::clone)).unwrap();
        let (unconditional, conditional) = (conditionings.pop().unwrap(), conditionings.pop().unwrap());
        let contexts = Arc::new(SourceContexts::new(conditional, unconditional));
        let sampling = Sampling::of(&model.info, &source).unwrap();
        Self { model, layout, sampling, contexts, trajectory, plan: edit.plan, recordings }
    }

    fn needs(&self) -> Coverage {
        needs_of(&self.plan, &self.layout)
    }

    fn log(&self) -> Arc<AttentionLog> {
        let needs = self.needs();
        let reservation =
            self.recordings.reserve(Tier::Memory, self.layout.context_bytes() + self.layout.bytes(&needs)).unwrap();
        let (layout, contexts) = (Arc::clone(&self.layout), Arc::clone(&self.contexts));
        Arc::new(AttentionLog::kept(layout, contexts, needs, STEPS, (Device::Cpu, reservation)))
    }

    /// Takes all steps of a run.
    fn finish(&self, run: Run) -> Run {
        let mut run = run;
        while !run.is_done() {
            assert!(run.is_ready());
            denoise(&self.model, &mut [&mut run]).unwrap().0.remove(0).unwrap();
        }
        run
    }

    /// The source's run, recording all that the edit needs but the groups `missing`.
    fn record(&self, missing: GroupSet) -> Arc<AttentionLog> {
        let needs = self.needs();
        let wanted = Coverage::select(STEPS, |step| needs.at(step).minus(missing));
        let log = self.log();
        let records = Some((Arc::clone(&log), wanted.clone()));
        let run = SourceRun::new(&self.sampling, Arc::clone(&self.trajectory), Arc::clone(&self.contexts), records);
        self.finish(Run::Source(run));
        assert_eq!(log.present(), wanted);
        log
    }

    fn edit_run(&self, log: &Arc<AttentionLog>) -> Run {
        let target = self.model.condition(&[self.model.info.conditioning_key(TARGET).unwrap()]).unwrap().remove(0);
        let (trajectory, plan) = (Arc::clone(&self.trajectory), Arc::clone(&self.plan));
        Run::Edit(EditRun::new(&self.model, &self.sampling, trajectory, Arc::clone(log), target, plan, false))
    }

    /// The bits of the edit's final latents.
    fn edit(&self, log: &Arc<AttentionLog>) -> Vec<u32> {
        bits(self.finish(self.edit_run(log)).latents())
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

#[test]
fn a_group_that_is_missing_is_replayed_alone_and_the_edit_is_the_same() {
    let whole = Fixture::new(SiteGrouping::Whole);
    let wanted = whole.edit(&whole.record(GroupSet::EMPTY));
    let groups: Vec<_> = Fixture::new(SiteGrouping::PerResolution).layout.groups().iter().collect();
    assert!(groups.len() > 2, "{groups:?}");
    for group in groups {
        let fixture = Fixture::new(SiteGrouping::PerResolution);
        let log = fixture.record(group.into());
        let missing = fixture.needs().minus(&log.present());
        assert!(!missing.is_empty(), "{group:?}");
        assert!(!fixture.edit_run(&log).is_ready(), "{group:?}: the edit waits for the group");
        // Into a log of its own, which shows what the replay records.
        let replayed = fixture.log();
        let trajectory = Arc::clone(&fixture.trajectory);
        let replay = ReplayRun::new(&fixture.sampling, trajectory, Arc::clone(&replayed), missing.clone());
        fixture.finish(Run::Replay(replay));
        assert_eq!(replayed.present(), missing, "{group:?}");
        (0..STEPS).for_each(|step| log.put(step, replayed.step(step)).unwrap());
        assert_eq!(log.present(), fixture.needs());
        assert_eq!(fixture.edit(&log), wanted, "{group:?}");
    }
}

#[test]
fn attention_and_its_bytes_do_not_depend_on_the_grouping() {
    let [whole, grouped] = [SiteGrouping::Whole, SiteGrouping::PerResolution].map(Fixture::new);
    assert_eq!(grouped.layout.bytes(&grouped.needs()), whole.layout.bytes(&whole.needs()));
    let [of_whole, of_groups] = [&whole, &grouped].map(|fixture| {
        let log = fixture.record(GroupSet::EMPTY);
        let mut layers = Vec::new();
        for group in fixture.layout.groups().iter() {
            for (layer, record) in log.step(0).group(group).unwrap() {
                layers.push((*layer, bits(&record.queries), record.keys.as_ref().map(bits)));
            }
        }
        layers.sort();
        layers
    });
    assert!(of_groups == of_whole);
}
