//! TLS for outgoing connections: webhooks and traces.

/// Installs the cryptography of rustls for this process. Calling it again changes nothing.
pub(crate) fn install_provider() {
    // An error says that a provider is installed already; which one does not matter.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
