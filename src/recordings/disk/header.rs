//! The header of a part's file: the address of the part, the offsets of its tensors, and its checksum.
//!
//! The format is safetensors: eight bytes of length, a JSON object padded to a multiple of eight bytes, then the
//! tensors' bytes without gaps. `__metadata__` names the version of this format, the model, the session, the part, and
//! a BLAKE3 checksum of all of that and of every tensor's name, type, shape and bytes, each with its length.
//!
//! There is one order of tensors (wider types first, so that all are aligned, then by name), so the offsets of each
//! follow from the names, types and shapes alone: a header that says otherwise is refused, and the length of a file is
//! known before it is written.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use safetensors::tensor::{Dtype, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::recordings::SessionId;
use crate::recordings::part::Part;
use crate::recordings::store::StoreError;

/// The version of the files of tensors: of their format, of what they hold, and of the arithmetic behind it. Files of
/// another version are foreign. The source's file has a version of its own. 2: queries and keys by position.
pub(crate) const VERSION: u32 = 2;
/// Bytes that say how long the header is.
pub(crate) const PREFIX_BYTES: usize = 8;
/// Longer headers are neither written nor read: those of a hundred thousand tensors are shorter.
pub(crate) const MAX_HEADER_BYTES: usize = 16 << 20;

const METADATA: &str = "__metadata__";
const CHECKSUM: &str = "checksum";
const CHECKSUM_CONTEXT: &str = "reprompt recording file, version 1";

/// The name, type and shape of a tensor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorForm<'a> {
    /// Its name, unique in its file.
    pub name: &'a str,
    /// f32, f16, bf16 or u8.
    pub dtype: DType,
    /// Its shape.
    pub shape: &'a [usize],
}

impl<'a> TensorForm<'a> {
    /// The form of a tensor.
    pub fn of(name: &'a str, tensor: &'a Tensor) -> Self {
        Self { name, dtype: tensor.dtype(), shape: tensor.dims() }
    }
}

/// The address of a file, written into its header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) fingerprint: &'a str,
    pub(crate) session: &'a SessionId,
    pub(crate) part: Part,
}

impl Owner<'_> {
    fn metadata(&self) -> [(&'static str, String); 4] {
        [
            ("version", VERSION.to_string()),
            ("fingerprint", self.fingerprint.to_owned()),
            ("session", self.session.to_string()),
            ("part", self.part.to_string()),
        ]
    }
}

/// A header without its checksum.
#[derive(Debug)]
pub(crate) struct Header {
    metadata: BTreeMap<String, String>,
    /// In the order of their bytes.
    tensors: Vec<(String, TensorInfo)>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, &'a TensorInfo>,
}

#[derive(Deserialize)]
struct Read {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

impl Header {
    /// The header of a file to be written.
    pub(crate) fn new(owner: &Owner<'_>, forms: &[TensorForm<'_>]) -> Result<Self, StoreError> {
        let unwritable = |name: &str, detail: &str| StoreError::Unwritable(format!("tensor `{name}` {detail}"));
        let mut tensors = BTreeMap::new();
        for &TensorForm { name, dtype, shape } in forms {
            let dtype = stored(dtype)
                .ok_or_else(|| unwritable(name, &format!("is {}; expected f32, f16, bf16 or u8", dtype.as_str())))?;
            if name == METADATA || tensors.insert(name.to_owned(), (dtype, shape.to_vec())).is_some() {
                return Err(unwritable(name, "shares its name with another"));
            }
        }
        let tensors = laid_out(tensors).map_err(|name| unwritable(&name, "is too large"))?;
        let metadata = owner.metadata().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Ok(Self { metadata, tensors })
    }

    /// A header as it was read, without the eight bytes before it, and the checksum that it claims.
    pub(crate) fn parse(json: &[u8], owner: &Owner<'_>) -> Result<(Self, String), StoreError> {
        let Read { mut metadata, tensors: claimed } =
            serde_json::from_slice(json).map_err(|error| StoreError::Damaged(format!("header: {error}")))?;
        for (key, wanted) in owner.metadata() {
            match metadata.get(key) {
                Some(found) if *found == wanted => {}
                Some(found) => return Err(StoreError::Foreign(format!("expected {key} `{wanted}`, got `{found}`"))),
                None => return Err(StoreError::Damaged(format!("header: no `{key}`"))),
            }
        }
        let checksum =
            metadata.remove(CHECKSUM).ok_or_else(|| StoreError::Damaged("header: no checksum".to_owned()))?;
        if let Some((name, info)) = claimed.iter().find(|(_, info)| loaded(info.dtype).is_none()) {
            return Err(StoreError::Damaged(format!("header: tensor `{name}` is {}", info.dtype)));
        }
        let forms = claimed.iter().map(|(name, info)| (name.clone(), (info.dtype, info.shape.clone()))).collect();
        let tensors =
            laid_out(forms).map_err(|name| StoreError::Damaged(format!("header: tensor `{name}` is too large")))?;
        for (name, info) in &tensors {
            if claimed.get(name).is_none_or(|claimed| claimed.data_offsets != info.data_offsets) {
                return Err(StoreError::Damaged(format!("header: tensor `{name}` has wrong offsets")));
            }
        }
        Ok((Self { metadata, tensors }, checksum))
    }

    /// The bytes before the tensors: length, JSON, padding. Their number does not depend on the checksum.
    pub(crate) fn encode(&self, checksum: &blake3::Hash) -> Result<Vec<u8>, StoreError> {
        let checksum = checksum.to_hex();
        let mut metadata: BTreeMap<_, _> = self.metadata.iter().map(|(key, value)| (&**key, &**value)).collect();
        metadata.insert(CHECKSUM, checksum.as_str());
        let tensors = self.tensors.iter().map(|(name, info)| (&**name, info)).collect();
        let json = serde_json::to_vec(&Written { metadata, tensors })
            .map_err(|error| StoreError::Unwritable(format!("header: {error}")))?;
        let length = json.len().next_multiple_of(PREFIX_BYTES);
        if length > MAX_HEADER_BYTES {
            return Err(StoreError::Unwritable(format!("the header is longer than {MAX_HEADER_BYTES} bytes")));
        }
        let mut bytes = (length as u64).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.resize(PREFIX_BYTES + length, b' ');
        Ok(bytes)
    }

    /// Bytes of the whole file.
    pub(crate) fn file_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.encode(&Self::no_checksum())?.len() as u64 + self.data_bytes())
    }

    /// Bytes of all tensors.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.tensors.last().map_or(0, |(_, info)| info.data_offsets.1 as u64)
    }

    /// Keeps the bytes of the checksum until it is known.
    pub(crate) fn no_checksum() -> blake3::Hash {
        blake3::Hash::from_bytes([0; blake3::OUT_LEN])
    }

    /// The tensors in the order of their bytes.
    pub(crate) fn tensors(&self) -> &[(String, TensorInfo)] {
        &self.tensors
    }

    /// The checksum's beginning; [`checksum_tensor`] adds each tensor in turn.
    pub(crate) fn checksum_begin(&self) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key(CHECKSUM_CONTEXT);
        hasher.update(&(self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            checksum_part(&mut hasher, key.as_bytes());
            checksum_part(&mut hasher, value.as_bytes());
        }
        hasher.update(&(self.tensors.len() as u64).to_le_bytes());
        hasher
    }
}

/// Adds a tensor to the checksum.
pub(crate) fn checksum_tensor(hasher: &mut blake3::Hasher, name: &str, info: &TensorInfo, bytes: &[u8]) {
    checksum_part(hasher, name.as_bytes());
    checksum_part(hasher, info.dtype.to_string().as_bytes());
    hasher.update(&(info.shape.len() as u64).to_le_bytes());
    for &size in &info.shape {
        hasher.update(&(size as u64).to_le_bytes());
    }
    checksum_part(hasher, bytes);
}

fn checksum_part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
}

/// The one order of tensors and the offsets of each; an error names a tensor whose offsets overflow.
fn laid_out(forms: BTreeMap<String, (Dtype, Vec<usize>)>) -> Result<Vec<(String, TensorInfo)>, String> {
    let mut forms: Vec<_> = forms.into_iter().collect();
    // The sort is stable: names stay in order within a type.
    forms.sort_by_key(|(_, (dtype, _))| Reverse(*dtype));
    let mut begin = 0;
    let mut tensors = Vec::with_capacity(forms.len());
    for (name, (dtype, shape)) in forms {
        let Some(end) = tensor_bytes(dtype, &shape).and_then(|bytes| bytes.checked_add(begin)) else {
            return Err(name);
        };
        tensors.push((name, TensorInfo { dtype, shape, data_offsets: (begin, end) }));
        begin = end;
    }
    Ok(tensors)
}

fn tensor_bytes(dtype: Dtype, shape: &[usize]) -> Option<usize> {
    // Strides are products of sizes too, and are computed even where another size is zero.
    let values = shape.iter().try_fold(1usize, |values, &size| values.checked_mul(size.max(1)))?;
    let bytes = values.checked_mul(dtype.bitsize() / 8)?;
    // No allocation is larger.
    isize::try_from(bytes).ok()?;
    Some(if shape.contains(&0) { 0 } else { bytes })
}

fn stored(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F32 => Some(Dtype::F32),
        DType::F16 => Some(Dtype::F16),
        DType::BF16 => Some(Dtype::BF16),
        DType::U8 => Some(Dtype::U8),
        _ => None,
    }
}

/// The type in memory; `None` for types that are not written.
pub(crate) fn loaded(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        Dtype::U8 => Some(DType::U8),
        _ => None,
    }
}
