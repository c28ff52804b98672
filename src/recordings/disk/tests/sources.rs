//! Sources as files: every number comes back to the last bit, and the session's id is what they are verified with.

use std::path::Path;

use proptest::prelude::*;

use crate::recordings::disk::source_file;
use crate::recordings::disk::tests::{MODEL, OTHER_MODEL, id, source};
use crate::recordings::store::{FileFault, StoreError};
use crate::recordings::{Origin, SessionId, Source};

fn read(text: &[u8], id: &SessionId) -> Result<Source, StoreError> {
    source_file::read(text, Path::new("source.json"), MODEL, id)
}

fn fault(result: Result<Source, StoreError>) -> FileFault {
    match result {
        Err(error) if error.is_refusal() => error.fault().expect("a fault"),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

proptest! {
    #[test]
    fn every_source_comes_back_to_the_last_bit(
        prompt: String,
        negative_prompt: String,
        seed: u64,
        steps: usize,
        guidance in any::<f64>().prop_filter("finite", |scale| scale.is_finite()),
        width: usize,
        height: usize,
    ) {
        let new = Source::new(prompt, Origin::Seed(seed), steps, (width, height));
        let source = Source { negative_prompt, guidance_scale: guidance, ..new };
        let read = read(source_file::text(&source, MODEL).as_bytes(), &source.session_id(MODEL)).expect("read");
        prop_assert_eq!(read.guidance_scale.to_bits(), source.guidance_scale.to_bits());
        prop_assert_eq!(read, source);
    }
}

#[test]
fn the_ends_of_the_numbers_come_back() {
    for guidance_scale in [0.0, -0.0, 0.1 + 0.2, 5e-324, f64::MAX, -f64::MIN_POSITIVE] {
        let source = Source { guidance_scale, ..source(u64::MAX) };
        let read = read(source_file::text(&source, MODEL).as_bytes(), &source.session_id(MODEL)).expect("read");
        assert_eq!((read.guidance_scale.to_bits(), read.seed()), (guidance_scale.to_bits(), u64::MAX));
    }
}

#[test]
fn a_source_with_any_byte_changed_is_refused_or_still_the_same() {
    let whole = source_file::text(&source(1), MODEL).into_bytes();
    for position in 0..whole.len() {
        for flip in 1..=u8::MAX {
            let mut text = whole.clone();
            text[position] ^= flip;
            match read(&text, &id(1)) {
                Err(error) if error.is_refusal() => {}
                Err(error) => panic!("byte {position}: {error}"),
                Ok(found) => assert_eq!(found, source(1), "byte {position}, {flip:#x}"),
            }
        }
    }
}

#[test]
fn a_source_that_is_cut_anywhere_is_truncated() {
    let whole = source_file::text(&source(1), MODEL);
    for length in 0..whole.len() {
        assert_eq!(fault(read(&whole.as_bytes()[..length], &id(1))), FileFault::Truncated, "{length} bytes");
    }
}

#[test]
fn a_source_of_another_model_session_or_version_is_foreign() {
    let text = source_file::text(&source(1), MODEL);
    assert_eq!(fault(read(text.as_bytes(), &id(2))), FileFault::Foreign);
    assert_eq!(fault(read(source_file::text(&source(1), OTHER_MODEL).as_bytes(), &id(1))), FileFault::Foreign);
    let next = text.replace(r#""version":3"#, r#""version":4,"adapters":[]"#);
    assert_eq!(fault(read(next.as_bytes(), &id(1))), FileFault::Foreign);
    let sampler = text.replace(r#""ddim""#, r#""from_a_later_version""#);
    assert_eq!(fault(read(sampler.as_bytes(), &id(1))), FileFault::Foreign);
}

#[test]
fn a_source_with_what_this_version_does_not_know_is_damaged() {
    let text = source_file::text(&source(1), MODEL);
    let more = text.replace(r#""version":3"#, r#""version":3,"adapters":[]"#);
    assert_eq!(fault(read(more.as_bytes(), &id(1))), FileFault::Damaged);
    let not_a_number = text.replace(r#""7.5""#, r#""seven""#);
    assert_eq!(fault(read(not_a_number.as_bytes(), &id(1))), FileFault::Damaged);
    let endless = std::io::Read::chain(text.as_bytes(), std::io::repeat(b' '));
    assert_eq!(fault(source_file::read(endless, Path::new("source.json"), MODEL, &id(1))), FileFault::Damaged);
}
