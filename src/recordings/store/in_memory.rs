//! A store in memory for tests: it can be slow, fail, and lose or corrupt what it holds. Parts are held in the format
//! of files, so corruption is detected in the same way.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::SystemTime;

use crate::recordings::disk::{Owner, part_file, source_file};
use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::store::{Content, Listing, RecordingStore, StoreError, StoredSession, Tensors};
use crate::recordings::testing::MODEL;

/// A store in memory. Clones share what they hold, as a reopened folder does.
#[derive(Debug, Clone, Default)]
pub(crate) struct InMemory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By session: the source under `None`, parts under their own.
    sessions: BTreeMap<SessionId, Stored>,
    is_held: bool,
    is_failing: bool,
    is_partial: bool,
    calls: Vec<String>,
}

#[derive(Debug, Default)]
struct Stored {
    contents: BTreeMap<Option<Part>, Vec<u8>>,
    last_used: Option<SystemTime>,
}

impl InMemory {
    /// Lets calls wait until they are released.
    pub(crate) fn hold(&self) {
        self.lock().is_held = true;
    }

    /// Releases calls that wait, and those to come.
    pub(crate) fn release(&self) {
        self.lock().is_held = false;
        self.0.changed.notify_all();
    }

    /// Waits until a call was made, also one that is held.
    pub(crate) fn wait_for(&self, call: &str) {
        let has_call = |state: &mut State| !state.calls.iter().any(|made| made == call);
        let patience = std::time::Duration::from_secs(60);
        let waited = self.0.changed.wait_timeout_while(self.lock(), patience, has_call).expect("not poisoned");
        assert!(!waited.1.timed_out(), "{call} was never made");
    }

    /// Lets every call fail, or none.
    pub(crate) fn fail(&self, is_failing: bool) {
        self.lock().is_failing = is_failing;
    }

    /// Lists nothing and says that there may be more, as a store does that others write to.
    pub(crate) fn share(&self) {
        self.lock().is_partial = true;
    }

    /// Flips the last bit of what is stored.
    pub(crate) fn corrupt(&self, session: &SessionId, part: Part) {
        let mut state = self.lock();
        let bytes = state.sessions.get_mut(session).and_then(|stored| stored.contents.get_mut(&Some(part)));
        *bytes.expect("a part").last_mut().expect("a byte") ^= 1;
    }

    /// The calls so far, such as `get trajectory.safetensors`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.lock().calls.clone()
    }

    /// Bytes of everything that is stored.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().sessions.values().flat_map(|stored| stored.contents.values()).map(|bytes| bytes.len() as u64).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("not poisoned")
    }

    fn call(&self, name: &str, session: &SessionId) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.lock();
        state.calls.push(name.to_owned());
        self.0.changed.notify_all();
        let state = self.0.changed.wait_while(state, |state| state.is_held).expect("not poisoned");
        if state.is_failing {
            let source = std::io::Error::other("the network is down");
            return Err(StoreError::Io { at: session.to_string(), source });
        }
        if !session.as_str().starts_with("ses_") || session.as_str().len() != 36 {
            return Err(StoreError::NotAnAddress(session.to_string()));
        }
        Ok(state)
    }
}

fn encode(session: &SessionId, content: Content<'_>) -> Result<(Option<Part>, Vec<u8>), StoreError> {
    match content {
        Content::Source(source) => Ok((None, source_file::text_of_session(source, MODEL, session)?.into_bytes())),
        Content::Part(part, tensors) => {
            let owner = Owner { fingerprint: MODEL, session, part };
            let mut bytes = Cursor::new(Vec::new());
            part_file::write(&mut bytes, Path::new("memory"), &owner, tensors)?;
            Ok((Some(part), bytes.into_inner()))
        }
    }
}

fn stored(id: &SessionId, stored: &Stored) -> Option<StoredSession> {
    let text = stored.contents.get(&None)?;
    let source = source_file::read(text.as_slice(), Path::new("memory"), MODEL, id).expect("a source");
    let mut parts: BTreeMap<Part, u64> =
        stored.contents.iter().filter_map(|(part, bytes)| Some(((*part)?, bytes.len() as u64))).collect();
    if !parts.contains_key(&Part::Trajectory) {
        parts.clear();
    }
    let last_used = stored.last_used.unwrap_or(SystemTime::UNIX_EPOCH);
    Some(StoredSession { id: id.clone(), source, source_bytes: text.len() as u64, parts, last_used })
}

impl RecordingStore for InMemory {
    fn list(&self) -> Result<Listing, StoreError> {
        let state = self.call("list", &crate::recordings::testing::id(0))?;
        let mut listing = Listing { is_partial: state.is_partial, ..Listing::default() };
        if !state.is_partial {
            listing.sessions = state.sessions.iter().filter_map(|(id, found)| stored(id, found)).collect();
            listing.sessions.sort_by_key(|session| session.last_used);
        }
        Ok(listing)
    }

    fn find(&self, session: &SessionId) -> Result<Listing, StoreError> {
        let state = self.call("find", session)?;
        let found = state.sessions.get(session).and_then(|found| stored(session, found));
        Ok(Listing { sessions: found.into_iter().collect(), ..Listing::default() })
    }

    fn get(&self, session: &SessionId, part: Part) -> Result<Tensors, StoreError> {
        let state = self.call(&format!("get {part}"), session)?;
        let bytes = state.sessions.get(session).and_then(|stored| stored.contents.get(&Some(part)));
        let bytes = bytes.ok_or(StoreError::Missing)?;
        let owner = Owner { fingerprint: MODEL, session, part };
        part_file::read(bytes.as_slice(), bytes.len() as u64, Path::new("memory"), &owner)
    }

    fn size(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        encode(session, content).map(|(_, bytes)| bytes.len() as u64)
    }

    fn put(&self, session: &SessionId, content: Content<'_>) -> Result<u64, StoreError> {
        let (part, bytes) = encode(session, content)?;
        let name = part.map_or_else(|| "source".to_owned(), |part| part.to_string());
        let mut state = self.call(&format!("put {name}"), session)?;
        let stored = state.sessions.entry(session.clone()).or_default();
        let length = bytes.len() as u64;
        stored.contents.insert(part, bytes);
        stored.last_used = Some(SystemTime::now());
        Ok(length)
    }

    fn delete_part(&self, session: &SessionId, part: Part) -> Result<(), StoreError> {
        let mut state = self.call(&format!("delete {part}"), session)?;
        if let Some(stored) = state.sessions.get_mut(session) {
            stored.contents.remove(&Some(part));
        }
        Ok(())
    }

    fn delete(&self, session: &SessionId) -> Result<(), StoreError> {
        self.call("delete", session)?.sessions.remove(session);
        Ok(())
    }

    fn touch(&self, session: &SessionId) -> Result<(), StoreError> {
        let mut state = self.call("touch", session)?;
        let stored = state.sessions.get_mut(session).filter(|stored| stored.contents.contains_key(&None));
        stored.ok_or(StoreError::Missing)?.last_used = Some(SystemTime::now());
        Ok(())
    }
}
