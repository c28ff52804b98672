//! The file that keys come from, which is looked at again and again: what is new in it counts without a restart.
//!
//! A file that cannot be read or is wrong changes nothing; the log and a metric say so. What is new counts once it was
//! seen twice, so that a file that is being written is not taken for what it will be. It is read rather than watched:
//! mounted secrets are replaced by links, which watching for changes misses.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::api::guard::api_keys::ring::{InvalidKeys, KeyRing};
use crate::api::metrics::HttpMetrics;
use crate::telemetry::labels::label;

label! {
    /// What came of a change of the file of API keys.
    KeysReload as "outcome" {
        /// It counts.
        Taken = "taken",
        /// It is wrong, the keys from before count on.
        Refused = "refused",
    }
}

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// A larger file is not one of keys.
const MAX_BYTES: u64 = 1 << 20;

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("it cannot be read ({0})")]
    Unreadable(#[from] io::Error),
    /// What is in it is not what should be.
    #[error(transparent)]
    Invalid(#[from] InvalidKeys),
}

/// A file of keys and what was read from it.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    ring: Arc<KeyRing>,
    /// What counts, or was found wrong.
    known: Seen,
    /// What was seen last, where that is something else.
    new: Option<Seen>,
}

/// What a look at the file has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Content(blake3::Hash),
    Unreadable(io::ErrorKind),
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it cannot be read or holds something else than keys.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let text = read(path)?;
        let ring = parse(&text)?;
        let inner = Inner { ring: Arc::new(ring), known: Seen::Content(blake3::hash(&text)), new: None };
        Ok(Self { path: path.to_owned(), inner: Mutex::new(inner) })
    }

    /// The keys that count now.
    pub fn ring(&self) -> Arc<KeyRing> {
        Arc::clone(&self.lock().ring)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file from time to time; never ends.
    pub async fn watch(self: Arc<Self>, metrics: &HttpMetrics) {
        metrics.api_keys.set(count(&self.ring()));
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let path = self.path.clone();
            let Ok(content) = tokio::task::spawn_blocking(move || read(&path)).await else {
                continue;
            };
            let file = self.path.display();
            match self.look(content) {
                None => {}
                Some(Ok(ring)) => {
                    metrics.api_keys.set(count(&ring));
                    metrics.api_keys_reloads.of(KeysReload::Taken).inc();
                    tracing::info!(%file, keys = ring.len(), "the API keys have changed");
                }
                Some(Err(error)) => {
                    metrics.api_keys_reloads.of(KeysReload::Refused).inc();
                    tracing::error!(%file, %error, "the file of API keys is wrong, the keys from before count on");
                }
            }
        }
    }

    /// Takes in what is there now; tells where something else counts from here on, or is wrong.
    fn look(&self, content: io::Result<Vec<u8>>) -> Option<Result<Arc<KeyRing>, KeyFileError>> {
        let seen = match &content {
            Ok(text) => Seen::Content(blake3::hash(text)),
            Err(error) => Seen::Unreadable(error.kind()),
        };
        let mut inner = self.lock();
        if seen == inner.known {
            inner.new = None;
            return None;
        }
        if inner.new.as_ref() != Some(&seen) {
            inner.new = Some(seen);
            return None;
        }
        (inner.known, inner.new) = (seen, None);
        let ring = content.map_err(KeyFileError::from).and_then(|text| parse(&text));
        Some(ring.map(|ring| {
            inner.ring = Arc::new(ring);
            Arc::clone(&inner.ring)
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(ring: &KeyRing) -> i64 {
    i64::try_from(ring.len()).unwrap_or(i64::MAX)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    let is_small = text.len() as u64 <= MAX_BYTES;
    if is_small { Ok(text) } else { Err(io::Error::other("it is larger than a file of keys")) }
}

fn parse(text: &[u8]) -> Result<KeyRing, KeyFileError> {
    let text = std::str::from_utf8(text).map_err(|_| io::Error::other("it is no text"))?;
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
        let looked = file.look(Ok(content.as_bytes().to_vec()));
        looked.map(|ring| ring.map(|ring| ring.len()).map_err(|error| error.to_string()))
    }

    #[test]
    fn what_is_new_counts_once_it_was_seen_twice() {
        let file = opened();
        assert_eq!(look(&file, OLD), None);
        let both = format!("{OLD}\n{NEW}");
        assert_eq!((look(&file, "half a"), look(&file, &both)), (None, None));
        assert!(file.ring().find(NEW.as_bytes()).is_none());
        assert_eq!((look(&file, &both), look(&file, &both)), (Some(Ok(2)), None));
        assert!(file.ring().find(NEW.as_bytes()).is_some());
    }

    #[test]
    fn a_broken_file_keeps_the_keys_and_is_told_of_once() {
        let file = opened();
        for broken in ["", "# none\n", "one two three"] {
            assert_eq!(look(&file, broken), None);
            assert!(matches!(look(&file, broken), Some(Err(_))), "{broken}");
            assert_eq!(look(&file, broken), None);
            assert!(file.ring().find(OLD.as_bytes()).is_some());
        }
        let gone = || file.look(Err(io::ErrorKind::NotFound.into()));
        assert!(gone().is_none() && gone().is_some_and(|looked| looked.is_err()) && gone().is_none());
        assert_eq!((look(&file, NEW), look(&file, NEW)), (None, Some(Ok(1))));
        assert!(file.ring().find(OLD.as_bytes()).is_none());
    }
}
