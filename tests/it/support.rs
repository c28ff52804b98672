//! What the tests share: fixture models, running services, requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use candle_core::{DType, Device};
use http_body_util::BodyExt;
use reprompt::api::{self, ApiConfig, AppState};
use reprompt::diffusion::{ModelFiles, embedded};
use reprompt::engine::{Engine, EngineConfig};
use reprompt::session::SessionLimits;
use serde_json::Value;
use tokio::net::TcpListener;
use tower::ServiceExt;

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
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

/// The model of that name: `demo` is the embedded one.
pub fn model(name: &str) -> ModelFiles {
    if name == "demo" { embedded::demo() } else { fixture_model(name) }
}

pub fn config() -> EngineConfig {
    EngineConfig {
        device: Device::Cpu,
        dtype: DType::F32,
        max_batch_rows: 8,
        queue_limit: 32,
        sessions: SessionLimits { memory_bytes: 1 << 30, ..SessionLimits::default() },
    }
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
        let (engine, loaded) = Engine::start(files, config).unwrap();
        loaded.await.unwrap().unwrap();
        let state = Arc::new(AppState::new(engine, api).unwrap());
        Self { router: api::router(Arc::clone(&state)), state }
    }

    /// The embedded model with the limits of [`config`].
    pub async fn demo() -> Self {
        Self::start(embedded::demo(), config()).await
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
