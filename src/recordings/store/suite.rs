//! What every store must do. [`store_suite`] makes a test of each case for one implementation.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::View;

use crate::recordings::disk::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{Content, Listing, RecordingStore, StoreError, Tensors};
use crate::recordings::testing::{id, source};

/// Tests of an implementation: `open` gives an empty store, and the same one again each time it is called.
macro_rules! store_suite {
    ($name:ident, $open:expr) => {
        mod $name {
            use super::*;

            $crate::recordings::store::suite::store_suite! { @cases $open;
                an_empty_store_has_nothing_and_nothing_to_delete
                a_part_comes_back_to_the_last_bit
                sizes_are_known_before_anything_is_written
                a_part_that_is_written_again_is_replaced
                sessions_are_listed_and_found_with_their_parts
                a_session_is_listed_only_with_its_source
                parts_are_listed_only_with_the_trajectory
                touching_makes_a_session_the_last_used
                what_is_deleted_is_gone_and_the_rest_stays
                only_the_source_of_the_session_is_written
                tensors_without_a_stored_form_are_refused
                texts_that_are_no_ids_are_no_addresses
            }
        }
    };
    (@cases $open:expr; $($case:ident)*) => {
        $(#[test]
        fn $case() {
            let open = $open;
            $crate::recordings::store::suite::$case(&open);
        })*
    };
}
pub(crate) use store_suite;

type Open<'a> = &'a dyn Fn() -> Box<dyn RecordingStore>;

/// One tensor of every type, one without values, one without dimensions, one that is not contiguous.
pub(crate) fn tensors() -> Tensors {
    let cpu = &Device::Cpu;
    let values =
        Tensor::new(&[[1.5f32, -0.0, f32::NAN], [f32::INFINITY, f32::MIN_POSITIVE, 3.0e38]], cpu).expect("f32");
    let as_type = |dtype| values.to_dtype(dtype).expect("a type");
    vec![
        ("step.1.queries".to_owned(), as_type(DType::F16)),
        ("step.0.queries".to_owned(), as_type(DType::BF16)),
        ("image".to_owned(), Tensor::new(&[0u8, 1, 127, 128, 255], cpu).expect("u8")),
        ("latents".to_owned(), values.t().expect("a view")),
        ("scale".to_owned(), Tensor::new(0.25f32, cpu).expect("a scalar")),
        ("maps".to_owned(), Tensor::zeros((0, 77), DType::F32, cpu).expect("an empty tensor")),
        ("previews".to_owned(), Tensor::zeros((3, 0), DType::U8, cpu).expect("an empty tensor")),
        ("\u{e9}\"\\".to_owned(), values),
    ]
}

/// Tensors as they can be compared, to the last bit, in the order of their names.
pub(crate) fn bits(tensors: &[(String, Tensor)]) -> Vec<(String, DType, Vec<usize>, Vec<u8>)> {
    let of = |(name, tensor): &(String, Tensor)| {
        (name.clone(), tensor.dtype(), tensor.dims().to_vec(), tensor.data().into_owned())
    };
    let mut bits: Vec<_> = tensors.iter().map(of).collect();
    bits.sort_by(|a, b| a.0.cmp(&b.0));
    bits
}

fn put(store: &dyn RecordingStore, seed: u64, parts: &[Part]) {
    store.put(&id(seed), Content::Source(&source(seed))).expect("the source is written");
    for part in parts {
        store.put(&id(seed), Content::Part(*part, &tensors())).expect("the part is written");
    }
}

fn ids(listing: &Listing) -> Vec<SessionId> {
    listing.sessions.iter().map(|session| session.id.clone()).collect()
}

pub(crate) fn an_empty_store_has_nothing_and_nothing_to_delete(open: Open<'_>) {
    let store = open();
    assert_eq!(ids(&store.list().expect("listed")), []);
    assert_eq!(ids(&store.find(&id(1)).expect("found")), []);
    assert!(matches!(store.get(&id(1), Part::Trajectory), Err(StoreError::Missing)));
    assert!(matches!(store.touch(&id(1)), Err(StoreError::Missing)));
    store.delete_part(&id(1), Part::Trajectory).expect("nothing to do");
    store.delete(&id(1)).expect("nothing to do");
}

pub(crate) fn a_part_comes_back_to_the_last_bit(open: Open<'_>) {
    put(&*open(), 1, &[Part::cross(7)]);
    let read = open().get(&id(1), Part::cross(7)).expect("read");
    assert_eq!(bits(&read), bits(&tensors()));
    assert!(read.is_sorted_by_key(|(name, _)| name.clone()));
    assert!(read.iter().all(|(_, tensor)| tensor.device().is_cpu()));
}

pub(crate) fn sizes_are_known_before_anything_is_written(open: Open<'_>) {
    let store = open();
    let (source, tensors) = (source(1), tensors());
    for content in
        [Content::Source(&source), Content::Part(Part::Trajectory, &tensors), Content::Part(Part::cross(0), &[])]
    {
        let size = store.size(&id(1), content).expect("a size");
        assert_eq!(store.put(&id(1), content).expect("written"), size);
    }
}

pub(crate) fn a_part_that_is_written_again_is_replaced(open: Open<'_>) {
    let store = open();
    put(&*store, 1, &[Part::Trajectory]);
    store.put(&id(1), Content::Part(Part::Trajectory, &tensors()[..1])).expect("written");
    assert_eq!(bits(&store.get(&id(1), Part::Trajectory).expect("read")), bits(&tensors()[..1]));
}

pub(crate) fn sessions_are_listed_and_found_with_their_parts(open: Open<'_>) {
    let parts = [Part::Trajectory, Part::cross(0), Part::self_attention(1)];
    put(&*open(), 1, &parts);
    put(&*open(), 2, &[]);
    let store = open();
    let size = |content: Content<'_>| store.size(&id(1), content).expect("a size");
    let sizes: BTreeMap<_, _> = parts.iter().map(|part| (*part, size(Content::Part(*part, &tensors())))).collect();
    let listed = store.list().expect("listed");
    assert_eq!((listed.sessions.len(), listed.refused.len(), listed.is_partial), (2, 0, false));
    for (seed, sizes) in [(1, sizes), (2, BTreeMap::new())] {
        let found = store.find(&id(seed)).expect("found").sessions;
        assert_eq!(found, listed.sessions.iter().filter(|listed| listed.id == id(seed)).cloned().collect::<Vec<_>>());
        assert_eq!((&found[0].source, &found[0].parts), (&*source(seed), &sizes));
        assert_eq!(found[0].source_bytes, store.size(&id(seed), Content::Source(&source(seed))).expect("a size"));
    }
}

pub(crate) fn a_session_is_listed_only_with_its_source(open: Open<'_>) {
    let store = open();
    store.put(&id(1), Content::Part(Part::Trajectory, &tensors())).expect("written");
    assert_eq!(ids(&store.find(&id(1)).expect("found")), []);
    assert_eq!(ids(&store.list().expect("listed")), []);
}

pub(crate) fn parts_are_listed_only_with_the_trajectory(open: Open<'_>) {
    let store = open();
    put(&*store, 1, &[Part::Trajectory, Part::cross(0)]);
    store.delete_part(&id(1), Part::Trajectory).expect("deleted");
    let listed = store.list().expect("listed");
    assert_eq!((listed.sessions.len(), listed.sessions[0].parts.len()), (1, 0));
}

pub(crate) fn touching_makes_a_session_the_last_used(open: Open<'_>) {
    let store = open();
    let order = || ids(&store.list().expect("listed"));
    // Clocks of file systems are coarse: touched until a later time is noted.
    let until_last = |seed: u64| {
        for _ in 0..10_000 {
            store.touch(&id(seed)).expect("touched");
            let listed = store.list().expect("listed");
            if listed.sessions.windows(2).all(|pair| pair[0].last_used < pair[1].last_used)
                && order().last() == Some(&id(seed))
            {
                return;
            }
        }
        panic!("{seed} never becomes the last used");
    };
    put(&*store, 1, &[]);
    put(&*store, 2, &[]);
    until_last(1);
    assert_eq!(order(), [id(2), id(1)], "the longest unused first");
    until_last(2);
    assert_eq!(order(), [id(1), id(2)]);
}

pub(crate) fn what_is_deleted_is_gone_and_the_rest_stays(open: Open<'_>) {
    let store = open();
    put(&*store, 1, &[Part::Trajectory, Part::cross(0), Part::cross(1)]);
    put(&*store, 2, &[Part::Trajectory]);
    store.delete_part(&id(1), Part::cross(0)).expect("deleted");
    assert!(matches!(store.get(&id(1), Part::cross(0)), Err(StoreError::Missing)));
    assert_eq!(bits(&store.get(&id(1), Part::cross(1)).expect("read")), bits(&tensors()));
    store.delete(&id(1)).expect("deleted");
    assert!(matches!(store.get(&id(1), Part::cross(1)), Err(StoreError::Missing)));
    assert_eq!(ids(&store.list().expect("listed")), [id(2)]);
    assert_eq!(bits(&store.get(&id(2), Part::Trajectory).expect("read")), bits(&tensors()));
    put(&*store, 1, &[Part::Trajectory]);
    assert_eq!(bits(&store.get(&id(1), Part::Trajectory).expect("read")), bits(&tensors()), "written anew");
}

pub(crate) fn only_the_source_of_the_session_is_written(open: Open<'_>) {
    let store = open();
    let error = store.put(&id(1), Content::Source(&source(2))).expect_err("another source");
    assert!(matches!(error, StoreError::Unwritable(_)), "{error}");
    assert_eq!(ids(&store.list().expect("listed")), []);
}

pub(crate) fn tensors_without_a_stored_form_are_refused(open: Open<'_>) {
    let store = open();
    let of = |name: &str, dtype| (name.to_owned(), Tensor::zeros(1, dtype, &Device::Cpu).expect("a tensor"));
    for tensors in [vec![of("a", DType::F64)], vec![of("a", DType::U8), of("a", DType::F32)]] {
        let content = Content::Part(Part::Trajectory, &tensors);
        assert!(matches!(store.size(&id(1), content), Err(StoreError::Unwritable(_))));
        assert!(matches!(store.put(&id(1), content), Err(StoreError::Unwritable(_))));
        assert!(matches!(store.get(&id(1), Part::Trajectory), Err(StoreError::Missing)));
    }
}

pub(crate) fn texts_that_are_no_ids_are_no_addresses(open: Open<'_>) {
    let store = open();
    for text in ["", "ses_", "../outside", "ses_\0"] {
        let id = SessionId::from_client(text);
        let results = [
            store.find(&id).map(drop),
            store.get(&id, Part::Trajectory).map(drop),
            store.put(&id, Content::Part(Part::Trajectory, &[])).map(drop),
            store.delete_part(&id, Part::Trajectory),
            store.delete(&id),
            store.touch(&id),
        ];
        for result in results {
            assert!(matches!(result, Err(StoreError::NotAnAddress(_))), "{text:?}: {result:?}");
        }
    }
}

mod tests {
    use crate::recordings::disk::Folder;
    use crate::recordings::store::RecordingStore;
    use crate::recordings::store::in_memory::InMemory;
    use crate::recordings::testing::MODEL;

    store_suite!(in_memory, {
        let store = InMemory::default();
        move || Box::new(store.clone()) as Box<dyn RecordingStore>
    });

    store_suite!(folder, {
        let dir = tempfile::tempdir().expect("a temporary folder");
        move || Box::new(Folder::open(dir.path(), MODEL).expect("opened")) as Box<dyn RecordingStore>
    });
}
