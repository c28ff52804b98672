//! API keys: the file that lists them, and the keys in force.

pub mod file;
pub(crate) mod ring;
