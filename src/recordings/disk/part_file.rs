//! Writing parts to files and reading them. Everything that a header claims is checked against the file's length before
//! it is used, and no tensor is returned before the checksum of all of them is verified.

use std::collections::BTreeMap;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use candle_core::{Device, Tensor};
use safetensors::tensor::View;

use crate::recordings::disk::header::{
    Header, MAX_HEADER_BYTES, Owner, PREFIX_BYTES, TensorForm, checksum_tensor, loaded,
};
use crate::recordings::store::StoreError;

/// Writes a part to an empty file and returns its length. Each tensor's bytes are copied once, one tensor at a time.
pub(crate) fn write(
    file: &mut (impl Write + Seek),
    path: &Path,
    owner: &Owner<'_>,
    tensors: &[(String, Tensor)],
) -> Result<u64, StoreError> {
    let forms: Vec<_> = tensors.iter().map(|(name, tensor)| TensorForm::of(name, tensor)).collect();
    if let Some((name, _)) = tensors.iter().find(|(_, tensor)| !tensor.device().is_cpu()) {
        return Err(StoreError::Unwritable(format!(
            "tensor `{name}` is on a device; expected it in the memory of the host"
        )));
    }
    let header = Header::new(owner, &forms)?;
    let by_name: BTreeMap<_, _> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();

    // The checksum is known when everything is written; until then zeros take its bytes.
    let unsealed = header.encode(&Header::no_checksum())?;
    let io = || StoreError::io(path);
    let mut out = BufWriter::new(file);
    out.write_all(&unsealed).map_err(io())?;
    let mut hasher = header.checksum_begin();
    for (name, info) in header.tensors() {
        let Some(tensor) = by_name.get(name.as_str()) else { continue };
        let bytes = tensor.data();
        checksum_tensor(&mut hasher, name, info, &bytes);
        out.write_all(&bytes).map_err(io())?;
    }
    out.seek(SeekFrom::Start(0)).map_err(io())?;
    out.write_all(&header.encode(&hasher.finalize())?).map_err(io())?;
    out.flush().map_err(io())?;
    Ok(unsealed.len() as u64 + header.data_bytes())
}

/// Reads the header of a file of `file_bytes`, and no more; everything but the tensors' bytes is verified.
pub(crate) fn check(file: impl Read, file_bytes: u64, path: &Path, owner: &Owner<'_>) -> Result<(), StoreError> {
    read_header(&mut BufReader::new(file), file_bytes, path, owner).map(drop)
}

/// Reads and verifies a part from a file of `file_bytes`; tensors come in the order of their names.
pub(crate) fn read(
    file: impl Read,
    file_bytes: u64,
    path: &Path,
    owner: &Owner<'_>,
) -> Result<Vec<(String, Tensor)>, StoreError> {
    let mut file = BufReader::new(file);
    let (header, claimed) = read_header(&mut file, file_bytes, path, owner)?;
    let mut hasher = header.checksum_begin();
    let mut tensors = Vec::with_capacity(header.tensors().len());
    // Reused, so that its pages are faulted in only once. Reads longer than the buffer of `file` bypass that buffer.
    let mut buffer = Vec::new();
    for (name, info) in header.tensors() {
        let length = info.data_offsets.1 - info.data_offsets.0;
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let bytes = &mut buffer[..length];
        file.read_exact(bytes).map_err(reading(path))?;
        checksum_tensor(&mut hasher, name, info, bytes);
        let tensor = loaded(info.dtype)
            .ok_or_else(|| StoreError::Damaged(format!("tensor `{name}` is {}", info.dtype)))
            .and_then(|dtype| {
                Tensor::from_raw_buffer(bytes, dtype, &info.shape, &Device::Cpu)
                    .map_err(|error| StoreError::Damaged(format!("tensor `{name}`: {error}")))
            })?;
        tensors.push((name.clone(), tensor));
    }
    if hasher.finalize().to_hex().as_str() != claimed {
        return Err(StoreError::Damaged("wrong checksum".to_owned()));
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(tensors)
}

fn read_header(
    file: &mut impl Read,
    file_bytes: u64,
    path: &Path,
    owner: &Owner<'_>,
) -> Result<(Header, String), StoreError> {
    let Some(behind_prefix) = file_bytes.checked_sub(PREFIX_BYTES as u64) else {
        return Err(StoreError::Truncated(format!("expected a header, got {file_bytes} bytes")));
    };
    let mut prefix = [0; PREFIX_BYTES];
    file.read_exact(&mut prefix).map_err(reading(path))?;
    let length = u64::from_le_bytes(prefix);
    let header_bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if header_bytes > MAX_HEADER_BYTES {
        return Err(StoreError::Damaged(format!(
            "expected a header of at most {MAX_HEADER_BYTES} bytes, got {length}"
        )));
    }
    let Some(data_bytes) = behind_prefix.checked_sub(length) else {
        return Err(StoreError::Truncated(format!("expected a header of {length} bytes, got {behind_prefix}")));
    };
    let mut json = vec![0; header_bytes];
    file.read_exact(&mut json).map_err(reading(path))?;
    let (header, checksum) = Header::parse(&json, owner)?;
    let wanted = header.data_bytes();
    if data_bytes < wanted {
        return Err(StoreError::Truncated(format!("expected {wanted} bytes of tensors, got {data_bytes}")));
    }
    if data_bytes > wanted {
        return Err(StoreError::Damaged(format!("expected {wanted} bytes of tensors, got {data_bytes}")));
    }
    Ok((header, checksum))
}

/// A file that ends while it is read was cut after its length was read.
fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    |error| match error.kind() {
        ErrorKind::UnexpectedEof => StoreError::Truncated("the file ended while it was read".to_owned()),
        _ => StoreError::io(path)(error),
    }
}
