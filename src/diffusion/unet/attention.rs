//! Attention that a caller can control: every layer of the UNet asks an [`AttentionControl`] how each row attends.
//!
//! This is the one place where editing meets the model. The control answers with a [`RowPlan`] before anything is
//! computed: a sum of terms whose queries, keys and values are the row's own or given. Then what all rows
//! need is computed together, and nothing that no term reads.

use std::sync::Mutex;

use candle_core::{Result, Tensor};

use crate::diffusion::conditioning::KeyValue;
use crate::diffusion::error::ModelError;
use crate::diffusion::nn::{Keys, Linear, RowTerms, Term, Values, attend};
use crate::diffusion::weights::Scope;
use crate::sync::lock;

/// What a layer attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttentionKind {
    /// The tokens of the prompt.
    CrossAttention,
    /// The image's own positions.
    SelfAttention,
}

/// One attention layer at one image size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionSite {
    /// The layer's place in the order in which the UNet runs them; self- and cross-attention are counted together.
    pub index: usize,
    /// What it attends to.
    pub kind: AttentionKind,
    /// Rows of the map of positions.
    pub height: usize,
    /// Columns of the map of positions.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels of one head.
    pub head_dim: usize,
}

impl AttentionSite {
    /// Image positions that attend.
    pub fn positions(&self) -> usize {
        self.height * self.width
    }
}

/// One row at one attention layer.
#[derive(Debug, Clone, Copy)]
pub struct AttentionRow<'a> {
    /// The layer.
    pub site: AttentionSite,
    /// The row's place in the batch.
    pub row: usize,
    /// The prompt's keys and values; `None` in self-attention.
    pub text: Option<&'a KeyValue>,
}

/// How a row attends.
#[derive(Debug, Clone, Default)]
pub struct RowPlan {
    /// What is added up; nothing: the row attends to nothing.
    pub terms: Vec<PlannedTerm>,
    /// Whether the row's own queries are handed to [`AttentionControl::take`].
    pub wants_queries: bool,
    /// Whether its own keys are; in self-attention.
    pub wants_keys: bool,
    /// Whether the last term's map is.
    pub wants_map: bool,
}

impl RowPlan {
    /// The row attends to itself, or to its own prompt.
    pub fn own() -> Self {
        Self { terms: vec![PlannedTerm::default()], ..Self::default() }
    }
}

/// A term of a plan; what is not given is the row's own.
#[derive(Debug, Clone, Default)]
pub struct PlannedTerm {
    /// `[positions, channels]`
    pub queries: Option<Tensor>,
    /// Of the tokens, or of the positions in self-attention.
    pub keys: Option<Keys>,
    /// Of the same.
    pub values: Option<Values>,
}

/// What is handed to the control after a layer: what the row's plan asked for.
#[derive(Debug, Default)]
pub struct Captured {
    /// `[positions, channels]`
    pub queries: Option<Tensor>,
    /// `[positions, channels]`
    pub keys: Option<Tensor>,
    /// Probabilities summed over heads, `[positions, tokens]`.
    pub map: Option<Tensor>,
}

/// Decides how each row of a batch attends at each layer. Rows go through the network on different threads, so calls
/// about one row come in the order of the layers, and between them calls about others.
pub trait AttentionControl: std::fmt::Debug + Send {
    /// How a row attends, asked of every row of a layer before anything is computed there.
    fn plan(&mut self, row: &AttentionRow<'_>) -> Result<RowPlan>;

    /// Takes what a row's plan asked for.
    fn take(&mut self, row: &AttentionRow<'_>, captured: Captured) -> Result<()>;
}

/// Leaves every row to itself: plain generation.
#[derive(Debug, Clone, Copy)]
pub struct NoControl;

impl AttentionControl for NoControl {
    fn plan(&mut self, _: &AttentionRow<'_>) -> Result<RowPlan> {
        Ok(RowPlan::own())
    }

    fn take(&mut self, _: &AttentionRow<'_>, _: Captured) -> Result<()> {
        Ok(())
    }
}

/// A control over rows of a batch that is taken in parts: the first row of the part is row `first` of the batch.
#[derive(Debug)]
pub(crate) struct PartOfBatch<'a> {
    pub control: &'a mut dyn AttentionControl,
    pub first: usize,
}

impl AttentionControl for PartOfBatch<'_> {
    fn plan(&mut self, row: &AttentionRow<'_>) -> Result<RowPlan> {
        self.control.plan(&AttentionRow { row: self.first + row.row, ..*row })
    }

    fn take(&mut self, row: &AttentionRow<'_>, captured: Captured) -> Result<()> {
        self.control.take(&AttentionRow { row: self.first + row.row, ..*row }, captured)
    }
}

/// A control that several threads ask in turn.
#[derive(Debug)]
pub(crate) struct AskedInTurn<'a, 'b>(pub &'a Mutex<&'b mut dyn AttentionControl>);

impl AttentionControl for AskedInTurn<'_, '_> {
    fn plan(&mut self, row: &AttentionRow<'_>) -> Result<RowPlan> {
        lock(self.0).plan(row)
    }

    fn take(&mut self, row: &AttentionRow<'_>, captured: Captured) -> Result<()> {
        lock(self.0).take(row, captured)
    }
}

/// An attention layer: projections to queries, keys and values, and back.
#[derive(Debug)]
pub struct Attention {
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: usize,
    head_dim: usize,
    index: usize,
    kind: AttentionKind,
}

impl Attention {
    /// Loads a layer of `channels` that attends to itself, or to text embeddings of width `text_width`.
    pub fn load(
        scope: &Scope<'_>,
        index: usize,
        channels: usize,
        heads: usize,
        text_width: Option<usize>,
    ) -> std::result::Result<Self, ModelError> {
        let context = text_width.unwrap_or(channels);
        Ok(Self {
            to_q: Linear::load_without_bias(&scope.at("to_q"), channels, channels)?,
            to_k: Linear::load_without_bias(&scope.at("to_k"), context, channels)?,
            to_v: Linear::load_without_bias(&scope.at("to_v"), context, channels)?,
            to_out: Linear::load(&scope.at("to_out.0"), channels, channels)?,
            heads,
            head_dim: channels / heads,
            index,
            kind: match text_width {
                Some(_) => AttentionKind::CrossAttention,
                None => AttentionKind::SelfAttention,
            },
        })
    }

    /// The layer at a map of `height` x `width` positions.
    pub fn site(&self, height: usize, width: usize) -> AttentionSite {
        AttentionSite { index: self.index, kind: self.kind, height, width, heads: self.heads, head_dim: self.head_dim }
    }

    /// Keys and values of text embeddings `[tokens, text_width]`.
    pub fn key_value(&self, text: &Tensor) -> Result<KeyValue> {
        Ok(KeyValue {
            keys: Keys::new(&self.to_k.forward(text)?, self.heads)?,
            values: Values::new(&self.to_v.forward(text)?, self.heads)?,
        })
    }

    /// `hidden` `[rows, positions, channels]` on a map of `height` x `width`; `text` holds each row's keys and values
    /// in cross-attention. `residual` is added.
    pub fn forward(
        &self,
        hidden: &Tensor,
        (height, width): (usize, usize),
        text: Option<&[&KeyValue]>,
        control: &mut dyn AttentionControl,
        residual: &Tensor,
    ) -> Result<Tensor> {
        let site = self.site(height, width);
        let row_of = |row: usize| AttentionRow { site, row, text: text.and_then(|text| text.get(row).copied()) };
        let plans = (0..hidden.dim(0)?).map(|row| control.plan(&row_of(row))).collect::<Result<Vec<_>>>()?;
        let mut own = self.project(hidden, &plans)?;
        let mut rows = Vec::with_capacity(plans.len());
        for (row, plan) in plans.iter().enumerate() {
            rows.push(self.terms(plan, &own[row], text.and_then(|text| text.get(row).copied()))?);
        }
        let attended = attend(&rows, self.heads, hidden)?;
        for (row, (plan, map)) in plans.iter().zip(attended.maps).enumerate() {
            if plan.wants_queries || plan.wants_keys || plan.wants_map {
                let own = std::mem::take(&mut own[row]);
                let queries = own.queries.filter(|_| plan.wants_queries);
                control.take(&row_of(row), Captured { queries, keys: own.keys.filter(|_| plan.wants_keys), map })?;
            }
        }
        self.to_out.forward_added(&attended.values, residual)
    }

    /// What the plans need of each row's own, in one go.
    fn project(&self, hidden: &Tensor, plans: &[RowPlan]) -> Result<Vec<Own>> {
        let attends_to_itself = self.kind == AttentionKind::SelfAttention;
        let (mut inputs, mut places) = (Vec::new(), Vec::new());
        for (row, plan) in plans.iter().enumerate() {
            let misses = |is_missing: fn(&PlannedTerm) -> bool| plan.terms.iter().any(is_missing);
            let needed = [
                (plan.wants_queries || misses(|term| term.queries.is_none()), &self.to_q),
                (attends_to_itself && (plan.wants_keys || misses(|term| term.keys.is_none())), &self.to_k),
                (attends_to_itself && misses(|term| term.values.is_none()), &self.to_v),
            ];
            let hidden = hidden.get(row)?;
            for (which, (_, layer)) in needed.into_iter().enumerate().filter(|(_, (is_needed, _))| *is_needed) {
                inputs.push((layer, hidden.clone()));
                places.push((row, which));
            }
        }
        let mut own: Vec<Own> = plans.iter().map(|_| Own::default()).collect();
        for ((row, which), projected) in places.into_iter().zip(Linear::forward_all(&inputs)?) {
            let own = &mut own[row];
            *[&mut own.queries, &mut own.keys, &mut own.values][which] = Some(projected);
        }
        Ok(own)
    }

    /// A plan's terms, with the row's own in its gaps.
    fn terms(&self, plan: &RowPlan, own: &Own, text: Option<&KeyValue>) -> Result<RowTerms> {
        let missing = || candle_core::Error::msg(format!("attention layer {} lacks what its plan needs", self.index));
        let own_keys = match (&own.keys, text) {
            (_, Some(text)) => Some(text.keys.clone()),
            (Some(keys), None) if plan.terms.iter().any(|term| term.keys.is_none()) => {
                Some(Keys::new(keys, self.heads)?)
            }
            _ => None,
        };
        let own_values = match (&own.values, text) {
            (_, Some(text)) => Some(text.values.clone()),
            (Some(values), None) => Some(Values::new(values, self.heads)?),
            _ => None,
        };
        let terms = plan.terms.iter().map(|term| {
            Ok(Term {
                queries: term.queries.clone().or_else(|| own.queries.clone()).ok_or_else(missing)?,
                keys: term.keys.clone().or_else(|| own_keys.clone()).ok_or_else(missing)?,
                values: term.values.clone().or_else(|| own_values.clone()).ok_or_else(missing)?,
            })
        });
        Ok(RowTerms { terms: terms.collect::<Result<_>>()?, wants_map: plan.wants_map })
    }
}

/// A row's own projections, `[positions, channels]`, as far as they are needed.
#[derive(Debug, Default)]
struct Own {
    queries: Option<Tensor>,
    keys: Option<Tensor>,
    values: Option<Tensor>,
}
