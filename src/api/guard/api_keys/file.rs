//! The file of API keys. It is polled, so changes take effect without a restart.
//!
//! A file that cannot be read or is invalid leaves the keys in force; the log and a metric report it. A change takes
//! effect once it was read twice, so that a file that is being written is not used. The file is polled rather than
//! watched, because mounted secrets are replaced through links, which file watchers miss.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prometheus::IntGauge;

use crate::api::guard::api_keys::ring::{InvalidKeys, KeyRing};
use crate::sync::lock;
use crate::telemetry::labels::label;
use crate::telemetry::metrics::Counters;

label! {
    /// How a change of the file of API keys ended.
    KeysReload as "outcome" {
        /// It is in force.
        Taken = "taken",
        /// It is invalid; the keys from before stay in force.
        Refused = "refused",
    }
}

/// How often the file is read.
const INTERVAL: Duration = Duration::from_secs(1);
/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file of API keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot be read ({0})")]
    Unreadable(#[from] io::Error),
    /// Its content is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidKeys),
}

/// A file of API keys and the keys that were read from it.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ring: Arc<KeyRing>,
    /// The last content that was settled: in force, or found invalid.
    settled: Seen,
    /// A different content that was read once.
    new: Option<Seen>,
}

/// What was read: a content, or an error.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Content(blake3::Hash),
    Unreadable(io::ErrorKind),
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read or is invalid.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let text = read(path)?;
        let ring = parse(&text)?;
        let inner = Inner { ring: Arc::new(ring), settled: Seen::Content(blake3::hash(&text)), new: None };
        Ok(Self { path: path.to_owned(), inner: Mutex::new(inner) })
    }

    /// The keys in force.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&lock(&self.inner).ring)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Logs a warning for each key in force that could be guessed.
    pub(crate) fn warn_of_weak_keys(&self) {
        let file = self.path.display();
        for line in self.ring().weak_keys() {
            tracing::warn!(%file, line, "an API key could be guessed; `openssl rand -hex 32` makes a strong one");
        }
    }

    /// Polls the file; never ends. `keys` is the number of keys in force.
    pub async fn watch(self: Arc<Self>, keys: &IntGauge, reloads: &Counters<KeysReload>) {
        keys.set(count(&self.ring()));
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let path = self.path.clone();
            let Ok(content) = tokio::task::spawn_blocking(move || read(&path)).await else {
                continue;
            };
            let file = self.path.display();
            match self.observe(content) {
                None => {}
                Some(Ok(ring)) => {
                    keys.set(count(&ring));
                    reloads.with(KeysReload::Taken).inc();
                    tracing::info!(%file, keys = ring.len(), "the API keys have changed");
                    self.warn_of_weak_keys();
                }
                Some(Err(error)) => {
                    reloads.with(KeysReload::Refused).inc();
                    tracing::error!(%file, %error, "the API key file is invalid; the previous keys stay valid");
                }
            }
        }
    }

    /// Compares what was read with what is settled; `Some` if a change took effect or is invalid.
    fn observe(&self, content: io::Result<Vec<u8>>) -> Option<Result<Arc<KeyRing>, KeyFileError>> {
        let seen = match &content {
            Ok(text) => Seen::Content(blake3::hash(text)),
            Err(error) => Seen::Unreadable(error.kind()),
        };
        let mut inner = lock(&self.inner);
        if seen == inner.settled {
            inner.new = None;
            return None;
        }
        if inner.new.as_ref() != Some(&seen) {
            inner.new = Some(seen);
            return None;
        }
        (inner.settled, inner.new) = (seen, None);
        let ring = content.map_err(KeyFileError::from).and_then(|text| parse(&text));
        Some(ring.map(|ring| {
            inner.ring = Arc::new(ring);
            Arc::clone(&inner.ring)
        }))
    }
}

fn count(ring: &KeyRing) -> i64 {
    i64::try_from(ring.len()).unwrap_or(i64::MAX)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    let is_small = text.len() as u64 <= MAX_BYTES;
    if is_small { Ok(text) } else { Err(io::Error::other("it is larger than 1 MiB")) }
}

fn parse(text: &[u8]) -> Result<KeyRing, KeyFileError> {
    let text = std::str::from_utf8(text).map_err(|_| io::Error::other("it is not UTF-8"))?;
    Ok(text.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-key-of-alice";
    const NEW: &str = "new-key-of-alice";

    fn opened() -> KeyFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), OLD).unwrap();
        KeyFile::open(file.path()).unwrap()
    }

    fn look(file: &KeyFile, content: &str) -> Option<Result<usize, String>> {
        let looked = file.observe(Ok(content.as_bytes().to_vec()));
        looked.map(|ring| ring.map(|ring| ring.len()).map_err(|error| error.to_string()))
    }

    #[test]
    fn a_change_takes_effect_once_it_was_read_twice() {
        let file = opened();
        assert_eq!(look(&file, OLD), None);
        let both = format!("{OLD}\n{NEW}");
        assert_eq!((look(&file, "half a"), look(&file, &both)), (None, None));
        assert!(file.ring().find(NEW.as_bytes()).is_none());
        assert_eq!((look(&file, &both), look(&file, &both)), (Some(Ok(2)), None));
        assert!(file.ring().find(NEW.as_bytes()).is_some());
    }

    #[test]
    fn an_invalid_file_keeps_the_keys_and_is_reported_once() {
        let file = opened();
        for broken in ["", "# none\n", "one two three"] {
            assert_eq!(look(&file, broken), None);
            assert!(matches!(look(&file, broken), Some(Err(_))), "{broken}");
            assert_eq!(look(&file, broken), None);
            assert!(file.ring().find(OLD.as_bytes()).is_some());
        }
        let gone = || file.observe(Err(io::ErrorKind::NotFound.into()));
        assert!(gone().is_none() && gone().is_some_and(|looked| looked.is_err()) && gone().is_none());
        assert_eq!((look(&file, NEW), look(&file, NEW)), (None, Some(Ok(1))));
        assert!(file.ring().find(OLD.as_bytes()).is_none());
    }
}
