//! The cryptography behind every TLS connection: ring, chosen once.
//!
//! It exists because three crates speak TLS here, and each has its own idea of who chooses: reqwest
//! takes what the process has chosen and panics if nothing is, the crate that downloads Postgres
//! chooses ring if nothing is, and sqlx always takes ring. One choice at the start, before the
//! first client is made, suits all three and leaves nothing to the order in which they are used.

/// Choose. May be called again.
pub fn install() {
    // Fails if there is a choice already. No other provider is compiled in, so it is ring.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
