//! Pages that are compiled into the binary: the playground at `/`, the contract at `/docs`.

pub mod docs;
pub mod playground;
