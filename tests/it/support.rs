//! What the tests share: fixture models, running services, requests, and where they are computed.
//!
//! `REPROMPT_TEST_DEVICE` (`cpu`, which is the default, `cuda` or `cuda:N`) and `REPROMPT_TEST_DTYPE` (`f32`, `f16`,
//! `bf16`) choose the device of the tests that compare with what is published or defined. Tests of equal bytes are the
//! processor's, and so are those of the engine around the model.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use candle_core::{DType, Device};
use http_body_util::BodyExt;
use reprompt::api;
use reprompt::api::metrics::HttpMetrics;
use reprompt::api::{ApiConfig, AppState};
use reprompt::diffusion::nn::Compute;
use reprompt::diffusion::weights::embedded;
use reprompt::diffusion::{Model, ModelFiles};
use reprompt::engine::EngineMetrics;
use reprompt::engine::{Engine, EngineConfig, EngineParts};
use reprompt::recordings::RecordingMetrics;
use reprompt::recordings::SessionLimits;
use reprompt::telemetry::metrics::MetricsRegistry;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::fake;

/// The folder of `Cargo.toml`. Cargo sets the variable; where the tests run on another machine, it names the folder
/// there.
pub fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

pub fn fixtures() -> PathBuf {
    root().join("tests/fixtures")
}

/// A fixture model by its archive's name, unpacked once per test run.
pub fn fixture_model(name: &str) -> ModelFiles {
    static UNPACKED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = UNPACKED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(fixtures().join("models")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "gz") {
                let archive = std::fs::File::open(path).unwrap();
                tar::Archive::new(flate2::read::GzDecoder::new(archive)).unpack(folder.path()).unwrap();
            }
        }
        folder
    });
    let model = folder.path().join(name);
    assert!(model.is_dir(), "no fixture model {name}");
    ModelFiles::Folder(model)
}

/// A copy of a fixture model that a test may damage.
pub fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    fn copy_folder(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy_folder(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let ModelFiles::Folder(from) = fixture_model(name) else { unreachable!("a folder") };
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(name);
    copy_folder(&from, &to);
    (folder, to)
}

/// The model of that name: `demo` is the embedded one.
pub fn model(name: &str) -> ModelFiles {
    if name == "demo" { embedded::demo() } else { fixture_model(name) }
}

/// The device that `REPROMPT_TEST_DEVICE` names, opened once.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || match std::env::var("REPROMPT_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu" | "") => Device::Cpu,
        Ok("cuda") => gpu(0),
        Ok(name) => match name.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
            Some(number) => gpu(number),
            None => panic!("REPROMPT_TEST_DEVICE: {name} is no device, cpu, cuda and cuda:N are"),
        },
    };
    DEVICE.get_or_init(open).clone()
}

#[cfg(feature = "cuda")]
fn gpu(number: usize) -> Device {
    reprompt::kernels::cuda::device::open(number).unwrap()
}

#[cfg(not(feature = "cuda"))]
fn gpu(_: usize) -> Device {
    panic!("REPROMPT_TEST_DEVICE: these tests were built without the feature cuda")
}

/// What `REPROMPT_TEST_DTYPE` names.
pub fn dtype() -> DType {
    match std::env::var("REPROMPT_TEST_DTYPE").as_deref() {
        Err(_) | Ok("f32" | "") => DType::F32,
        Ok("f16") => DType::F16,
        Ok("bf16") => DType::BF16,
        Ok(name) => panic!("REPROMPT_TEST_DTYPE: expected f32, f16 or bf16, got {name}"),
    }
}

/// How far the device may be off in what the tests compare.
///
/// Half a step of the last digit is 6e-8 of a number in f32, 5e-4 in f16 and 4e-3 in bf16. The fixtures' weights are
/// random and spread it: PyTorch's own f32 is 2e-5 away from its f64, some 300 such steps, after the last step.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Of one pass through a network, as a part of its output's largest value.
    pub pass: f64,
    /// Of latents on their way, likewise.
    pub latents: f64,
    /// Of published images: the largest difference, and the mean one, of 255.
    pub image: (u8, f64),
    /// Of the same edit from another tier.
    pub between_tiers: (u8, f64),
    /// Of the same edit among others.
    pub in_company: (u8, f64),
    /// Positions of a blend mask that may differ, as a part of all.
    pub mask: f64,
}

/// The tolerance of the chosen device. That of bf16 is what the processor shows, whose weights alone are bf16 (a pass
/// is off by 0.16, latents by 0.4, images by 2 in the mean and 44 at most, and the last blend mask, which decides the
/// last latents, by nothing that these show), with a margin for the rest; that of f16 is derived from it, and both were
/// not yet measured on a GPU (docs/gpu.md).
pub fn tolerance() -> Tolerance {
    let equal = (0, 0.0);
    let none =
        Tolerance { pass: 2e-4, latents: 2e-4, image: (3, 0.1), between_tiers: equal, in_company: equal, mask: 0.0 };
    match dtype() {
        DType::F16 => Tolerance {
            pass: 5e-2,
            latents: 0.2,
            image: (64, 3.0),
            between_tiers: (8, 0.2),
            in_company: (32, 1.0),
            mask: 0.2,
        },
        DType::BF16 => Tolerance {
            pass: 0.4,
            latents: 1.0,
            image: (128, 6.0),
            between_tiers: (32, 1.0),
            in_company: (128, 4.0),
            mask: 0.2,
        },
        _ if device().is_cuda() => Tolerance {
            pass: 1e-3,
            latents: 1e-3,
            image: (6, 0.2),
            between_tiers: (1, 0.01),
            in_company: (4, 0.1),
            mask: 0.01,
        },
        _ => none,
    }
}

/// A model on the chosen device, in the chosen type.
pub fn load_on_device(files: &ModelFiles) -> Model {
    Model::load_as(files, &Compute { device: device(), dtype: dtype() }).unwrap()
}

/// [`config`] on the chosen device.
pub fn config_on_device() -> EngineConfig {
    EngineConfig { device: device(), dtype: dtype(), ..config() }
}

/// On the processor.
pub fn config() -> EngineConfig {
    EngineConfig {
        device: Device::Cpu,
        dtype: DType::F32,
        threads: NonZeroUsize::MIN,
        max_batch_rows: 8,
        queue_limit: 32,
        sessions: SessionLimits { memory_bytes: 1 << 30, ..SessionLimits::default() },
        self_test_after: Duration::from_secs(3600),
    }
}

/// An engine's metrics in `registry`, and its budgets as the configuration says.
pub fn parts(registry: &MetricsRegistry, config: &EngineConfig) -> EngineParts {
    EngineParts::new(registry, &config.sessions).unwrap()
}

/// The names of all metrics of the service.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    [EngineMetrics::NAMES, RecordingMetrics::NAMES, HttpMetrics::NAMES].into_iter().flatten().copied()
}

/// What a step of a slow fake takes.
pub const STEP: Duration = Duration::from_millis(10);

/// How long a test waits for what must happen, on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until something is so; fails once [`PATIENCE`] is over.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

/// A service of its own, with its model loaded.
#[derive(Clone)]
pub struct Service {
    pub state: Arc<AppState>,
    router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Service {
    pub async fn start(files: ModelFiles, config: EngineConfig) -> Self {
        Self::with_api(files, config, ApiConfig::default()).await
    }

    pub async fn with_api(files: ModelFiles, config: EngineConfig, api: ApiConfig) -> Self {
        let registry = MetricsRegistry::new();
        let parts = parts(&registry, &config);
        let (engine, loaded) = Engine::start(files, config, parts).unwrap();
        loaded.await.unwrap().unwrap();
        Self::with_registry(engine, api, registry)
    }

    /// On an engine that need not be loaded, and whose metrics are not served.
    pub fn of(engine: Engine, api: ApiConfig) -> Self {
        Self::with_registry(engine, api, MetricsRegistry::new())
    }

    fn with_registry(engine: Engine, api: ApiConfig, registry: MetricsRegistry) -> Self {
        let state = Arc::new(AppState::new(engine, api, registry).unwrap());
        Self { router: api::router(Arc::clone(&state)), state }
    }

    /// The embedded model with the limits of [`config`]: for what depends on pixels or on attention.
    pub async fn demo() -> Self {
        Self::start(embedded::demo(), config()).await
    }

    /// The [fake model](fake), whose steps take no time.
    pub async fn fake() -> Self {
        Self::fake_with(Duration::ZERO, config(), ApiConfig::default()).await
    }

    /// The fake model with steps of [`STEP`]: what has many steps still runs when a test looks at it.
    pub async fn slow() -> Self {
        Self::fake_with(STEP, config(), ApiConfig::default()).await
    }

    pub async fn fake_with(step_time: Duration, config: EngineConfig, api: ApiConfig) -> Self {
        let registry = MetricsRegistry::new();
        let engine = fake::engine_in(&registry, step_time, config).await;
        Self::with_registry(engine, api, registry)
    }

    /// Serves on a socket, for as long as the test runs.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, self.router.clone()).into_future());
        address
    }

    /// Sends a request whose answer is left to be read.
    pub async fn open(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.open(request).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes().to_vec();
        Answer { status, headers, body }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_accepting(path, body, "application/json").await
    }

    pub async fn post_accepting(&self, path: &str, body: &Value, accept: &str) -> Answer {
        self.post_with(path, body, &[("accept", accept)]).await
    }

    pub async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.send(post(path, body, headers)).await
    }
}

/// A request with a JSON body.
pub fn post(path: &str, body: &Value, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::from(body.to_string())).unwrap()
}

/// Answers to requests that are sent at the same time, in the requests' order.
pub async fn all(service: &Service, path: &'static str, bodies: &[Value]) -> Vec<Value> {
    let mut tasks = tokio::task::JoinSet::new();
    for (index, body) in bodies.iter().cloned().enumerate() {
        let service = service.clone();
        tasks.spawn(async move { (index, service.post(path, &body).await.json()) });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The pixels of the image with a role in an answer.
pub fn image(answer: &Value, role: &str) -> Vec<u8> {
    use base64::Engine as _;
    let data = answer["data"].as_array().unwrap();
    let entry = data.iter().find(|entry| entry["role"] == role).unwrap_or_else(|| panic!("no {role} in the answer"));
    let file = base64::engine::general_purpose::STANDARD.decode(entry["b64_json"].as_str().unwrap()).unwrap();
    pixels(&file)
}

/// An image file's pixels, RGB.
pub fn pixels(file: &[u8]) -> Vec<u8> {
    image::load_from_memory(file).unwrap().to_rgb8().into_raw()
}

/// Largest and mean difference of two images.
pub fn difference(a: &[u8], b: &[u8]) -> (u8, f64) {
    assert_eq!(a.len(), b.len(), "images of different sizes");
    let differences = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let sum: u64 = differences().map(u64::from).sum();
    (differences().max().unwrap_or(0), sum as f64 / a.len() as f64)
}

/// The part of two images' values that differ by more than `most` of 255.
pub fn share_above(most: u8, a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "images of different sizes");
    a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > most).count() as f64 / a.len() as f64
}
