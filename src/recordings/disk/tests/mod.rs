//! What files of recordings promise beyond every store ([`crate::recordings::store::suite`]): `parts` and `sources` as
//! bytes, `damage`, the `folder` in use and over restarts, and files of earlier `versions`.

mod damage;
mod folder;
mod parts;
mod restart;
mod sources;
mod versions;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::recordings::disk::Folder;
use crate::recordings::part::Part;
use crate::recordings::session_id::SessionId;
use crate::recordings::source::{Origin, Source};
use crate::recordings::store::suite::{bits, tensors};
use crate::recordings::store::{Content, Listing, RecordingStore};
use crate::recordings::testing::MODEL;

const OTHER_MODEL: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

fn source(seed: u64) -> Source {
    Source {
        negative_prompt: "blurry".to_owned(),
        ..Source::new("a photo of a \"cat\"\n\u{1f408}", Origin::Seed(seed), 50, (512, 768))
    }
}

fn id(seed: u64) -> SessionId {
    source(seed).session_id(MODEL)
}

fn temp_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open(dir: &TempDir) -> (Folder, Listing) {
    let folder = Folder::open(dir.path(), MODEL).expect("the folder opens");
    let listing = folder.list().expect("the folder is listed");
    (folder, listing)
}

/// The path of a session's file.
fn file(dir: &TempDir, seed: u64, name: &str) -> PathBuf {
    session_dir(dir, seed).join(name)
}

fn session_dir(dir: &TempDir, seed: u64) -> PathBuf {
    dir.path().join(&MODEL[..16]).join(id(seed).as_str())
}

/// All names below a folder, files and folders.
fn names_below(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

/// A session with its source and some parts.
fn record(folder: &Folder, seed: u64, parts: &[Part]) {
    folder.put(&id(seed), Content::Source(&source(seed))).expect("the source is written");
    for part in parts {
        folder.put(&id(seed), Content::Part(*part, &tensors())).expect("the part is written");
    }
}
