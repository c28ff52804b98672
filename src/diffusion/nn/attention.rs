//! `softmax(Q K^T / sqrt(head_dim)) V` for some rows of a batch, each a sum of terms, on any device.

use std::sync::Arc;

#[cfg(not(feature = "cuda"))]
use candle_core::D;
use candle_core::{DType, Result, Tensor};
#[cfg(not(feature = "cuda"))]
use candle_nn::ops::softmax_last_dim;

use crate::diffusion::nn::Compute;
use crate::kernels::attention as kernel;
use crate::kernels::buffer::as_slice;

/// Keys of one row, as attention reads them.
#[derive(Debug, Clone)]
pub enum Keys {
    /// On the CPU.
    Packed(Arc<kernel::Keys>),
    /// Elsewhere: `[tokens, channels]`.
    Tensor(Tensor),
}

/// Values of one row, as attention reads them.
#[derive(Debug, Clone)]
pub enum Values {
    /// On the CPU.
    Packed(Arc<kernel::Values>),
    /// Elsewhere: `[tokens, channels]`.
    Tensor(Tensor),
}

impl Keys {
    /// Keys `[tokens, channels]`.
    pub fn new(keys: &Tensor, heads: usize) -> Result<Self> {
        if !keys.device().is_cpu() {
            return Ok(Self::Tensor(keys.clone()));
        }
        Ok(Self::Packed(Arc::new(kernel::Keys::new(&as_slice(keys)?, keys.dim(0)?, heads))))
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Packed(keys) => keys.bytes(),
            Self::Tensor(keys) => tensor_bytes(keys),
        }
    }
}

impl Values {
    /// Values `[tokens, channels]`.
    pub fn new(values: &Tensor, heads: usize) -> Result<Self> {
        if !values.device().is_cpu() {
            return Ok(Self::Tensor(values.clone()));
        }
        Ok(Self::Packed(Arc::new(kernel::Values::new(&as_slice(values)?, values.dim(0)?, heads))))
    }

    /// Multiplied from the left by a matrix `[tokens, tokens]`.
    pub fn mixed(&self, matrix: &[f32]) -> Result<Self> {
        Ok(match self {
            Self::Packed(values) => Self::Packed(Arc::new(values.mixed(matrix))),
            Self::Tensor(values) => {
                let tokens = values.dim(0)?;
                let matrix = Tensor::from_slice(matrix, (tokens, tokens), values.device())?;
                Self::Tensor(matrix.to_dtype(values.dtype())?.matmul(values)?)
            }
        })
    }

    /// Each token's multiplied by a factor.
    pub fn scaled(&self, factors: &[f32]) -> Result<Self> {
        Ok(match self {
            Self::Packed(values) => Self::Packed(Arc::new(values.scaled(factors))),
            Self::Tensor(values) => {
                let factors = Tensor::from_slice(factors, (factors.len(), 1), values.device())?;
                Self::Tensor(values.broadcast_mul(&factors.to_dtype(values.dtype())?)?)
            }
        })
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Packed(values) => values.bytes(),
            Self::Tensor(values) => tensor_bytes(values),
        }
    }
}

/// Bytes of keys and values of `tokens`.
pub fn key_value_bytes(tokens: usize, heads: usize, head_dim: usize, compute: &Compute) -> u64 {
    if compute.device.is_cpu() {
        return kernel::Keys::bytes_of(tokens, heads, head_dim) + kernel::Values::bytes_of(tokens, heads, head_dim);
    }
    (2 * tokens * heads * head_dim * compute.dtype.size_in_bytes()) as u64
}

/// One attention of a row.
#[derive(Debug, Clone)]
pub struct Term {
    /// `[positions, channels]`
    pub queries: Tensor,
    /// Of the tokens that are attended to.
    pub keys: Keys,
    /// Of the same tokens.
    pub values: Values,
}

/// How a row attends.
#[derive(Debug, Clone, Default)]
pub struct RowTerms {
    /// What is added up.
    pub terms: Vec<Term>,
    /// Whether the last term's probabilities are wanted.
    pub wants_map: bool,
}

/// What came out of [`attend`].
#[derive(Debug)]
pub struct Attended {
    /// `[rows, positions, channels]`
    pub values: Tensor,
    /// By row, where it was wanted: the last term's probabilities summed over heads, `[positions, tokens]` of f32.
    pub maps: Vec<Option<Tensor>>,
}

/// Attends for every row; `like` is `[rows, positions, channels]`.
pub fn attend(rows: &[RowTerms], heads: usize, like: &Tensor) -> Result<Attended> {
    if like.device().is_cpu() { attend_packed(rows, heads, like) } else { attend_tensors(rows, heads, like) }
}

fn attend_packed(rows: &[RowTerms], heads: usize, like: &Tensor) -> Result<Attended> {
    let (_, positions, channels) = like.dims3()?;
    let mut queries = Vec::new();
    for row in rows {
        queries.push(row.terms.iter().map(|term| as_slice(&term.queries)).collect::<Result<Vec<_>>>()?);
    }
    let mut maps: Vec<Option<(Vec<f32>, usize)>> = Vec::new();
    let mut terms = Vec::new();
    for (row, queries) in rows.iter().zip(&queries) {
        let mut of_row = Vec::with_capacity(row.terms.len());
        for (term, queries) in row.terms.iter().zip(queries) {
            let (Keys::Packed(keys), Values::Packed(values)) = (&term.keys, &term.values) else {
                candle_core::bail!("expected keys and values on the CPU");
            };
            of_row.push(kernel::Term { queries, keys, values });
        }
        let tokens = of_row.last().filter(|_| row.wants_map).map(|term| term.keys.tokens());
        maps.push(tokens.map(|tokens| (vec![0.0; positions * tokens], tokens)));
        terms.push(of_row);
    }
    let with_maps = terms.into_iter().zip(&mut maps);
    let kernel_rows = with_maps
        .map(|(terms, map)| kernel::Row { terms, map: map.as_mut().map(|(map, _)| map.as_mut_slice()) })
        .collect();
    let heads = kernel::Heads { count: heads, channels, positions, is_causal: false };
    let values =
        Tensor::from_vec(kernel::attend(kernel_rows, heads), (rows.len(), positions, channels), like.device())?;
    let maps = maps
        .into_iter()
        .map(|map| map.map(|(map, tokens)| Tensor::from_vec(map, (positions, tokens), like.device())).transpose());
    Ok(Attended { values, maps: maps.collect::<Result<_>>()? })
}

fn attend_tensors(rows: &[RowTerms], heads: usize, like: &Tensor) -> Result<Attended> {
    let (mut values, mut maps) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        let (mut sum, mut map) = (None, None);
        for (index, term) in row.terms.iter().enumerate() {
            let wants_map = row.wants_map && index + 1 == row.terms.len();
            let (attended, found) = attend_term(term, heads, sum.as_ref(), wants_map)?;
            (sum, map) = (Some(attended), found);
        }
        values.push(match sum {
            Some(sum) => sum,
            None => like.get(0)?.zeros_like()?,
        });
        maps.push(map);
    }
    Ok(Attended { values: Tensor::stack(&values, 0)?, maps })
}

/// One term, added to those before, and its map; fused, so that no map is in memory that is not wanted.
#[cfg(feature = "cuda")]
fn attend_term(term: &Term, heads: usize, sum: Option<&Tensor>, wants_map: bool) -> Result<(Tensor, Option<Tensor>)> {
    let (Keys::Tensor(keys), Values::Tensor(values)) = (&term.keys, &term.values) else {
        candle_core::bail!("expected keys and values on one device");
    };
    let shape = (term.queries.dim(0)?, keys.dim(0)?);
    let map = wants_map.then(|| Tensor::zeros(shape, DType::F32, term.queries.device())).transpose()?;
    crate::kernels::cuda::attend(&term.queries, keys, values, heads, sum, map.as_ref())
}

/// Score matrices larger than this many numbers are computed in blocks of queries, to bound the memory of a row.
#[cfg(not(feature = "cuda"))]
const BLOCK_SCORES: usize = 1 << 24;

/// One term, added to those before, and its map, by candle's operations.
#[cfg(not(feature = "cuda"))]
fn attend_term(term: &Term, heads: usize, sum: Option<&Tensor>, wants_map: bool) -> Result<(Tensor, Option<Tensor>)> {
    let (Keys::Tensor(keys), Values::Tensor(values)) = (&term.keys, &term.values) else {
        candle_core::bail!("expected keys and values on one device");
    };
    let split = |x: &Tensor| x.reshape((x.dim(0)?, heads, ()))?.transpose(0, 1)?.contiguous();
    let (queries, keys, values) = (split(&term.queries)?, split(keys)?, split(values)?);
    let (_, positions, head_dim) = queries.dims3()?;
    let queries = (queries * (1.0 / (head_dim as f64).sqrt()))?;
    let keys = keys.transpose(1, 2)?;
    let block = (BLOCK_SCORES / (heads * keys.dim(2)?)).clamp(1, positions);
    let (mut attended, mut map) = (Vec::new(), Vec::new());
    for start in (0..positions).step_by(block) {
        let some = queries.narrow(1, start, block.min(positions - start))?.contiguous()?;
        let probabilities = softmax_last_dim(&some.matmul(&keys)?)?;
        attended.push(probabilities.matmul(&values)?);
        if wants_map {
            map.push(probabilities.to_dtype(DType::F32)?.sum(0)?);
        }
    }
    let attended = Tensor::cat(&attended, 1)?.transpose(0, 1)?.flatten_from(D::Minus2)?.contiguous()?;
    let attended = sum.map_or_else(|| Ok(attended.clone()), |sum| sum + &attended)?;
    Ok((attended, wants_map.then(|| Tensor::cat(&map, 0)).transpose()?))
}

/// Bytes that a tensor's values take.
pub fn tensor_bytes(tensor: &Tensor) -> u64 {
    (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64
}
