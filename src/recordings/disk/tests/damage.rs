//! Damaged files are refused with the right error, and never cause a panic.

use std::io::Cursor;
use std::path::Path;

use candle_core::Tensor;

use crate::recordings::SessionId;
use crate::recordings::disk::header::Owner;
use crate::recordings::disk::part_file;
use crate::recordings::disk::tests::{MODEL, OTHER_MODEL, bits, id, tensors};
use crate::recordings::part::Part;
use crate::recordings::store::{FileFault, StoreError};

fn owner(id: &SessionId) -> Owner<'_> {
    Owner { fingerprint: MODEL, session: id, part: Part::cross(3) }
}

fn written(owner: &Owner<'_>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    part_file::write(&mut bytes, Path::new("part"), owner, &tensors()).expect("written");
    bytes.into_inner()
}

fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>, StoreError> {
    part_file::read(bytes, bytes.len() as u64, Path::new("part"), &owner(&id(1)))
}

/// What a look at the header alone says.
fn check(bytes: &[u8]) -> Result<(), StoreError> {
    part_file::check(bytes, bytes.len() as u64, Path::new("part"), &owner(&id(1)))
}

fn fault<T>(result: Result<T, StoreError>) -> Option<FileFault> {
    match result {
        Err(error) if error.is_refusal() => error.fault(),
        Err(error) => panic!("expected a refusal, got: {error}"),
        Ok(_) => None,
    }
}

/// A file with this JSON as its header.
fn with_header(json: &[u8], data: &[u8]) -> Vec<u8> {
    [&(json.len() as u64).to_le_bytes(), json, data].concat()
}

/// A header with the metadata of the right owner.
fn with_tensors(tensors: &str, data: &[u8]) -> Vec<u8> {
    let metadata = format!(
        r#"{{"version":"2","fingerprint":"{MODEL}","session":"{}","part":"cross-003.safetensors","checksum":"{}"}}"#,
        id(1),
        "0".repeat(64)
    );
    with_header(format!(r#"{{"__metadata__":{metadata},{tensors}}}"#).as_bytes(), data)
}

#[test]
fn every_byte_counts_but_the_padding_of_the_header() {
    let whole = written(&owner(&id(1)));
    let header_end = 8 + u64::from_le_bytes(whole[..8].try_into().expect("eight bytes")) as usize;
    let padding = whole[..header_end].iter().rev().take_while(|byte| **byte == b' ').count();
    let wanted = bits(&read(&whole).expect("an undamaged file"));
    for position in 0..whole.len() {
        for flip in 1..=u8::MAX {
            let mut bytes = whole.clone();
            bytes[position] ^= flip;
            match read(&bytes) {
                Err(error) if error.is_refusal() => {}
                Err(error) => panic!("byte {position}: {error}"),
                Ok(found) => {
                    assert!((header_end - padding..header_end).contains(&position), "byte {position}, {flip:#x}");
                    assert_eq!(bits(&found), wanted, "byte {position}, {flip:#x}");
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_by_its_header_and_length_alone() {
    let whole = written(&owner(&id(1)));
    for length in 0..whole.len() {
        assert_eq!(fault(check(&whole[..length])), Some(FileFault::Truncated), "{length} bytes");
        assert_eq!(fault(read(&whole[..length])), Some(FileFault::Truncated), "{length} bytes");
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_truncated() {
    let whole = written(&owner(&id(1)));
    let cut = &whole[..whole.len() - 1];
    let read = part_file::read(cut, whole.len() as u64, Path::new("part"), &owner(&id(1)));
    assert_eq!(fault(read), Some(FileFault::Truncated));
}

#[test]
fn a_file_with_bytes_behind_its_tensors_is_damaged() {
    let mut longer = written(&owner(&id(1)));
    longer.push(0);
    assert_eq!(fault(check(&longer)), Some(FileFault::Damaged));
    assert_eq!(fault(read(&longer)), Some(FileFault::Damaged));
}

#[test]
fn a_file_of_another_model_session_part_or_version_is_foreign() {
    let (this, another) = (id(1), id(2));
    let owners = [
        Owner { fingerprint: OTHER_MODEL, ..owner(&this) },
        owner(&another),
        Owner { part: Part::self_attention(3), ..owner(&this) },
        Owner { part: Part::cross(4), ..owner(&this) },
    ];
    let mut files: Vec<_> = owners.iter().map(written).collect();
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let next_version = text(&written(&owner(&this))).replace(r#""version":"2""#, r#""version":"3""#);
    files.push(next_version.chars().map(|char| char as u8).collect());
    for bytes in files {
        assert_eq!(fault(check(&bytes)), Some(FileFault::Foreign), "{}", text(&bytes[..300]));
        assert_eq!(fault(read(&bytes)), Some(FileFault::Foreign), "{}", text(&bytes[..300]));
    }
}

#[test]
fn a_length_that_a_file_cannot_have_is_refused_before_anything_is_allocated() {
    let damaged = [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 32, (16 << 20) + 1];
    for length in damaged {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        assert_eq!(fault(read(&bytes)), Some(FileFault::Damaged), "{length}");
    }
    let bytes = [&(16u64 << 20).to_le_bytes()[..], b"{}"].concat();
    assert_eq!(fault(read(&bytes)), Some(FileFault::Truncated));
}

#[test]
fn what_is_no_header_is_damaged() {
    let nested = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let headers: [&[u8]; 9] = [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\xff\xfe\xfd",
        b"{\"__metadata__\":{}}",
        b"{\"__metadata__\":{\"version\":1}}",
        b"{\"__metadata__\":{\"\xff\":\"\"}}",
        &nested,
    ];
    for header in headers {
        assert_eq!(fault(check(&with_header(header, b""))), Some(FileFault::Damaged), "{header:?}");
    }
}

#[test]
fn tensors_that_cannot_be_are_damaged_even_where_their_lengths_overflow() {
    let none = r#""a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#;
    assert_eq!(fault(check(&with_tensors(none, b"ab"))), None, "the header that the others differ from");
    assert_eq!(fault(read(&with_tensors(none, b"ab"))), Some(FileFault::Damaged), "its checksum");
    for tensors in [
        r#""a":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}"#,
        r#""a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}"#,
        r#""a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}"#,
        r#""a":{"dtype":"U8","shape":[2],"data_offsets":[-2,0]}"#,
        r#""a":{"dtype":"U8","shape":[2],"data_offsets":[0,18446744073709551618]}"#,
        r#""a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,2]}"#,
        r#""a":{"dtype":"I8","shape":[2],"data_offsets":[0,2]}"#,
        r#""a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}"#,
        r#""a":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}"#,
        r#""a":{"dtype":"X9","shape":[2],"data_offsets":[0,2]}"#,
        r#""a":{"dtype":"F32","shape":[9223372036854775808,2],"data_offsets":[0,0]}"#,
        r#""a":{"dtype":"F32","shape":[0,9223372036854775808,2],"data_offsets":[0,0]}"#,
        r#""a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,9223372036854775808]}"#,
        r#""a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#,
        r#""b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}"#,
    ] {
        assert_eq!(fault(check(&with_tensors(tensors, b"ab"))), Some(FileFault::Damaged), "{tensors}");
    }
    let huge = r#""a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}"#;
    assert_eq!(fault(read(&with_tensors(huge, b"ab"))), Some(FileFault::Truncated));
}
