pub mod api;
pub mod diffusion;
pub mod engine;
pub mod media;
pub mod p2p;
pub mod session;
