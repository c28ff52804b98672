//! What the tests of states share: a source of four steps without layers, and jobs that are queued or running.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use candle_core::{Device, Tensor};
use prometheus::IntGauge;
use tokio::sync::{Semaphore, watch};

use crate::diffusion::unet::{AttentionKind, AttentionSite};
use crate::diffusion::{ArchitectureProfile, Conditioning, SiteGrouping};
use crate::engine::job::{JobHandle, JobOptions, PreparedEdit, PreparedSource, QueueSlot, RecordingUse, Ticket, Work};
use crate::engine::runs::set::RunKey;
use crate::engine::state::{Begun, EditState, RunningJob, SharedLog, TrajectoryState};
use crate::media::Image;
use crate::p2p::{EditParams, Presets, Prompt};
use crate::recordings::Origin;
use crate::recordings::budget::{Budget, Reservation};
use crate::recordings::{
    AttentionLog, Coverage, GroupSet, Place, RecordingLayout, SessionId, SiteGroup, Source, SourceContexts, Tier,
    Trajectory, ValueBytes,
};

pub const STEPS: usize = 4;

pub fn session() -> SessionId {
    source().session_id("a model")
}

pub fn source() -> PreparedSource {
    let source = Source { guidance_scale: 5.0, ..Source::new("", Origin::Seed(1), STEPS, (8, 8)) };
    PreparedSource::from_prompts(prompt("a cat", 6), &Prompt::new("", vec![1, 2], vec![0..0, 0..0], 77), source)
}

fn prompt(text: &str, noun: u32) -> Prompt {
    Prompt::new(text, vec![1, 5, noun, 2], vec![0..0, 0..1, 2..5, 0..0], 77)
}

/// A layout without layers.
pub fn layout() -> Arc<RecordingLayout> {
    layout_of(Vec::new())
}

/// A layout with one layer of cross-attention: a step takes 8 bytes, the prompts 20.
pub fn layout_of_one_layer() -> Arc<RecordingLayout> {
    let kind = AttentionKind::CrossAttention;
    layout_of(vec![AttentionSite { index: 0, kind, height: 1, width: 1, heads: 1, head_dim: 2 }])
}

fn layout_of(sites: Vec<AttentionSite>) -> Arc<RecordingLayout> {
    let bytes = ValueBytes { number: 4, context: 10 };
    let profile = ArchitectureProfile { max_injected_positions: 0, blend_positions: 0, grouping: SiteGrouping::Whole };
    Arc::new(RecordingLayout::new(&profile, sites, None, 77, 1, 64, bytes))
}

pub fn reservation() -> Reservation {
    Budget::new(1000).try_reserve(10).unwrap()
}

pub fn trajectory(reservation: Reservation) -> Arc<Trajectory> {
    let noise = Tensor::zeros((1, 1, 1, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    Arc::new(Trajectory::new(layout(), noise, STEPS, reservation))
}

/// A complete trajectory with its image.
pub fn complete() -> TrajectoryState {
    let trajectory = trajectory(reservation());
    trajectory.set_image(image());
    TrajectoryState::complete(trajectory)
}

pub fn image() -> Arc<Image> {
    Arc::new(Image { width: 1, height: 1, rgb: vec![0; 3] })
}

/// Cross-attention of these steps.
pub fn coverage(steps: Range<usize>) -> Coverage {
    let cross = GroupSet::from(SiteGroup::first(AttentionKind::CrossAttention));
    Coverage::select(6, |step| if steps.contains(&step) { cross } else { GroupSet::EMPTY })
}

pub fn log(planned: Coverage, reservation: Reservation) -> Arc<AttentionLog> {
    let contexts = Arc::new(SourceContexts::new(Conditioning::default(), Conditioning::default()));
    Arc::new(AttentionLog::kept(layout(), contexts, planned, 6, (Device::Cpu, reservation)))
}

pub fn open_log() -> SharedLog {
    SharedLog::recorded(Place::Memory, log(coverage(0..0), reservation()))
}

pub fn prepared_edit() -> PreparedEdit {
    let (from, to) = (Arc::clone(source().tokenized_prompt()), Arc::new(prompt("a dog", 7)));
    PreparedEdit::from_prompts(&Presets::default(), from, to, &EditParams::default(), STEPS).unwrap()
}

pub fn work_of_edit() -> Work {
    Work::Edit { source: source(), edit: prepared_edit() }
}

pub fn begun(run: RunKey, own_replay: Option<RunKey>) -> Begun {
    Begun { run, own_replay, lowest_tier: Tier::Memory }
}

/// A job that was submitted and waits, its client's end, and the queue of one slot that it takes.
pub fn submitted(work: Work) -> (Ticket, JobHandle, Arc<Semaphore>) {
    let slots = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&slots).try_acquire_owned().unwrap();
    let slot = QueueSlot::new(permit, IntGauge::new("queued", "for tests").unwrap());
    let (unfinished, _) = watch::channel(0);
    let (ticket, handle) = Ticket::new(work, JobOptions::default(), slot, &unfinished, (0, Duration::ZERO));
    (ticket, handle, slots)
}

/// A job that has started, and its client's end.
pub fn job(recording_use: RecordingUse, edit: EditState) -> (RunningJob, JobHandle) {
    let (ticket, handle, _) = submitted(work_of_edit());
    (RunningJob::new(ticket, recording_use, edit), handle)
}
