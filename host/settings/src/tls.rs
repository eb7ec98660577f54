//! The cryptography behind every TLS connection: ring, chosen once. And the certificate of the public port.
//!
//! It exists because three crates speak TLS here, and each has its own idea of what chooses:
//! reqwest takes what the process has chosen and panics if nothing is, the crate that downloads
//! Postgres chooses ring if nothing is, and sqlx always takes ring. One choice at the start, before
//! the first client is made, suits all three and leaves nothing to the order in which they are
//! used.

mod authorities;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use self::authorities::{Authorities, NoAuthority, roots};

/// Choose. May be called again.
pub fn install() {
    // Fails if there is a choice already. No other provider is compiled in, so it is ring.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The protocols that a client may choose from, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its key, tried and ready to be served. Printing it shows neither. Clones are one: what takes the
/// place of it does so everywhere.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ArcSwap<ServerConfig>>,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug)]
pub struct TlsError {
    /// `false`: it is the certificate that is wrong.
    pub of_key: bool,
    pub what: String,
    pub fix: &'static str,
}

// === impl ServerTls ===

impl ServerTls {
    /// From the texts of two PEM files: the certificate with its chain, and its key.
    pub fn new(certificate: &str, key: &str) -> Result<Self, TlsError> {
        let wrong = |of_key, what: String, fix| TlsError { of_key, what, fix };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            let what = "there is no certificate in the PEM file".to_owned();
            wrong(false, what, "it begins with -----BEGIN CERTIFICATE-----")
        })?;
        // Errors of the key's parser are not repeated: they may quote it.
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            let what = "there is no private key in the PEM text".to_owned();
            wrong(true, what, "it begins with -----BEGIN PRIVATE KEY----- and is not encrypted")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(false, error.to_string(), "tell the authors of wasm-host"))?
            .with_no_client_auth()
            .with_single_cert(chain, key);
        let mut config = config.map_err(|error| {
            let mismatch = matches!(error, rustls::Error::InconsistentKeys(_));
            let what = match mismatch {
                true => "the key is not the one of the certificate".to_owned(),
                false => format!("the certificate and its key cannot be used: {error}"),
            };
            wrong(mismatch, what, "the first certificate of the file must be the server's own")
        })?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self { config: Arc::new(ArcSwap::from_pointee(config)) })
    }

    /// What the next handshake is made with. A connection keeps what its own was made with.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }

    /// Serve another certificate from now on. Nothing of the one before is kept, sessions that could be taken up again
    /// included.
    pub fn replace(&self, other: Self) {
        self.config.store(other.config());
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServerTls")
    }
}
