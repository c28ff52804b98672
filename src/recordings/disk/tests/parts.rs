//! Parts as files: everything comes back to the last bit, and the length of a file is known before it is written.

use std::fs;

use candle_core::{DType, Device, Tensor};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use crate::recordings::disk::Part;
use crate::recordings::disk::header::{Header, Owner, TensorForm};
use crate::recordings::disk::tests::{MODEL, bits, file, id, open, temp_dir, tensors};
use crate::recordings::store::{Content, RecordingStore, StoreError};

#[test]
fn a_part_is_the_same_file_in_whatever_order_its_tensors_are_given() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let bytes_of = |tensors: &[_]| {
        folder.put(&id(1), Content::Part(Part::Trajectory, tensors)).expect("written");
        fs::read(file(&dir, 1, "trajectory.safetensors")).expect("bytes")
    };
    let mut reversed = tensors();
    reversed.reverse();
    assert_eq!(bytes_of(&tensors()), bytes_of(&reversed));
}

#[test]
fn other_readers_of_safetensors_find_every_tensor_aligned() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    folder.put(&id(1), Content::Part(Part::Trajectory, &tensors())).expect("written");
    let bytes = fs::read(file(&dir, 1, "trajectory.safetensors")).expect("bytes");
    let read = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    assert_eq!(read.len(), tensors().len());
    for (name, view) in read.tensors() {
        let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset * 8 % view.dtype().bitsize(), 0, "{name}");
    }
    let metadata = safetensors::SafeTensors::read_metadata(&bytes).expect("a header").1;
    let metadata = metadata.metadata().clone().expect("metadata");
    assert_eq!(metadata["session"], id(1).as_str());
    assert_eq!(metadata["part"], "trajectory.safetensors");
}

#[test]
fn what_has_no_form_in_a_file_is_not_written() {
    let dir = temp_dir();
    let (folder, _) = open(&dir);
    let of = |name: &str, dtype| (name.to_owned(), Tensor::zeros(1, dtype, &Device::Cpu).expect("a tensor"));
    let cases = [
        (vec![of("a", DType::F64)], "tensor `a` is f64; expected f32, f16, bf16 or u8"),
        (vec![of("a", DType::U8), of("a", DType::F32)], "tensor `a` shares its name with another"),
        (vec![of("__metadata__", DType::U8)], "tensor `__metadata__` shares its name with another"),
        (vec![of(&"a".repeat(16 << 20), DType::U8)], "the header is longer than 16777216 bytes"),
    ];
    for (tensors, detail) in cases {
        let content = Content::Part(Part::Trajectory, &tensors);
        let size = folder.size(&id(1), content).expect_err("no length");
        let written = folder.put(&id(1), content).expect_err("not written");
        for error in [size, written] {
            assert!(matches!(&error, StoreError::Unwritable(said) if said == detail), "{error}");
        }
        assert!(matches!(folder.get(&id(1), Part::Trajectory), Err(StoreError::Missing)));
    }
    let owner = Owner { fingerprint: MODEL, session: &id(1), part: Part::Trajectory };
    let form = TensorForm { name: "a", dtype: DType::U8, shape: &[usize::MAX, 2] };
    let error = Header::new(&owner, &[form]).expect_err("no length");
    assert_eq!(error.to_string(), "cannot be written: tensor `a` is too large");
}

fn forms() -> impl Strategy<Value = Vec<(String, DType, Vec<usize>)>> {
    let dtype = select(&[DType::F32, DType::F16, DType::BF16, DType::U8][..]);
    let tensors = btree_map(any::<String>(), (dtype, vec(0usize..12, 0..5)), 0..12);
    tensors.prop_map(|tensors| tensors.into_iter().map(|(name, (dtype, shape))| (name, dtype, shape)).collect())
}

fn part() -> impl Strategy<Value = Part> {
    let number = prop_oneof![0usize..2000, Just(usize::MAX)];
    prop_oneof![Just(Part::Trajectory), number.clone().prop_map(Part::cross), number.prop_map(Part::self_attention)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_length_of_a_file_is_known_before_it_is_written(part in part(), forms in forms()) {
        let dir = temp_dir();
        let (folder, _) = open(&dir);
        let made: Vec<_> = forms
            .iter()
            .map(|(name, dtype, shape)| {
                let values = (0..shape.iter().product::<usize>()).map(|value| (value % 251) as f32).collect();
                let tensor = Tensor::from_vec(values, shape.as_slice(), &Device::Cpu).expect("values");
                (name.clone(), tensor.to_dtype(*dtype).expect("a type"))
            })
            .collect();
        let content = Content::Part(part, &made);
        let size = folder.size(&id(1), content).expect("a size");
        prop_assert_eq!(folder.put(&id(1), content).expect("written"), size);
        prop_assert_eq!(fs::metadata(file(&dir, 1, &part.to_string())).expect("a file").len(), size);
        prop_assert_eq!(bits(&folder.get(&id(1), part).expect("read")), bits(&made));
    }
}
