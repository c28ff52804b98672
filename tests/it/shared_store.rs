//! A store of recordings that replicas share: slow, listed by none of them, and at times not there.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use reprompt::diffusion::weights::embedded;
use reprompt::engine::{
    CancelReason, Engine, EngineConfig, JobOptions, Outcome, PreparedEdit, PreparedSource, RecordingUse, Stage, Work,
    load,
};
use reprompt::media::Image;
use reprompt::p2p::EditParams;
use reprompt::recordings::store::{Content, Listing, StoredSession, Tensors};
use reprompt::recordings::{Origin, Part, RecordingStore, SessionId, SessionLimits, Source, StoreError, Tier};
use reprompt::telemetry::metrics::MetricsRegistry;

use crate::support::{config, parts};
use crate::waiting::until;

const STEPS: usize = 4;

/// What replicas share. Clones are the same store.
#[derive(Debug, Clone, Default)]
struct Remote(Arc<(Mutex<State>, Condvar)>);

#[derive(Debug, Default)]
struct State {
    sources: BTreeMap<SessionId, Source>,
    parts: BTreeMap<(SessionId, Part), Tensors>,
    /// Calls wait while it is true.
    is_held: bool,
    is_down: bool,
    finds: usize,
    gets: usize,
}

impl Remote {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.0.1.notify_all();
    }

    /// A call takes a while, waits while the store is held, and fails while it is down.
    fn call(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        let (state, is_late) = (self.state(), Duration::from_millis(5));
        let state = self.0.1.wait_timeout_while(state, is_late, |_| true).unwrap().0;
        let state = self.0.1.wait_while(state, |state| state.is_held).unwrap();
        if state.is_down {
            let source = std::io::Error::other("the network is down");
            return Err(StoreError::Io { at: "remote".to_owned(), source });
        }
        Ok(state)
    }
}

fn bytes(tensors: &Tensors) -> u64 {
    tensors.iter().map(|(_, tensor)| (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64).sum()
}

impl RecordingStore for Remote {
    fn list(&self) -> Result<Listing, StoreError> {
        Ok(Listing { is_partial: true, ..Listing::default() })
    }

    fn find(&self, session: &SessionId) -> Result<Listing, StoreError> {
        self.state().finds += 1;
        let state = self.call()?;
        let sessions = state.sources.get(session).map(|source| {
            let parts = state.parts.iter().filter(|((id, _), _)| id == session);
            let mut parts: BTreeMap<_, _> = parts.map(|((_, part), tensors)| (*part, bytes(tensors))).collect();
            if !parts.contains_key(&Part::Trajectory) {
                parts.clear();
            }
            let (id, source) = (session.clone(), source.clone());
            StoredSession { id, source, source_bytes: 1, parts, last_used: SystemTime::now() }
        });
        Ok(Listing { sessions: sessions.into_iter().collect(), is_partial: true, ..Listing::default() })
    }

    fn get(&self, session: &SessionId, part: Part) -> Result<Tensors, StoreError> {
        let mut state = self.call()?;
        state.gets += 1;
        state.parts.get(&(session.clone(), part)).cloned().ok_or(StoreError::Missing)
    }

    fn size(&self, _: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        match content {
            Content::Source(_) => Ok(1),
            Content::Part(_, tensors) => Ok(bytes(&tensors.to_vec())),
        }
    }

    fn put(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        let mut state = self.call()?;
        match content {
            Content::Source(source) => drop(state.sources.insert(session.clone(), source.clone())),
            Content::Part(part, tensors) => drop(state.parts.insert((session.clone(), part), tensors.to_vec())),
        }
        drop(state);
        self.size(session, content)
    }

    fn delete_part(&self, session: &SessionId, part: Part) -> Result<(), StoreError> {
        self.call()?.parts.remove(&(session.clone(), part));
        Ok(())
    }

    fn delete(&self, session: &SessionId) -> Result<(), StoreError> {
        let mut state = self.call()?;
        state.sources.remove(session);
        state.parts.retain(|(id, _), _| id != session);
        Ok(())
    }

    fn touch(&self, session: &SessionId) -> Result<(), StoreError> {
        self.call()?.sources.get(session).map(drop).ok_or(StoreError::Missing)
    }
}

/// A replica on the embedded model.
async fn replica(store: &Remote) -> Engine {
    // Only to have a budget for what is stored: the folder is never opened.
    let sessions = SessionLimits { dir: Some("unused".into()), ..SessionLimits::default() };
    let config = EngineConfig { sessions, ..config() };
    let load = |config: &EngineConfig| load(&embedded::demo(), config);
    let store: Arc<dyn RecordingStore> = Arc::new(store.clone());
    let open = move |_: &_| Ok(Some(store));
    let parts = parts(&MetricsRegistry::new(), &config);
    let (engine, loaded) = Engine::start_with_store(config, parts, load, open).unwrap();
    loaded.await.unwrap().unwrap();
    engine
}

fn source(engine: &Engine) -> PreparedSource {
    let new = Source::new("a cat on the beach", Origin::Seed(1), STEPS, (64, 64));
    PreparedSource::new(engine.model().unwrap(), Source { guidance_scale: 5.0, ..new }).unwrap()
}

fn edit(engine: &Engine) -> Work {
    let (model, presets, source) = (engine.model().unwrap(), engine.presets().unwrap(), source(engine));
    let edit = PreparedEdit::new(model, presets, &source, "a dog on the beach", &EditParams::default()).unwrap();
    Work::Edit { source, edit }
}

async fn run(engine: &Engine, work: Work) -> Outcome {
    let mut handle = engine.submit(work, JobOptions::default()).unwrap();
    tokio::time::timeout(Duration::from_secs(120), handle.outcome()).await.expect("it did not end").unwrap()
}

/// A store with the source's recording, which another replica has made, and the edit's image.
async fn recorded() -> (Remote, Arc<Image>) {
    let store = Remote::default();
    let engine = replica(&store).await;
    let outcome = run(&engine, edit(&engine)).await;
    assert_eq!(outcome.recording, RecordingUse::Created, "no replica has it yet");
    flush(&engine).await;
    assert!(store.state().parts.len() > 1 + STEPS / 2, "its trajectory and its attention are stored");
    (store, outcome.edited_image.unwrap())
}

async fn flush(engine: &Engine) {
    let recordings = Arc::clone(engine.sessions());
    tokio::task::spawn_blocking(move || recordings.flush()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_session_that_lies_only_in_a_slow_shared_store_is_served_from_it() {
    let (store, wanted) = recorded().await;
    let parts = store.state().parts.len();
    let engine = replica(&store).await;
    assert!(engine.sessions().views().is_empty(), "nothing is listed");
    let outcome = run(&engine, edit(&engine)).await;
    assert!(*outcome.edited_image.unwrap() == *wanted, "the bytes are others");
    assert_eq!(outcome.recording, RecordingUse::Hit);
    assert_eq!(store.state().gets, parts, "all of it was read");
    assert_eq!(engine.sessions().metrics().hits.with(Tier::Disk).get(), 1);
    let views = engine.sessions().views();
    assert_eq!((views.len(), views[0].hits), (1, 1));
    // What was read is not written again.
    flush(&engine).await;
    assert_eq!(store.state().parts.len(), parts);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_asked_for_is_found_in_the_shared_store() {
    let (store, _) = recorded().await;
    let engine = replica(&store).await;
    let outcome = run(&engine, Work::Record { source: source(&engine) }).await;
    assert_eq!(outcome.recording, RecordingUse::Hit);
    assert_eq!(store.state().gets, 1, "the trajectory alone");
    assert_eq!(engine.sessions().views()[0].hits, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jobs_that_ask_for_the_same_session_look_it_up_once() {
    let (store, wanted) = recorded().await;
    let engine = replica(&store).await;
    let before = store.state().finds;
    store.set(|state| state.is_held = true);
    let mut handles: Vec<_> = (0..2).map(|_| engine.submit(edit(&engine), JobOptions::default()).unwrap()).collect();
    for handle in &handles {
        handle.progress().wait_for(|progress| progress.stage == Stage::Running).await.unwrap();
    }
    store.set(|state| state.is_held = false);
    for handle in &mut handles {
        let outcome = handle.outcome().await.unwrap();
        assert!(*outcome.edited_image.unwrap() == *wanted && outcome.recording == RecordingUse::Hit);
    }
    assert_eq!(store.state().finds, before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_store_that_fails_is_computed_around() {
    let (store, wanted) = recorded().await;
    let engine = replica(&store).await;
    store.set(|state| state.is_down = true);
    let outcome = run(&engine, edit(&engine)).await;
    assert!(*outcome.edited_image.unwrap() == *wanted, "the bytes are others");
    assert_eq!(outcome.recording, RecordingUse::Created);
    // Its writes fail before the store is back.
    flush(&engine).await;

    // The same where it has lost the trajectory: attention is of no use without that.
    store.set(|state| {
        state.is_down = false;
        state.parts.retain(|(_, part), _| *part != Part::Trajectory);
    });
    let engine = replica(&store).await;
    let outcome = run(&engine, edit(&engine)).await;
    assert!(*outcome.edited_image.unwrap() == *wanted, "the bytes are others");
    assert_eq!(outcome.recording, RecordingUse::Replayed);
    flush(&engine).await;
    assert!(store.state().parts.keys().any(|(_, part)| *part == Part::Trajectory), "it is written again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_canceled_while_its_session_is_looked_up_leaves_nothing_behind() {
    let (store, wanted) = recorded().await;
    let engine = replica(&store).await;
    store.set(|state| state.is_held = true);
    let handle = engine.submit(edit(&engine), JobOptions::default()).unwrap();
    handle.progress().wait_for(|progress| progress.stage == Stage::Running).await.unwrap();
    let used = || [Tier::Memory, Tier::Trajectory].map(|tier| engine.sessions().used(tier));
    assert!(used().iter().all(|bytes| *bytes > 0), "room is reserved while it is looked up");
    handle.cancel(CancelReason::Disconnected);
    until("the end of the job", async || used() == [0, 0]).await;
    assert_eq!((engine.unfinished(), engine.sessions().views().len()), (0, 0));
    // No job awaits the answer; the next job uses it.
    store.set(|state| state.is_held = false);
    let outcome = run(&engine, edit(&engine)).await;
    assert!(*outcome.edited_image.unwrap() == *wanted && outcome.recording == RecordingUse::Hit);
}
