//! Attention under control: what the conditional row of a source records, and what that of an edit takes from it.
//!
//! An edit's cross-attention is `SDPA(Qs, Ks, A Vt) + SDPA(Qt, Kt, B Vt)` with the token-axis matrices A and B of its
//! plan; where a term is zero, its queries and probabilities are never computed. Unconditional rows are left alone.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use crate::diffusion::unet::{
    AttentionCall, AttentionControl, AttentionKind, AttentionSite, NoControl, TextContext, attend,
    attention_probabilities,
};
use crate::p2p::{CrossInjection, EditPlan, TokenMatrix};
use crate::session::{CrossRecord, RecordingLayout, SelfRecord, SourceContexts, StepAttention, StepNeeds};

/// How each row of a batch attends.
#[derive(Debug)]
pub struct BatchControl<'a> {
    rows: Vec<RowControl<'a>>,
}

/// How one row attends.
#[derive(Debug)]
pub enum RowControl<'a> {
    /// To itself: the unconditional row of every run.
    Free,
    /// To itself, while queries, keys and maps are kept: a source's conditional row, run for the first time or again.
    Record(&'a mut StepRecorder),
    /// As the plan of an edit says: an edit's conditional row.
    Edit(&'a mut StepEditor),
}

impl<'a> BatchControl<'a> {
    /// One entry a row, in the batch's order.
    pub fn new(rows: Vec<RowControl<'a>>) -> Self {
        Self { rows }
    }
}

impl AttentionControl for BatchControl<'_> {
    fn attend(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        match self.rows.get_mut(call.row) {
            Some(RowControl::Record(recorder)) => recorder.attend(call),
            Some(RowControl::Edit(editor)) => editor.attend(call),
            Some(RowControl::Free) => NoControl.attend(call),
            None => candle_core::bail!("row {} has no attention control", call.row),
        }
    }
}

/// Adds up attention maps over layers and heads, for the mean that local blend reads.
#[derive(Debug)]
struct MapSum {
    layout: Arc<RecordingLayout>,
    /// `[positions, tokens]`.
    sum: Option<Tensor>,
}

impl MapSum {
    fn new(layout: &Arc<RecordingLayout>) -> Self {
        Self { layout: Arc::clone(layout), sum: None }
    }

    /// `probabilities` `[heads, positions, tokens]`.
    fn add(&mut self, probabilities: &Tensor) -> Result<()> {
        let heads = probabilities.sum(0)?;
        self.sum = Some(match self.sum.take() {
            Some(sum) => (sum + heads)?,
            None => heads,
        });
        Ok(())
    }

    /// The attended values of a call, its maps added where local blend reads them.
    fn attend(&mut self, site: &AttentionSite, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
        if !self.layout.is_blend_site(site) {
            return attend(queries, keys, values);
        }
        let probabilities = attention_probabilities(queries, keys)?;
        self.add(&probabilities)?;
        probabilities.matmul(values)
    }

    /// The mean, `[positions * tokens]`; empty where nothing was added.
    fn finish(&mut self) -> Result<Vec<f32>> {
        match self.sum.take() {
            Some(sum) => (sum / self.layout.blend_maps() as f64)?.flatten_all()?.to_vec1(),
            None => Ok(Vec::new()),
        }
    }
}

/// Keeps what a source's step says of its attention.
#[derive(Debug)]
pub struct StepRecorder {
    layout: Arc<RecordingLayout>,
    needs: StepNeeds,
    /// `None` where maps are not wanted.
    maps: Option<MapSum>,
    cross: CrossRecord,
    self_attention: SelfRecord,
}

impl StepRecorder {
    /// A recorder for the layers of `layout`.
    pub fn new(layout: &Arc<RecordingLayout>) -> Self {
        Self {
            layout: Arc::clone(layout),
            needs: StepNeeds::default(),
            maps: None,
            cross: Vec::new(),
            self_attention: Vec::new(),
        }
    }

    /// Prepares a step of which `needs`, and the mean maps if `maps`, are to be kept; forgets what a step that failed
    /// half way has left.
    pub fn begin(&mut self, needs: StepNeeds, maps: bool) {
        self.needs = needs;
        self.maps = maps.then(|| MapSum::new(&self.layout));
        self.cross = vec![None; self.layout.layers()];
        self.self_attention = vec![None; self.layout.layers()];
    }

    fn attend(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        let site = &call.site;
        let keeps = self.layout.records(site)
            && match site.kind {
                AttentionKind::CrossAttention => self.needs.cross,
                AttentionKind::SelfAttention => self.needs.self_attention,
            };
        let maps = self.maps.as_mut().filter(|_| self.layout.is_blend_site(site));
        if !keeps && maps.is_none() {
            return NoControl.attend(call);
        }
        let (queries, keys, values) = (call.queries()?, call.keys()?, call.values()?);
        let attended = match maps {
            Some(maps) => maps.attend(site, &queries, &keys, &values)?,
            None => attend(&queries, &keys, &values)?,
        };
        match site.kind {
            _ if !keeps => {}
            AttentionKind::CrossAttention => self.cross[site.index] = Some(queries),
            AttentionKind::SelfAttention => self.self_attention[site.index] = Some((queries, keys)),
        }
        Ok(attended)
    }

    /// What the step has left: the attention that was wanted, and the mean maps, empty where they were not.
    pub fn finish(&mut self) -> Result<(StepAttention, Arc<[f32]>)> {
        let maps = self.maps.as_mut().map(MapSum::finish).transpose()?.unwrap_or_default();
        let (cross, self_attention) = (std::mem::take(&mut self.cross), std::mem::take(&mut self.self_attention));
        let attention = StepAttention {
            cross: self.needs.cross.then(|| Arc::new(cross)),
            self_attention: self.needs.self_attention.then(|| Arc::new(self_attention)),
        };
        Ok((attention, maps.into()))
    }
}

/// A plan's two matrices on the device.
#[derive(Debug)]
struct InjectionTensors {
    /// A, `None` where it is zero.
    from_source: Option<TargetValues>,
    /// The diagonal of B, `None` where it is zero.
    own: Option<TargetValues>,
    cross: CrossInjection,
}

/// What happens to the target's values `[heads, tokens, head_dim]` before they are attended to.
#[derive(Debug)]
enum TargetValues {
    AsTheyAre,
    /// Multiplied from the left by `[tokens, tokens]`.
    Mixed(Tensor),
    /// Scaled by `[tokens, 1]`.
    Scaled(Tensor),
}

impl TargetValues {
    fn apply(&self, values: &Tensor) -> Result<Tensor> {
        match self {
            Self::AsTheyAre => Ok(values.clone()),
            Self::Mixed(matrix) => matrix.broadcast_left(values.dim(0)?)?.matmul(values),
            Self::Scaled(factors) => values.broadcast_mul(factors),
        }
    }
}

impl InjectionTensors {
    fn new(cross: CrossInjection, device: &Device) -> Result<Self> {
        let tokens = cross.own.len();
        let from_source = match cross.uses_source() {
            false => None,
            true if cross.source_is_identity() => Some(TargetValues::AsTheyAre),
            true => {
                let matrix = Tensor::from_slice(cross.from_source.as_slice(), (tokens, tokens), device)?;
                Some(TargetValues::Mixed(matrix))
            }
        };
        let own = match cross.uses_own() {
            false => None,
            true if cross.own.iter().all(|&factor| factor == 1.0) => Some(TargetValues::AsTheyAre),
            true => Some(TargetValues::Scaled(Tensor::from_slice(&cross.own, (tokens, 1), device)?)),
        };
        Ok(Self { from_source, own, cross })
    }
}

/// Carries out an edit's plan, one step at a time.
#[derive(Debug)]
pub struct StepEditor {
    layout: Arc<RecordingLayout>,
    plan: Arc<EditPlan>,
    /// One entry a phase of the plan.
    injections: Vec<InjectionTensors>,
    /// The target's own maps of this step, where they are wanted.
    maps: Option<MapSum>,
    step: usize,
    attention: StepAttention,
    source: Arc<SourceContexts>,
}

impl StepEditor {
    /// An editor for `plan` over attention of this layout and of these prompts.
    pub fn new(
        plan: &Arc<EditPlan>,
        layout: &Arc<RecordingLayout>,
        source: &Arc<SourceContexts>,
        device: &Device,
    ) -> Result<Self> {
        let injections = plan.phases().iter().map(|&step| InjectionTensors::new(plan.cross(step), device));
        Ok(Self {
            layout: Arc::clone(layout),
            plan: Arc::clone(plan),
            injections: injections.collect::<Result<_>>()?,
            maps: None,
            step: 0,
            attention: StepAttention::default(),
            source: Arc::clone(source),
        })
    }

    /// Prepares a step; `attention` is what the source did there, `maps` whether the target's maps are wanted.
    pub fn begin(&mut self, step: usize, attention: StepAttention, maps: bool) {
        self.step = step;
        self.attention = attention;
        self.maps = maps.then(|| MapSum::new(&self.layout));
    }

    /// Lets go of what the source did at the step, which is over.
    pub fn end(&mut self) {
        self.attention = StepAttention::default();
    }

    fn attend(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        match call.site.kind {
            AttentionKind::CrossAttention => self.attend_to_text(call),
            AttentionKind::SelfAttention => self.attend_to_itself(call),
        }
    }

    fn attend_to_text(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        let injection = &self.injections[self.plan.phase(self.step)];
        let values = call.values()?;
        let mut attended: Option<Tensor> = None;
        if let Some(from_source) = &injection.from_source {
            let queries = layer(self.attention.cross.as_deref(), call)?;
            let keys = source_keys(&self.source.conditional, call)?;
            attended = Some(attend(queries, keys, &from_source.apply(&values)?)?);
        }
        if let Some(own) = &injection.own {
            let (queries, keys, values) = (call.queries()?, call.keys()?, own.apply(&values)?);
            let mine = match &mut self.maps {
                Some(maps) => maps.attend(&call.site, &queries, &keys, &values)?,
                None => attend(&queries, &keys, &values)?,
            };
            attended = Some(match attended {
                Some(from_source) => (from_source + mine)?,
                None => mine,
            });
        }
        match attended {
            Some(attended) => Ok(attended),
            // Every token's weight is zero: nothing is attended to.
            None => call.queries()?.zeros_like(),
        }
    }

    fn attend_to_itself(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        if !self.plan.injects_self(self.step) || !self.layout.records(&call.site) {
            return NoControl.attend(call);
        }
        let (queries, keys) = layer(self.attention.self_attention.as_deref(), call)?;
        attend(queries, keys, &call.values()?)
    }

    /// The target's maps of this step after injection, mean over layers and heads, `[positions * tokens]`: the
    /// probabilities are mixed as the values were. `source` holds the source's maps of the step.
    pub fn finish_maps(&mut self, source: &[f32]) -> Result<Vec<f32>> {
        let cross = &self.injections[self.plan.phase(self.step)].cross;
        let own = self.maps.as_mut().map(MapSum::finish).transpose()?.unwrap_or_default();
        Ok(mix_maps(source, &own, cross))
    }
}

fn layer<'a, T>(record: Option<&'a Vec<Option<T>>>, call: &AttentionCall<'_>) -> Result<&'a T> {
    let site = call.site.index;
    match record.and_then(|record| record.get(site)?.as_ref()) {
        Some(recorded) => Ok(recorded),
        None => candle_core::bail!("the recording holds nothing for attention layer {site}"),
    }
}

fn source_keys<'a>(context: &'a TextContext, call: &AttentionCall<'_>) -> Result<&'a Tensor> {
    match context.at(call.site.index) {
        Some(text) => Ok(&text.keys),
        None => candle_core::bail!("the source's prompt has no keys at attention layer {}", call.site.index),
    }
}

/// `Ps A + Pt B` for maps `[positions, tokens]`; an empty one counts as zero.
fn mix_maps(source: &[f32], own: &[f32], cross: &CrossInjection) -> Vec<f32> {
    let tokens = cross.own.len();
    let mut mixed = vec![0.0; source.len().max(own.len())];
    let columns = nonzero_columns(&cross.from_source);
    for (position, out) in mixed.chunks_exact_mut(tokens).enumerate() {
        let range = position * tokens..(position + 1) * tokens;
        if let Some(source) = source.get(range.clone()) {
            for &(from, to, weight) in &columns {
                out[to] += source[from] * weight;
            }
        }
        if let Some(own) = own.get(range) {
            for ((out, value), weight) in out.iter_mut().zip(own).zip(&cross.own) {
                *out += value * weight;
            }
        }
    }
    mixed
}

/// The entries of a matrix that are not zero: source token, target token, weight.
fn nonzero_columns(matrix: &TokenMatrix) -> Vec<(usize, usize, f32)> {
    let size = matrix.size();
    let entries = matrix.as_slice().iter().enumerate();
    entries.filter(|(_, weight)| **weight != 0.0).map(|(at, weight)| (at / size, at % size, *weight)).collect()
}
