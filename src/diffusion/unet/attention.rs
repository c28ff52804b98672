//! Attention that its caller can take over: every layer of the UNet asks an [`AttentionControl`] how a row attends.
//!
//! This is the one place where editing meets the model. The control is handed an [`AttentionCall`] that computes
//! the row's own queries, keys and values when they are asked for, so that work that an edit replaces is not done.

use candle_core::{D, Result, Tensor};
use candle_nn::ops::softmax_last_dim;

use crate::diffusion::error::ModelError;
use crate::diffusion::nn::Linear;
use crate::diffusion::weights::Scope;

/// What a layer attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttentionKind {
    /// The image's own positions.
    SelfAttention,
    /// The tokens of the prompt.
    CrossAttention,
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

/// Decides how each row of a batch attends at each layer.
pub trait AttentionControl: std::fmt::Debug {
    /// The attended values of one row at one layer, `[heads, positions, head_dim]`.
    fn attend(&mut self, call: &AttentionCall<'_>) -> Result<Tensor>;
}

/// Leaves every row to itself: plain generation.
#[derive(Debug, Clone, Copy)]
pub struct NoControl;

impl AttentionControl for NoControl {
    fn attend(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        attend(&call.queries()?, &call.keys()?, &call.values()?)
    }
}

/// A control over rows of a batch that is taken in parts: the first row of the part is row `first` of the batch.
#[derive(Debug)]
pub(super) struct PartOfBatch<'a> {
    pub control: &'a mut dyn AttentionControl,
    pub first: usize,
}

impl AttentionControl for PartOfBatch<'_> {
    fn attend(&mut self, call: &AttentionCall<'_>) -> Result<Tensor> {
        self.control.attend(&AttentionCall { row: self.first + call.row, ..*call })
    }
}

/// Keys and values of one prompt at one cross-attention layer; the same at every step.
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// `[heads, tokens, head_dim]`.
    pub keys: Tensor,
    /// `[heads, tokens, head_dim]`.
    pub values: Tensor,
}

/// One row at one attention layer. Nothing is computed before it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct AttentionCall<'a> {
    /// The layer.
    pub site: AttentionSite,
    /// The row's place in the batch.
    pub row: usize,
    layer: &'a Attention,
    /// `[positions, channels]`.
    hidden: &'a Tensor,
    /// The prompt's keys and values; `None` in self-attention.
    text: Option<&'a KeyValue>,
}

impl AttentionCall<'_> {
    /// The row's own queries, `[heads, positions, head_dim]`.
    pub fn queries(&self) -> Result<Tensor> {
        self.layer.split_heads(&self.layer.to_q.forward(self.hidden)?)
    }

    /// The row's own keys, `[heads, tokens or positions, head_dim]`.
    pub fn keys(&self) -> Result<Tensor> {
        match self.text {
            Some(text) => Ok(text.keys.clone()),
            None => self.layer.split_heads(&self.layer.to_k.forward(self.hidden)?),
        }
    }

    /// The row's own values, `[heads, tokens or positions, head_dim]`.
    pub fn values(&self) -> Result<Tensor> {
        match self.text {
            Some(text) => Ok(text.values.clone()),
            None => self.layer.split_heads(&self.layer.to_v.forward(self.hidden)?),
        }
    }
}

/// Score matrices larger than this many numbers are computed in blocks of queries, to bound the memory of a row.
const BLOCK_SCORES: usize = 1 << 24;

/// `softmax(Q K^T / sqrt(head_dim)) V`: `[heads, positions, head_dim]`.
pub fn attend(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let (heads, positions, _) = queries.dims3()?;
    let block = (BLOCK_SCORES / (heads * keys.dim(1)?)).max(1);
    if block >= positions {
        return attention_probabilities(queries, keys)?.matmul(values);
    }
    let blocks: Result<Vec<_>> = (0..positions)
        .step_by(block)
        .map(|start| {
            let some = queries.narrow(1, start, block.min(positions - start))?;
            attention_probabilities(&some.contiguous()?, keys)?.matmul(values)
        })
        .collect();
    Tensor::cat(&blocks?, 1)
}

/// `softmax(Q K^T / sqrt(head_dim))`: `[heads, positions, tokens]`, each row summing to one.
pub fn attention_probabilities(queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
    let scale = 1.0 / (queries.dim(D::Minus1)? as f64).sqrt();
    softmax_last_dim(&(queries * scale)?.matmul(&keys.transpose(1, 2)?)?)
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

    /// The layer as it stands on a map of `height` x `width` positions.
    pub fn site(&self, height: usize, width: usize) -> AttentionSite {
        AttentionSite { index: self.index, kind: self.kind, height, width, heads: self.heads, head_dim: self.head_dim }
    }

    /// Keys and values of text embeddings `[tokens, text_width]`.
    pub fn key_value(&self, text: &Tensor) -> Result<KeyValue> {
        Ok(KeyValue {
            keys: self.split_heads(&self.to_k.forward(text)?)?,
            values: self.split_heads(&self.to_v.forward(text)?)?,
        })
    }

    /// `hidden` `[rows, positions, channels]` on a map of `height` x `width`; `text` holds each row's keys and values
    /// in cross-attention.
    pub fn forward(
        &self,
        hidden: &Tensor,
        (height, width): (usize, usize),
        text: Option<&[&KeyValue]>,
        control: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let rows = hidden.dim(0)?;
        let mut attended = Vec::with_capacity(rows);
        for row in 0..rows {
            let call = AttentionCall {
                site: self.site(height, width),
                row,
                layer: self,
                hidden: &hidden.get(row)?,
                text: text.map(|text| text[row]),
            };
            attended.push(self.merge_heads(&control.attend(&call)?)?);
        }
        self.to_out.forward(&Tensor::stack(&attended, 0)?)
    }

    /// `[n, channels] -> [heads, n, head_dim]`.
    fn split_heads(&self, x: &Tensor) -> Result<Tensor> {
        x.reshape(((), self.heads, self.head_dim))?.transpose(0, 1)?.contiguous()
    }

    /// `[heads, n, head_dim] -> [n, channels]`.
    fn merge_heads(&self, x: &Tensor) -> Result<Tensor> {
        x.transpose(0, 1)?.reshape(((), self.heads * self.head_dim))
    }
}
