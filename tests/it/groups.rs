//! Recordings in groups of layers through files: a file that is lost is replayed alone, and the image is the same.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use reprompt::diffusion::weights::embedded;
use reprompt::diffusion::{Model, SiteGrouping};
use reprompt::engine::backend::Backend;
use reprompt::engine::runs::RowKind;
use reprompt::engine::{Engine, EngineConfig, JobOptions, PreparedEdit, PreparedSource, RecordingUse, Work};
use reprompt::p2p::EditParams;
use reprompt::recordings::{Origin, SessionLimits, Source};
use reprompt::telemetry::metrics::MetricsRegistry;

use crate::support::{config, parts};

const STEPS: usize = 4;

async fn engine(grouping: SiteGrouping, dir: Option<&Path>) -> Engine {
    let sessions = SessionLimits { dir: dir.map(Path::to_owned), ..SessionLimits::default() };
    let load = move |_: &EngineConfig| {
        let mut model = Model::load(&embedded::demo(), &Device::Cpu)?;
        Arc::get_mut(&mut model.info).unwrap().architecture.grouping = grouping;
        Ok(Box::new(model) as Box<dyn Backend>)
    };
    let config = EngineConfig { sessions, ..config() };
    let parts = parts(&MetricsRegistry::new(), &config);
    let (engine, loaded) = Engine::start_with(config, parts, load).unwrap();
    loaded.await.unwrap().unwrap();
    engine
}

/// The pixels of an edit, how it found its source, and the rows that were replayed for it.
async fn edited(engine: &Engine) -> (Vec<u8>, RecordingUse, u64) {
    let new = Source::new("a cat on the beach", Origin::Seed(5), STEPS, (128, 128));
    let (model, presets) = (engine.model().unwrap(), engine.presets().unwrap());
    let source = PreparedSource::new(model, Source { guidance_scale: 5.0, ..new }).unwrap();
    let edit = PreparedEdit::new(model, presets, &source, "a dog on the beach", &EditParams::default()).unwrap();
    let replayed = || engine.metrics().rows.with(RowKind::Replay).get();
    let before = replayed();
    let outcome = engine.submit(Work::Edit { source, edit }, JobOptions::default()).unwrap().outcome().await.unwrap();
    (outcome.edited_image.unwrap().rgb.clone(), outcome.recording, replayed() - before)
}

/// The attention files of a folder of recordings, by name.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let (mut folders, mut files) = (vec![dir.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_of_one_group_is_replayed_alone_and_the_image_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (wanted, ..) = edited(&engine(SiteGrouping::Whole, None).await).await;
    let first = engine(SiteGrouping::PerResolution, Some(folder.path())).await;
    let (image, found, replayed) = edited(&first).await;
    assert!(image == wanted, "the image depends on the grouping");
    assert_eq!((found, replayed), (RecordingUse::Created, 0));
    let store = Arc::clone(first.sessions());
    tokio::task::spawn_blocking(move || store.flush()).await.expect("flushed");
    drop(first);

    let written = files(folder.path());
    let lost =
        written.iter().find(|path| path.ends_with("cross-001.1.safetensors")).expect("a file of the second group");
    let whole = written.iter().find(|path| path.ends_with("cross-001.safetensors")).expect("a file of the first group");
    let kept = std::fs::metadata(whole).unwrap().modified().unwrap();
    std::fs::remove_file(lost).unwrap();
    let again = engine(SiteGrouping::PerResolution, Some(folder.path())).await;
    let (image, found, replayed) = edited(&again).await;
    assert!(image == wanted, "the image depends on what was replayed");
    assert_eq!((found, replayed), (RecordingUse::Replayed, 1), "one step is replayed");
    assert_eq!(std::fs::metadata(whole).unwrap().modified().unwrap(), kept, "the other group was read, not written");
}
