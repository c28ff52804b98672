//! API keys: the file that lists them, and those that count now.

pub mod file;
pub(crate) mod ring;
