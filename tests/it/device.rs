//! What holds on every device, on the one that `REPROMPT_TEST_DEVICE` and `REPROMPT_TEST_DTYPE` name (see `support`).
//!
//! Where the bits of the CPU are wanted, tests say so by taking `Device::Cpu`; these do not.

use candle_core::{DType, Device, Tensor};
use reprompt::diffusion::noise::randn;
use reprompt::diffusion::weights::embedded;
use reprompt::engine::EngineConfig;
use reprompt::recordings::SessionLimits;
use reprompt::recordings::Tier;
use serde_json::{Value, json};

use crate::support::{self, Service, config_on_device, device, difference, dtype, image};

/// Attention of one row, token layout.
struct Attention {
    positions: usize,
    tokens: usize,
    heads: usize,
    head_dim: usize,
    adds: bool,
    keeps_map: bool,
}

/// What a layer may be: self-attention, cross-attention, odd sizes, every width of a head that models have.
fn attentions() -> Vec<Attention> {
    let of = |(positions, tokens, heads, head_dim)| Attention {
        positions,
        tokens,
        heads,
        head_dim,
        adds: (positions + head_dim) % 3 != 0,
        keeps_map: positions <= 256,
    };
    let sizes = [
        (1, 1, 1, 16),
        (64, 64, 8, 160),
        (64, 77, 8, 160),
        (70, 77, 3, 20),
        (256, 256, 8, 80),
        (256, 77, 8, 80),
        (256, 77, 5, 64),
        (300, 77, 2, 32),
        (1024, 1024, 2, 40),
        (1024, 77, 2, 40),
        (1000, 77, 2, 48),
        (100, 50, 1, 256),
        (9, 130, 4, 7),
    ];
    sizes.into_iter().map(of).collect()
}

/// Numbers as the type holds them, on the device, and the same as the CPU sees them.
fn numbers(seed: u64, rows: usize, columns: usize, dtype: DType) -> (Tensor, Vec<f32>) {
    let tensor = Tensor::from_vec(randn(seed, rows * columns), (rows, columns), &Device::Cpu).unwrap();
    let tensor = tensor.to_dtype(dtype).unwrap();
    let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (tensor.to_device(&device()).unwrap(), values)
}

fn on_processor(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(&Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The definition, in double precision: the output and the sum of the heads' maps.
fn defined(case: &Attention, queries: &[f32], keys: &[f32], values: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let channels = case.heads * case.head_dim;
    let (mut out, mut map) = (vec![0.0; case.positions * channels], vec![0.0; case.positions * case.tokens]);
    for head in 0..case.heads {
        let of =
            |rows: &[f32], row: usize, channel: usize| f64::from(rows[row * channels + head * case.head_dim + channel]);
        for position in 0..case.positions {
            let score = |token: usize| {
                let products = (0..case.head_dim).map(|c| of(queries, position, c) * of(keys, token, c));
                (products.sum::<f64>() / (case.head_dim as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = (0..case.tokens).map(score).collect();
            let total: f64 = weights.iter().sum();
            for (token, weight) in weights.iter().enumerate() {
                map[position * case.tokens + token] += weight / total;
                for c in 0..case.head_dim {
                    out[position * channels + head * case.head_dim + c] += weight / total * of(values, token, c);
                }
            }
        }
    }
    (out, map)
}

/// What the device computes.
#[cfg(feature = "cuda")]
fn computed(
    heads: usize,
    [queries, keys, values]: [&Tensor; 3],
    add_to: Option<&Tensor>,
    map: Option<&Tensor>,
) -> (Tensor, Option<Tensor>) {
    if queries.device().is_cuda() {
        reprompt::kernels::cuda::attend(queries, keys, values, heads, add_to, map).unwrap()
    } else {
        by_operations(heads, [queries, keys, values], add_to, map)
    }
}

#[cfg(not(feature = "cuda"))]
use by_operations as computed;

/// The same by candle's operations, one after the other, in f32.
fn by_operations(
    heads: usize,
    tensors: [&Tensor; 3],
    add_to: Option<&Tensor>,
    map: Option<&Tensor>,
) -> (Tensor, Option<Tensor>) {
    let split = |x: &Tensor| {
        let x = x.to_dtype(DType::F32).unwrap();
        x.reshape(((), heads, x.dim(1).unwrap() / heads)).unwrap().transpose(0, 1).unwrap().contiguous().unwrap()
    };
    let [queries, keys, values] = tensors.map(split);
    let scale = 1.0 / (queries.dim(2).unwrap() as f64).sqrt();
    let scores = (queries.matmul(&keys.t().unwrap()).unwrap() * scale).unwrap();
    let probabilities = candle_nn::ops::softmax_last_dim(&scores).unwrap();
    let out = probabilities.matmul(&values).unwrap().transpose(0, 1).unwrap().flatten_from(1).unwrap();
    let out = match add_to {
        Some(before) => (out + before.to_dtype(DType::F32).unwrap()).unwrap(),
        None => out,
    };
    let map = map.map(|before| (before + probabilities.sum(0).unwrap()).unwrap());
    (out.to_dtype(tensors[0].dtype()).unwrap(), map)
}

/// How far a number may be off that was rounded to a type.
fn rounding(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2e-3,
        DType::BF16 => 1.6e-2,
        _ => 2e-5,
    }
}

#[test]
fn attention_is_what_its_definition_says() {
    // Of the types that the device computes in, all: they need no model.
    let dtypes = if device().is_cuda() { vec![DType::F32, DType::F16, DType::BF16] } else { vec![DType::F32] };
    for dtype in dtypes {
        for case in attentions() {
            let name = format!("{dtype:?} {}x{}, {} x {}", case.positions, case.tokens, case.heads, case.head_dim);
            let channels = case.heads * case.head_dim;
            let (queries, q) = numbers(1, case.positions, channels, dtype);
            let (keys, k) = numbers(2, case.tokens, channels, dtype);
            let (values, v) = numbers(3, case.tokens, channels, dtype);
            let (before, b) = numbers(4, case.positions, channels, dtype);
            let map = Tensor::full(0.25_f32, (case.positions, case.tokens), &device()).unwrap();
            let add_to = case.adds.then_some(&before);
            let run = || computed(case.heads, [&queries, &keys, &values], add_to, case.keeps_map.then_some(&map));
            let (out, map) = run();
            assert_eq!((out.dims(), out.dtype()), (&[case.positions, channels][..], dtype), "{name}");

            let (mut wanted, wanted_map) = defined(&case, &q, &k, &v);
            if case.adds {
                wanted.iter_mut().zip(&b).for_each(|(wanted, before)| *wanted += f64::from(*before));
            }
            for (found, wanted) in on_processor(&out).into_iter().zip(wanted) {
                let off = (f64::from(found) - wanted).abs();
                assert!(off <= rounding(dtype) * (1.0 + wanted.abs()), "{name}: {found} is not {wanted}");
            }
            assert_eq!(map.is_some(), case.keeps_map, "{name}");
            for (found, wanted) in map.iter().flat_map(on_processor).zip(wanted_map) {
                assert!((f64::from(found) - wanted - 0.25).abs() <= 2e-5, "{name}: {found} is not {wanted} in the map");
            }
            assert_eq!(on_processor(&run().0), on_processor(&out), "{name}: not the same bits again");
        }
    }
}

#[test]
fn a_part_of_a_tensor_is_attended_to_like_a_tensor_of_its_own() {
    let (all, _) = numbers(5, 100, 48, dtype());
    // Rows from the middle, and columns that begin where no vector may.
    for part in [all.narrow(0, 3, 77).unwrap(), all.narrow(1, 3, 40).unwrap()] {
        let copy = part.copy().unwrap().force_contiguous().unwrap();
        let heads = part.dim(1).unwrap() / 8;
        let found = computed(heads, [&part; 3], None, None).0;
        let wanted = computed(heads, [&copy; 3], None, None).0;
        let pairs = on_processor(&found).into_iter().zip(on_processor(&wanted));
        for (found, wanted) in pairs {
            assert!(f64::from((found - wanted).abs()) <= rounding(dtype()) * 4.0, "{found} is not {wanted}");
        }
    }
}

fn edit(seed: u64) -> Value {
    json!({
        "source": {"prompt": "a cat on the beach", "seed": seed, "num_inference_steps": 5},
        "prompt": "a dog on the beach", "local_blend": true,
    })
}

/// An edit's image, and how its source was found.
async fn run(service: &Service, body: &Value) -> (Vec<u8>, String) {
    let answer = service.post("/v1/edits", body).await.json();
    (image(&answer, "edit"), answer["session"]["recording"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_the_same_wherever_its_recording_lies() {
    let folder = tempfile::tempdir().unwrap();
    let limits = |device_bytes, memory_bytes| SessionLimits {
        device_bytes,
        memory_bytes,
        dir: Some(folder.path().to_owned()),
        ..SessionLimits::default()
    };
    let start =
        async |sessions| Service::start(embedded::demo(), EngineConfig { sessions, ..config_on_device() }).await;
    let memory = start(limits(0, 1 << 30)).await;
    let (wanted, how) = run(&memory, &edit(1)).await;
    assert_eq!(how, "created");
    let bytes = memory.state.engine.sessions().used(Tier::Memory);
    let close = |found: (Vec<u8>, String), from: &str| {
        assert_eq!(found.1, "hit", "from {from}");
        let (max, mean) = difference(&found.0, &wanted);
        println!("from {from}: off by {max} at most, {mean:.5} in the mean");
        let (most, of_all) = support::tolerance().between_tiers;
        assert!(max <= most && mean <= of_all, "from {from}: off by {max} at most, {mean} in the mean");
    };
    close(run(&memory, &edit(1)).await, "memory");
    let store = std::sync::Arc::clone(memory.state.engine.sessions());
    tokio::task::spawn_blocking(move || store.flush()).await.unwrap();
    drop(memory);

    let files = start(limits(0, 1 << 30)).await;
    close(run(&files, &edit(1)).await, "disk");
    drop(files);
    let on_device = start(limits(2 * bytes, 1 << 30)).await;
    run(&on_device, &edit(1)).await;
    close(run(&on_device, &edit(1)).await, "the device");
    assert!(on_device.state.engine.sessions().used(Tier::Device) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_beside_each_other_are_the_edits_alone() {
    let service = Service::start(embedded::demo(), config_on_device()).await;
    let bodies: Vec<_> = (1..4).map(edit).collect();
    let mut alone = Vec::new();
    for body in &bodies {
        alone.push(run(&service, body).await.0);
    }
    let together = support::all(&service, "/v1/edits", &bodies).await;
    for (found, wanted) in together.iter().map(|answer| image(answer, "edit")).zip(alone) {
        let (max, mean) = difference(&found, &wanted);
        let (most, of_all) = support::tolerance().in_company;
        assert!(max <= most && mean <= of_all, "off by {max} at most, {mean} in the mean");
    }
}

#[cfg(feature = "cuda")]
#[test]
fn what_is_staged_arrives_while_the_device_is_busy_and_whether_it_is_taken_or_not() {
    use reprompt::kernels::cuda::staging::Staging;

    if !device().is_cuda() {
        return;
    }
    let mut staging = Staging::new(&device()).unwrap();
    let busy = Tensor::ones((1024, 1024), DType::F32, &device()).unwrap();
    for round in 0..40_usize {
        // Buffers are used again, grow, and hold different types side by side.
        let values = |at: u64| randn(round as u64 * 10 + at, 1000 + round * 997);
        let tensors: Vec<_> = [DType::F32, DType::F16, DType::BF16]
            .into_iter()
            .zip(0..)
            .map(|(dtype, at)| Tensor::new(values(at), &Device::Cpu).unwrap().to_dtype(dtype).unwrap())
            .collect();
        let staged = staging.begin(&tensors).unwrap();
        let product = busy.matmul(&busy).unwrap().matmul(&busy).unwrap();
        if round % 3 == 1 {
            drop(staged);
            continue;
        }
        let arrived = staged.finish().unwrap();
        for (found, wanted) in arrived.iter().zip(&tensors) {
            assert!(found.device().is_cuda() && found.dtype() == wanted.dtype());
            assert!(on_processor(found) == on_processor(wanted), "round {round}");
        }
        assert_eq!(on_processor(&product)[0], 1_048_576.0);
    }
}
