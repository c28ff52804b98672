//! Pages that are compiled in: the playground at `/`, the contract at `/docs`.

pub mod docs;
pub mod playground;
