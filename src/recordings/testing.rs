//! What the unit tests of this module share: small sources, trajectories and logs, and recordings without a model's
//! run.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Device, Tensor};

use crate::diffusion::nn::Compute;
use crate::diffusion::unet::{AttentionKind, AttentionSite};
use crate::diffusion::weights::embedded;
use crate::diffusion::{ArchitectureProfile, Model, SiteGrouping};
use crate::media::Image;
use crate::recordings::attention_log::{AttentionLog, GroupRecord, LayerRecord, SourceContexts, StepAttention};
use crate::recordings::budget::Reservation;
use crate::recordings::coverage::Coverage;
use crate::recordings::handle::Recordings;
use crate::recordings::layout::{RecordingLayout, ValueBytes};
use crate::recordings::limits::SessionLimits;
use crate::recordings::metrics::RecordingMetrics;
use crate::recordings::place::{Place, Substance, Tier};
use crate::recordings::session_id::SessionId;
use crate::recordings::site_group::SiteGroup;
use crate::recordings::source::{Origin, Source};
use crate::recordings::trajectory::{Trajectory, TrajectoryStep};
use crate::telemetry::metrics::MetricsRegistry;

/// A model's fingerprint.
pub(crate) const MODEL: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Steps of [`source`].
pub(crate) const STEPS: usize = 2;
/// Channels of the one attention layer; a step's queries are four times as many bytes.
pub(crate) const HEAD_DIM: usize = 512;
/// Bytes that are reserved for a trajectory and for a log.
pub(crate) const BYTES: u64 = 100;

pub(crate) fn source(seed: u64) -> Arc<Source> {
    Arc::new(Source::new("a cat", Origin::Seed(seed), STEPS, (8, 8)))
}

pub(crate) fn id(seed: u64) -> SessionId {
    source(seed).session_id(MODEL)
}

/// Budgets for so many logs on the device and in memory and so many trajectories, and `disk` bytes in the store.
pub(crate) fn limits(device: u64, memory: u64, trajectories: u64, disk: u64) -> SessionLimits {
    SessionLimits {
        device_bytes: device * BYTES,
        memory_bytes: memory * BYTES,
        trajectory_bytes: trajectories * BYTES,
        disk_bytes: disk,
        // Only to have a budget for the store: nothing opens it.
        dir: Some("unused".into()),
        ..SessionLimits::default()
    }
}

pub(crate) fn metrics() -> Arc<RecordingMetrics> {
    Arc::new(RecordingMetrics::register(&MetricsRegistry::new()).expect("a fresh registry"))
}

pub(crate) fn recordings(limits: SessionLimits) -> Recordings {
    Recordings::new(limits, metrics())
}

fn layout() -> Arc<RecordingLayout> {
    let kind = AttentionKind::CrossAttention;
    let profile =
        ArchitectureProfile { max_injected_positions: 256, blend_positions: 256, grouping: SiteGrouping::Whole };
    let site = AttentionSite { index: 0, kind, height: 1, width: 1, heads: 1, head_dim: HEAD_DIM };
    Arc::new(RecordingLayout::new(&profile, vec![site], None, 77, 4, 64, ValueBytes { number: 4, context: 0 }))
}

/// A complete trajectory.
pub(crate) fn trajectory(reservation: Reservation) -> Arc<Trajectory> {
    let latents = |value: f32| Tensor::full(value, (1, 4, 1, 1), &Device::Cpu).expect("latents");
    let trajectory = Trajectory::new(layout(), latents(0.0), STEPS, reservation);
    for step in 0..STEPS {
        trajectory.push(TrajectoryStep { latents: latents(step as f32 + 1.0), maps: Arc::new([]) });
    }
    trajectory.set_image(Arc::new(Image { width: 8, height: 8, rgb: vec![7; 3 * 64] }));
    Arc::new(trajectory)
}

/// A log that holds cross-attention of all steps.
pub(crate) fn log(reservation: Reservation) -> Arc<AttentionLog> {
    static MODEL: OnceLock<Arc<SourceContexts>> = OnceLock::new();
    let contexts = MODEL.get_or_init(|| {
        let compute = Compute { device: Device::Cpu, dtype: DType::F32 };
        let model = Model::load_as(&embedded::demo(), &compute).expect("the demo model");
        let key = model.info.conditioning_key("a cat").expect("tokens");
        let context = || model.condition(std::slice::from_ref(&key)).expect("encoded").remove(0);
        Arc::new(SourceContexts::new(context(), context()))
    });
    let group = SiteGroup::first(AttentionKind::CrossAttention);
    let planned = Coverage::all(STEPS, group.into());
    let log = AttentionLog::kept(layout(), Arc::clone(contexts), planned, STEPS, (Device::Cpu, reservation));
    for step in 0..STEPS {
        let queries = Tensor::full(step as f32, (1, HEAD_DIM), &Device::Cpu).expect("queries");
        let record = GroupRecord::from([(0, LayerRecord { queries, keys: None })]);
        log.put(step, StepAttention::of(group, record)).expect("put");
    }
    Arc::new(log)
}

/// A session that is recorded, with its trajectory in memory.
pub(crate) fn record(recordings: &Recordings, seed: u64) -> Arc<Trajectory> {
    recordings.begin(&id(seed), &source(seed));
    let trajectory = trajectory(recordings.reserve(Tier::Trajectory, BYTES).expect("free bytes"));
    assert!(recordings.complete(&id(seed), &trajectory).is_some());
    trajectory
}

/// The same with its attention at a place.
pub(crate) fn record_with_attention(recordings: &Recordings, seed: u64, place: Place) {
    record(recordings, seed);
    let tier = Tier::of(Substance::Attention, place);
    let log = log(recordings.reserve(tier, BYTES).expect("free bytes"));
    assert!(recordings.attach_attention(&id(seed), place, &log).is_some());
}

/// The best tier of a session.
pub(crate) fn tier(recordings: &Recordings, seed: u64) -> Option<Tier> {
    recordings.view(&id(seed)).map(|view| view.tier)
}
