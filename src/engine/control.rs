//! Controlled attention: what the conditional row of a source records, and what the conditional row of an edit takes
//! from the recording.
//!
//! An edit's cross-attention is `SDPA(Qs, Ks, A Vt) + SDPA(Qt, Kt, B Vt)` with the token-axis matrices A and B of its
//! plan; if a term is zero, its queries and probabilities are not computed. Unconditional rows attend freely.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use crate::diffusion::Conditioning;
use crate::diffusion::KeyValue;
use crate::diffusion::nn::{Keys, Values};
use crate::diffusion::unet::{
    AttentionControl, AttentionKind, AttentionRow, AttentionSite, Captured, PlannedTerm, RowPlan,
};
use crate::p2p::{CrossInjection, EditPlan, TokenMatrix};
use crate::recordings::{
    GroupRecord, GroupSet, LayerRecord, RecordingLayout, SiteGroup, SourceContexts, StepAttention,
};

/// How each row of a batch attends.
#[derive(Debug)]
pub struct BatchControl<'a> {
    rows: Vec<RowControl<'a>>,
}

/// How one row attends.
#[derive(Debug)]
pub enum RowControl<'a> {
    /// Without control: the unconditional row of every run.
    Free,
    /// Without control, while queries, keys and maps are recorded: the conditional row of a source or of a replay.
    Record(&'a mut StepRecorder),
    /// By the plan of an edit: the conditional row of an edit.
    Edit(&'a mut StepEditor),
}

impl<'a> BatchControl<'a> {
    /// One entry a row, in the batch's order.
    pub fn new(rows: Vec<RowControl<'a>>) -> Self {
        Self { rows }
    }
}

impl AttentionControl for BatchControl<'_> {
    fn plan(&mut self, row: &AttentionRow<'_>) -> Result<RowPlan> {
        match self.rows.get_mut(row.row) {
            Some(RowControl::Record(recorder)) => Ok(recorder.plan(&row.site)),
            Some(RowControl::Edit(editor)) => editor.plan(row),
            Some(RowControl::Free) => Ok(RowPlan::own()),
            None => candle_core::bail!("row {} has no attention control", row.row),
        }
    }

    fn take(&mut self, row: &AttentionRow<'_>, captured: Captured) -> Result<()> {
        match self.rows.get_mut(row.row) {
            Some(RowControl::Record(recorder)) => recorder.take(&row.site, captured),
            Some(RowControl::Edit(editor)) => editor.take(captured),
            Some(RowControl::Free) | None => Ok(()),
        }
    }
}

/// Sums attention maps over layers and heads, for the mean that local blend reads.
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

    /// Whether a layer's map belongs to the sum.
    fn wants(&self, site: &AttentionSite) -> bool {
        self.layout.is_blend_site(site)
    }

    /// Adds a layer's map, `[positions, tokens]`, summed over heads.
    fn add(&mut self, map: Tensor) -> Result<()> {
        self.sum = Some(match self.sum.take() {
            Some(sum) => (sum + map)?,
            None => map,
        });
        Ok(())
    }

    /// The mean, `[positions * tokens]`; empty if nothing was added.
    fn finish(&mut self) -> Result<Vec<f32>> {
        match self.sum.take() {
            Some(sum) => (sum / self.layout.blend_maps() as f64)?.flatten_all()?.to_vec1(),
            None => Ok(Vec::new()),
        }
    }
}

/// Records the attention of a source's steps.
#[derive(Debug)]
pub struct StepRecorder {
    layout: Arc<RecordingLayout>,
    /// `None` if maps are not wanted.
    maps: Option<MapSum>,
    /// The groups that are wanted of the step, and their layers so far.
    groups: BTreeMap<SiteGroup, GroupRecord>,
}

impl StepRecorder {
    /// A recorder for the layers of `layout`.
    pub fn new(layout: &Arc<RecordingLayout>) -> Self {
        Self { layout: Arc::clone(layout), maps: None, groups: BTreeMap::new() }
    }

    /// Prepares a step: the groups `needs` are recorded and, if `maps`, the mean maps. Discards what a failed step has
    /// left.
    pub fn begin(&mut self, needs: GroupSet, maps: bool) {
        self.maps = maps.then(|| MapSum::new(&self.layout));
        self.groups = needs.iter().map(|group| (group, GroupRecord::new())).collect();
    }

    fn plan(&self, site: &AttentionSite) -> RowPlan {
        let keeps = self.keeps(site);
        RowPlan {
            wants_queries: keeps,
            wants_keys: keeps && site.kind == AttentionKind::SelfAttention,
            wants_map: self.maps.as_ref().is_some_and(|maps| maps.wants(site)),
            ..RowPlan::own()
        }
    }

    fn keeps(&self, site: &AttentionSite) -> bool {
        self.layout.group_of(site).is_some_and(|group| self.groups.contains_key(&group))
    }

    fn take(&mut self, site: &AttentionSite, captured: Captured) -> Result<()> {
        if let (Some(maps), Some(map)) = (&mut self.maps, captured.map) {
            maps.add(map)?;
        }
        let group = self.layout.group_of(site).and_then(|group| self.groups.get_mut(&group));
        if let (Some(group), Some(queries)) = (group, captured.queries) {
            group.insert(site.index, LayerRecord { queries, keys: captured.keys });
        }
        Ok(())
    }

    /// The recorded attention of the step and its mean maps, which are empty if they were not wanted.
    pub fn finish(&mut self) -> Result<(StepAttention, Arc<[f32]>)> {
        let maps = self.maps.as_mut().map(MapSum::finish).transpose()?.unwrap_or_default();
        Ok((std::mem::take(&mut self.groups).into_iter().collect(), maps.into()))
    }
}

/// The target's values at one layer, mixed for one phase of the plan.
#[derive(Debug)]
struct InjectedValues {
    phase: usize,
    /// `A Vt`; `None` if A is zero.
    from_source: Option<Values>,
    /// `B Vt`; `None` if B is zero.
    own: Option<Values>,
}

impl InjectedValues {
    fn new(phase: usize, cross: &CrossInjection, text: &KeyValue) -> Result<Self> {
        let from_source = match cross.uses_source() {
            false => None,
            true if cross.source_is_identity() => Some(text.values.clone()),
            true => Some(text.values.mixed(cross.from_source.as_slice())?),
        };
        let own = match cross.uses_own() {
            false => None,
            true if cross.own.iter().all(|&factor| factor == 1.0) => Some(text.values.clone()),
            true => Some(text.values.scaled(&cross.own)?),
        };
        Ok(Self { phase, from_source, own })
    }
}

/// Carries out an edit's plan, one step at a time.
#[derive(Debug)]
pub struct StepEditor {
    layout: Arc<RecordingLayout>,
    plan: Arc<EditPlan>,
    /// One entry per phase of the plan.
    injections: Vec<CrossInjection>,
    /// By layer, for the phase in which the layer last ran.
    values: Vec<Option<InjectedValues>>,
    /// The target's own maps of this step, if they are wanted.
    maps: Option<MapSum>,
    step: usize,
    attention: StepAttention,
    source: Arc<SourceContexts>,
}

impl StepEditor {
    /// An editor for `plan` over attention of this layout and of these prompts.
    pub fn new(plan: &Arc<EditPlan>, layout: &Arc<RecordingLayout>, source: &Arc<SourceContexts>) -> Self {
        Self {
            layout: Arc::clone(layout),
            plan: Arc::clone(plan),
            injections: plan.phases().iter().map(|&step| plan.cross(step)).collect(),
            values: (0..layout.layers()).map(|_| None).collect(),
            maps: None,
            step: 0,
            attention: StepAttention::default(),
            source: Arc::clone(source),
        }
    }

    /// Prepares a step with the source's `attention` at it; `maps` says whether the target's maps are wanted.
    pub fn begin(&mut self, step: usize, attention: StepAttention, maps: bool) {
        self.step = step;
        self.attention = attention;
        self.maps = maps.then(|| MapSum::new(&self.layout));
    }

    /// Drops the source's attention of the step that is done.
    pub fn end(&mut self) {
        self.attention = StepAttention::default();
    }

    fn plan(&mut self, row: &AttentionRow<'_>) -> Result<RowPlan> {
        match row.site.kind {
            AttentionKind::CrossAttention => self.plan_cross(row),
            AttentionKind::SelfAttention => self.plan_self(&row.site),
        }
    }

    fn plan_cross(&mut self, row: &AttentionRow<'_>) -> Result<RowPlan> {
        let (site, phase) = (&row.site, self.plan.phase(self.step));
        let Some(text) = row.text else {
            candle_core::bail!("cross-attention without a prompt at layer {}", site.index);
        };
        let values = match self.values.get_mut(site.index) {
            Some(cached) => match cached.take().filter(|values| values.phase == phase) {
                Some(same_phase) => cached.insert(same_phase),
                None => cached.insert(InjectedValues::new(phase, &self.injections[phase], text)?),
            },
            None => candle_core::bail!("the recording has no attention layer {}", site.index),
        };
        let mut terms = Vec::with_capacity(2);
        if let Some(values) = &values.from_source {
            terms.push(PlannedTerm {
                queries: Some(source_layer(&self.attention, &self.layout, site)?.queries.clone()),
                keys: Some(source_keys(self.source.conditional(), site)?.clone()),
                values: Some(values.clone()),
            });
        }
        let mut wants_map = false;
        if let Some(values) = &values.own {
            terms.push(PlannedTerm { values: Some(values.clone()), ..PlannedTerm::default() });
            wants_map = self.maps.as_ref().is_some_and(|maps| maps.wants(site));
        }
        Ok(RowPlan { terms, wants_map, ..RowPlan::default() })
    }

    fn plan_self(&self, site: &AttentionSite) -> Result<RowPlan> {
        if !self.plan.injects_self(self.step) || !self.layout.records(site) {
            return Ok(RowPlan::own());
        }
        let LayerRecord { queries, keys: Some(keys) } = source_layer(&self.attention, &self.layout, site)? else {
            candle_core::bail!("the recording has no keys of self-attention layer {}", site.index);
        };
        let (queries, keys) = (Some(queries.clone()), Some(Keys::new(keys, site.heads)?));
        Ok(RowPlan { terms: vec![PlannedTerm { queries, keys, values: None }], ..RowPlan::default() })
    }

    fn take(&mut self, captured: Captured) -> Result<()> {
        match (&mut self.maps, captured.map) {
            (Some(maps), Some(map)) => maps.add(map),
            _ => Ok(()),
        }
    }

    /// The target's maps of this step after injection, mean over layers and heads, `[positions * tokens]`: the
    /// probabilities are mixed as the values were. `source` holds the source's maps of the step.
    pub fn finish_maps(&mut self, source: &[f32]) -> Result<Vec<f32>> {
        let cross = &self.injections[self.plan.phase(self.step)];
        let own = self.maps.as_mut().map(MapSum::finish).transpose()?.unwrap_or_default();
        Ok(mix_maps(source, &own, cross))
    }
}

/// The source's recorded attention at a layer.
fn source_layer<'a>(
    attention: &'a StepAttention,
    layout: &RecordingLayout,
    site: &AttentionSite,
) -> Result<&'a LayerRecord> {
    match layout.group_of(site).and_then(|group| attention.layer(group, site.index)) {
        Some(recorded) => Ok(recorded),
        None => candle_core::bail!("the recording has nothing for attention layer {}", site.index),
    }
}

fn source_keys<'a>(source: &'a Conditioning, site: &AttentionSite) -> Result<&'a Keys> {
    match source.context.at(site.index) {
        Some(text) => Ok(&text.keys),
        None => candle_core::bail!("the source's prompt has no keys at attention layer {}", site.index),
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
