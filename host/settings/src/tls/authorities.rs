//! Authorities that a table of the application file names under `ca`: those of a company, or of a server that
//! signed for itself. They are trusted beside the system's, by the connections of that table and no others.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The certificates of one PEM file, each tried.
#[derive(Clone)]
pub struct Authorities {
    pem: Arc<str>,
    store: Arc<RootCertStore>,
}

/// Why a file names no authority: what is wrong, and the fix.
#[derive(Debug)]
pub struct NoAuthority(pub &'static str, pub &'static str);

impl Authorities {
    pub fn new(pem: &str) -> Result<Self, NoAuthority> {
        let certificates: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|_| {
            NoAuthority("the PEM file is damaged", "copy it again, from -----BEGIN to the end")
        })?;
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            store.add(certificate).map_err(|_| {
                NoAuthority(
                    "a certificate in the PEM file cannot be read",
                    "it must hold certificates of the form X.509",
                )
            })?;
        }
        if store.is_empty() {
            return Err(NoAuthority(
                "there is no certificate in the PEM file",
                "it begins with -----BEGIN CERTIFICATE-----",
            ));
        }
        Ok(Self { pem: pem.into(), store: Arc::new(store) })
    }

    /// The text of the file, for drivers that read it themselves.
    pub fn pem(&self) -> &[u8] {
        self.pem.as_bytes()
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authorities({})", self.store.len())
    }
}

/// What the system trusts, and `own`. Fails if that is none.
pub fn roots(own: Option<&Authorities>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // A certificate of the system that cannot be read is the system's affair.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(own) = own {
        roots.extend(own.store.roots.iter().cloned());
    }
    match roots.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this system has none; install ca-certificates, or name a file of them with 'ca'",
        )),
        false => Ok(roots),
    }
}
