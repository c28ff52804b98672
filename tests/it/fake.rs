//! A fake model without arithmetic, to test the engine's behaviour over time.
//!
//! Prompts are tokenized as by the embedded model; a step takes a time that the test chooses. Three seeds are special,
//! and one height.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use candle_core::{Device, Error, Result, Tensor};
use reprompt::diffusion::unet::{AttentionControl, AttentionSite};
use reprompt::diffusion::weights::embedded;
use reprompt::diffusion::{Conditioning, ConditioningKey, Model, ModelError, ModelInfo};
use reprompt::engine::backend::Backend;
use reprompt::engine::{Engine, EngineConfig, EngineParts, PreparedEdit, PreparedSource, Work};
use reprompt::p2p::EditParams;
use reprompt::recordings::{Origin, Source, ValueBytes};
use reprompt::telemetry::metrics::MetricsRegistry;

use crate::support::parts;

/// A source of this seed makes every pass panic that it takes part in.
pub const PANICS: u64 = 1_000_001;
/// A source of this seed makes every pass fail.
pub const FAILS: u64 = 1_000_002;
/// A source of this seed breaks the device.
pub const BREAKS: u64 = 1_000_003;

/// The health of a fake whose passes compute NaN.
pub const NOT_FINITE: u64 = 1_000_004;

/// A source of this height ends the worker.
pub const ENDS: usize = 72;

/// Latents above this show which of the special seeds they come from; no schedule brings others there.
const SPECIAL: f32 = 1e12;

/// Prompts, as a fake is asked to encode them.
pub type Encoded = Arc<Mutex<Vec<String>>>;

/// The health of a fake: 0, [`NOT_FINITE`], or the special seed as whose passes all of its passes end.
pub type Health = Arc<AtomicU64>;

pub struct Fake {
    info: Arc<ModelInfo>,
    conditioning: Conditioning,
    step_time: Duration,
    /// Prompts that were encoded.
    encoded: Encoded,
    health: Health,
    /// Nothing is ever sent: waiting for it is how a step takes its time.
    never: (Sender<()>, Receiver<()>),
}

impl Fake {
    fn new(step_time: Duration, encoded: Encoded, health: Health) -> Self {
        let model = Model::load(&embedded::demo(), &Device::Cpu).unwrap();
        let conditioning = model.condition(&[model.info.conditioning_key("").unwrap()]).unwrap().remove(0);
        Self { info: model.info, conditioning, step_time, encoded, health, never: channel() }
    }

    /// As [`Self::new`], of the embedded model as it was loaded once for all fakes.
    fn shared(step_time: Duration, encoded: Encoded, health: Health) -> Self {
        let (info, conditioning) = loaded();
        Self {
            info: Arc::clone(info),
            conditioning: conditioning.clone(),
            step_time,
            encoded,
            health,
            never: channel(),
        }
    }
}

/// The embedded model as it was loaded once for all fakes.
fn loaded() -> &'static (Arc<ModelInfo>, Conditioning) {
    static LOADED: OnceLock<(Arc<ModelInfo>, Conditioning)> = OnceLock::new();
    LOADED.get_or_init(|| {
        let fake = Fake::new(Duration::ZERO, Encoded::default(), Health::default());
        (fake.info, fake.conditioning)
    })
}

/// A source as every fake prepares it.
pub fn prepared(source: impl Into<Arc<Source>>) -> PreparedSource {
    PreparedSource::new(&loaded().0, source).unwrap()
}

/// An engine on the fake, loaded.
pub async fn engine(step_time: Duration, config: EngineConfig) -> Engine {
    engine_with_encoded_prompts(step_time, config).await.0
}

/// An engine on the fake, loaded, and the prompts that it encodes.
pub async fn engine_with_encoded_prompts(step_time: Duration, config: EngineConfig) -> (Engine, Encoded) {
    let encoded = Encoded::default();
    let fake = (step_time, Arc::clone(&encoded), Health::default());
    let engine = started(fake, config, &MetricsRegistry::new()).await;
    (engine, encoded)
}

/// An engine on a fake whose health the test changes, loaded.
pub async fn engine_of_health(health: &Health, config: EngineConfig) -> Engine {
    let fake = (Duration::ZERO, Encoded::default(), Arc::clone(health));
    started(fake, config, &MetricsRegistry::new()).await
}

/// An engine on the fake, loaded, with its metrics in this registry.
pub async fn engine_in(registry: &MetricsRegistry, step_time: Duration, config: EngineConfig) -> Engine {
    started((step_time, Encoded::default(), Health::default()), config, registry).await
}

/// An engine on a fake whose model has this name, loaded.
pub async fn engine_of_model(name: &str, config: EngineConfig, parts: EngineParts) -> Engine {
    let name = name.to_owned();
    let load = move |_: &EngineConfig| {
        let mut fake = Fake::new(Duration::ZERO, Encoded::default(), Health::default());
        Arc::get_mut(&mut fake.info).expect("the only one").name = name;
        Ok(Box::new(fake) as Box<dyn Backend>)
    };
    let (engine, loaded) = Engine::start_with(config, parts, load).unwrap();
    loaded.await.unwrap().unwrap();
    engine
}

async fn started(fake: (Duration, Encoded, Health), config: EngineConfig, registry: &MetricsRegistry) -> Engine {
    let load = move |_: &EngineConfig| Ok(Box::new(Fake::shared(fake.0, fake.1, fake.2)) as Box<dyn Backend>);
    let parts = parts(registry, &config);
    let (engine, loaded) = Engine::start_with(config, parts, load).unwrap();
    loaded.await.unwrap().unwrap();
    engine
}

/// A source of the smallest size.
pub fn source(seed: u64, steps: usize) -> Arc<Source> {
    let new = Source::new("a cat on the beach", Origin::Seed(seed), steps, (64, 64));
    Arc::new(Source { guidance_scale: 5.0, ..new })
}

/// A recording of such a source.
pub fn record(seed: u64, steps: usize) -> Work {
    Work::Record { source: prepared(source(seed, steps)) }
}

/// An edit of such a source.
pub fn edit(engine: &Engine, seed: u64, steps: usize) -> Work {
    let source = prepared(source(seed, steps));
    let (model, presets) = (engine.model().unwrap(), engine.presets().unwrap());
    let edit = PreparedEdit::new(model, presets, &source, "a dog on the beach", &EditParams::default()).unwrap();
    Work::Edit { source, edit }
}

impl Backend for Fake {
    fn info(&self) -> &Arc<ModelInfo> {
        &self.info
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn sites(&self, height: usize, _: usize) -> Vec<AttentionSite> {
        assert_ne!(height, ENDS, "a size that ends the worker");
        Vec::new()
    }

    fn value_bytes(&self, _: &[AttentionSite]) -> ValueBytes {
        ValueBytes { number: 4, context: 0 }
    }

    fn condition(&self, keys: &[ConditioningKey]) -> std::result::Result<Vec<Conditioning>, ModelError> {
        let text = |key: &ConditioningKey| {
            // Without the two markers.
            let ids = key.ids().iter().copied().skip(1).take(key.ids().len() - 2);
            let words: Vec<_> = ids.map(|id| self.info.tokenizer.token(id).unwrap().replace("</w>", "")).collect();
            words.join(" ")
        };
        self.encoded.lock().unwrap().extend(keys.iter().map(text));
        Ok(vec![self.conditioning.clone(); keys.len()])
    }

    fn noise(&self, seed: u64, height: usize, width: usize) -> Result<Tensor> {
        let shape = (1, self.info.latent_channels, height / self.info.vae_factor, width / self.info.vae_factor);
        let value = match seed {
            PANICS => SPECIAL * 1e2,
            FAILS => SPECIAL * 1e6,
            BREAKS => SPECIAL * 1e10,
            seed => (seed % 1000) as f32 / 1000.0,
        };
        Tensor::full(value, shape, &Device::Cpu)
    }

    fn forward(
        &self,
        latents: &Tensor,
        _: &[f64],
        _: &[&Conditioning],
        _: &mut dyn AttentionControl,
    ) -> Result<Tensor> {
        let _ = self.never.1.recv_timeout(self.step_time);
        match self.health.load(Ordering::Relaxed) {
            FAILS => candle_core::bail!("a pass that fails"),
            BREAKS => return Err(Error::Msg("the device is broken".to_owned())),
            NOT_FINITE => return latents * f64::NAN,
            _ => {}
        }
        let largest = latents.max_all()?.to_scalar::<f32>()?;
        match largest / SPECIAL {
            none if none < 1.0 => (latents * 0.1)?.contiguous(),
            panics if panics < 1e4 => panic!("a job that panics"),
            fails if fails < 1e8 => candle_core::bail!("a job that fails"),
            _ => Err(Error::Msg("the device is broken".to_owned())),
        }
    }

    fn decode(&self, latents: &Tensor) -> Result<Vec<Vec<u8>>> {
        let (images, _, height, width) = latents.dims4()?;
        let bytes = height * width * self.info.vae_factor * self.info.vae_factor * 3;
        let picture = |image| {
            let value = latents.get(image)?.mean_all()?.to_scalar::<f32>()? * 100.0;
            Ok(vec![value as u8; bytes])
        };
        (0..images).map(picture).collect()
    }

    fn is_device_failure(&self, error: &Error) -> bool {
        error.to_string().contains("the device is broken")
    }
}
