//! Recordings as files: a folder for each session, in it a file for each part.
//!
//! ```text
//! <dir>/<first 16 digits of the model's fingerprint>/    models share <dir> and never see each other
//!     .lock                                              held while the folder is open: one process at a time
//!     ses_<32 digits>/
//!         source.json                                    what the session is, see `source_file`
//!         trajectory.safetensors, cross-007.safetensors  its parts, see `header` and `part_file`
//! ```
//!
//! - `folder`: the store; read it first
//! - `paths`: the names of files and folders, and which text may become a path
//! - `header`: what a part's file says of itself, its exact length, its checksum
//! - `part_file`: parts to bytes and back
//! - `source_file`: sources to bytes and back
//! - `scan`: listing and cleaning up what an earlier process has left
//!
//! Files appear whole or not at all: they are written under another name and renamed. Nothing is forced to the device
//! (fsync), so a killed process leaves nothing wrong, while a power cut may leave a file of the right length with wrong
//! bytes; reading finds that by the checksum.
//!
//! Nothing here starts threads, has budgets or decides what to keep, and nothing outside depends on paths and files.

mod folder;
mod header;
pub(crate) mod part_file;
mod paths;
mod scan;
pub(crate) mod source_file;
#[cfg(test)]
mod tests;

pub use folder::Folder;
#[cfg(test)]
pub(crate) use header::Owner;
