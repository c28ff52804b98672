//! The runs in progress: added by jobs, stepped batch by batch, taken out when they are done or have failed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Candidate, CompatibilityKey, next_batch};
use super::job::{EngineError, Progress, Stage};
use super::run::{ROWS_PER_RUN, Run, denoise, guarded};
use crate::diffusion::Model;
use crate::media::Image;
use crate::session::{Recording, SessionId, Source};

/// Names a run for as long as the worker lives.
pub type RunKey = u64;

/// The session that a source's run will become.
pub type SessionSource = (SessionId, Arc<Source>);

#[derive(Debug)]
struct Active {
    run: Run,
    last_tick: u64,
    /// Of a source's run.
    session: Option<SessionSource>,
    failed: Option<String>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its name.
    pub key: RunKey,
    /// Of a source's run: its session, and its recording.
    pub source: Option<(SessionSource, Arc<Recording>)>,
    /// Its image, or what it failed of.
    pub image: Result<Arc<Image>, EngineError>,
    /// When its last step was taken.
    pub denoised: Instant,
    /// How long decoding took.
    pub decode: Duration,
}

/// All runs in progress.
#[derive(Debug, Default)]
pub struct RunSet {
    runs: BTreeMap<RunKey, Active>,
    last_key: RunKey,
    tick: u64,
}

impl RunSet {
    /// Rows that the runs add to a forward pass of all of them.
    pub fn rows(&self) -> usize {
        self.runs.len() * ROWS_PER_RUN
    }

    /// Adds a run; a source's comes with the session that it will become.
    pub fn add(&mut self, run: Run, session: Option<SessionSource>) -> RunKey {
        self.last_key += 1;
        let active = Active { run, last_tick: self.tick, session, failed: None };
        self.runs.insert(self.last_key, active);
        self.last_key
    }

    /// The run of a session's source, if it is being run.
    pub fn of_session(&self, session: &SessionId) -> Option<RunKey> {
        let is_wanted = |active: &Active| active.session.as_ref().is_some_and(|(id, _)| id == session);
        self.runs.iter().find(|(_, active)| is_wanted(active)).map(|(key, _)| *key)
    }

    /// What a source's run has recorded so far.
    pub fn recording(&self, key: RunKey) -> Option<Arc<Recording>> {
        match &self.runs.get(&key)?.run {
            Run::Source(run) => Some(Arc::clone(run.recording())),
            Run::Edit(_) => None,
        }
    }

    /// How far a run is.
    pub fn progress(&self, key: RunKey) -> Option<Progress> {
        let run = &self.runs.get(&key)?.run;
        Some(Progress { stage: Stage::Running, step: run.step(), steps: run.steps(), previews: Vec::new() })
    }

    /// Gives up the runs that nobody wants any more, and tells the sessions of the sources among them.
    pub fn retain(&mut self, is_wanted: impl Fn(RunKey) -> bool) -> Vec<SessionId> {
        let given_up = self.runs.extract_if(.., |key, _| !is_wanted(*key));
        given_up.filter_map(|(_, active)| active.session).map(|(session, _)| session).collect()
    }

    /// Takes one step of the runs whose turn it is, of at most `max_rows` rows together. A pass that fails is tried
    /// again run by run, so that a failing run fails alone.
    pub fn step(&mut self, model: &Model, max_rows: usize) {
        let candidates: Vec<_> = self
            .runs
            .iter()
            .filter(|(_, active)| active.failed.is_none() && active.run.is_ready())
            .map(|(key, active)| Candidate {
                run: *key,
                key: CompatibilityKey::of(&active.run),
                last_tick: active.last_tick,
            })
            .collect();
        let batch = next_batch(&candidates, max_rows);
        if batch.is_empty() {
            return;
        }
        self.tick += 1;
        let members = self.runs.iter_mut().filter(|(key, _)| batch.contains(key));
        let mut members: Vec<&mut Active> = members.map(|(_, active)| active).collect();
        for active in &mut members {
            active.last_tick = self.tick;
        }
        let Err(error) = step_together(model, &mut members) else {
            return;
        };
        if let [only] = members.as_mut_slice() {
            only.failed = Some(error);
            return;
        }
        tracing::warn!(%error, runs = members.len(), "a batch failed and is tried again run by run");
        for active in members {
            if let Err(error) = step_together(model, &mut [&mut *active]) {
                active.failed = Some(error);
            }
        }
    }

    /// Takes out the runs that have ended, and decodes those that came to their end.
    pub fn take_finished(&mut self, model: &Model) -> Vec<Finished> {
        let denoised = Instant::now();
        let has_ended = |active: &Active| active.failed.is_some() || active.run.is_done();
        let ended: Vec<RunKey> =
            self.runs.iter().filter(|(_, active)| has_ended(active)).map(|(key, _)| *key).collect();
        let taken = ended.into_iter().filter_map(|key| Some((key, self.runs.remove(&key)?)));
        taken.map(|(key, active)| active.finish(key, model, denoised)).collect()
    }
}

impl Active {
    fn finish(self, key: RunKey, model: &Model, denoised: Instant) -> Finished {
        let started = Instant::now();
        let image = match self.failed {
            Some(error) => Err(EngineError::Failed(error)),
            None => decode(model, &self.run).map(Arc::new),
        };
        let recording = match &self.run {
            Run::Source(run) => Some(Arc::clone(run.recording())),
            Run::Edit(_) => None,
        };
        Finished { key, source: self.session.zip(recording), image, denoised, decode: started.elapsed() }
    }
}

fn step_together(model: &Model, members: &mut [&mut Active]) -> Result<(), String> {
    let mut runs: Vec<&mut Run> = members.iter_mut().map(|active| &mut active.run).collect();
    let results = denoise(model, &mut runs)?;
    for (active, result) in members.iter_mut().zip(results) {
        active.failed = result.err();
    }
    Ok(())
}

fn decode(model: &Model, run: &Run) -> Result<Image, EngineError> {
    let is_finite = || run.latents().abs()?.sum_all()?.to_scalar::<f32>().map(f32::is_finite);
    if !guarded(is_finite).map_err(EngineError::Failed)? {
        return Err(EngineError::Diverged);
    }
    let rgb = guarded(|| model.decode(run.latents())).map_err(EngineError::Failed)?;
    let key = CompatibilityKey::of(run);
    Ok(Image { width: key.width * model.info.vae_factor, height: key.height * model.info.vae_factor, rgb })
}
