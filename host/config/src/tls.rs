//! `tls` of `[http]`: the files of a certificate and its key, read at the start and whenever they are said to have
//! changed.
//!
//! A certificate is tried as it is read, so that a wrong one is reported with its line, and later on never takes the
//! place of one that serves.

use std::path::PathBuf;

use super::{Secret, disk};
use wasm_host_settings::context::{Context, Located};
use wasm_host_settings::diagnostic::{Problem, quoted};
use wasm_host_settings::file::Table;
use wasm_host_settings::interpolate::HOLE;
use wasm_host_settings::named::What;
use wasm_host_settings::tls::{ServerTls, TlsError};

const EXAMPLE: &str = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }";

/// A certificate that is served, and where it comes from.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    pub served: ServerTls,
    certificate: PathBuf,
    key: Key,
}

/// Where a key comes from.
#[derive(Clone, Debug)]
enum Key {
    File(PathBuf),
    /// The text of it, from the environment or a secret file.
    Text(Secret),
}

// === impl TlsConfig ===

impl TlsConfig {
    /// Read both files again and serve what they hold from the next handshake on. The error says why all stays as it
    /// is.
    pub fn renew(&self) -> Result<(), String> {
        let text = |problem: Problem| problem.to_string();
        let certificate = disk::pem(&self.certificate).map_err(text)?;
        let key = self.key.read().map_err(text)?;
        let served = ServerTls::new(&certificate, key.expose());
        self.served.replace(served.map_err(|error| {
            let file = quoted(&self.certificate.display().to_string());
            format!("{file} and its key: {}", problem(error))
        })?);
        Ok(())
    }
}

// === impl Key ===

impl Key {
    fn read(&self) -> Result<Secret, Problem> {
        match self {
            Self::File(path) => disk::pem(path).map(Secret::new),
            Self::Text(text) => Ok(text.clone()),
        }
    }
}

/// `None` also for an application that runs elsewhere: there they are, and whoever renews them brings them there.
pub(super) fn tls(cx: &Context<'_>, http: &Table<'_>) -> Option<TlsConfig> {
    let (at, table) = http.table(cx, "tls", EXAMPLE)?;
    let table = Table::open(cx, "tls", at, table, &["certificate", "key"]);
    for key in ["certificate", "key"] {
        if !table.has(key) {
            let missing = format!("'tls' has no {}", quoted(key));
            cx.missing(&table.at, Problem::new(missing, format!("as in {EXAMPLE}")));
        }
    }
    let certificate = table.text(cx, "certificate").and_then(|path| {
        let file = cx.path(What::Certificate, &path);
        if cx.runs_elsewhere() {
            return None;
        }
        let pem = cx.checked(&path.at, disk::pem(&file))?;
        Some(Located { value: (file, pem), at: path.at })
    });
    let key = key(cx, &table).and_then(|key| {
        if cx.runs_elsewhere() {
            return None;
        }
        let pem = cx.checked(&key.at, key.value.read())?;
        Some(Located { value: (key.value, pem), at: key.at })
    });
    let (certificate, key) = (certificate?, key?);
    let ((file, chain), (source, pem)) = (certificate.value, key.value);
    match ServerTls::new(&chain, pem.expose()) {
        Ok(served) => Some(TlsConfig { served, certificate: file, key: source }),
        Err(error) => {
            let at = if error.of_key { &key.at } else { &certificate.at };
            cx.error(at, problem(error));
            None
        }
    }
}

fn problem(error: TlsError) -> Problem {
    Problem::new(error.what, error.fix)
}

/// The file that is named, or what a `${...}` stands for.
fn key(cx: &Context<'_>, table: &Table<'_>) -> Option<Located<Key>> {
    let written = table.interpolated(cx, "key")?;
    if written.value.skeleton.contains("-----BEGIN") {
        cx.error(
            &written.at,
            Problem::new(
                "the private key stands in the application file",
                "name the file that holds it, or take it from the environment with ${NAME}",
            ),
        );
        return None;
    }
    if written.value.value.contains("-----BEGIN") {
        return Some(Located {
            value: Key::Text(Secret::new(written.value.value)),
            at: written.at,
        });
    }
    if written.value.skeleton.contains(HOLE) {
        // It is a secret that is no key: nothing of it is repeated.
        cx.error(
            &written.at,
            Problem::new(
                "what stands for 'key' is not a private key",
                "a ${...} must hold the text of a PEM file; write the path of one without it",
            ),
        );
        return None;
    }
    let path = Located { value: written.value.value, at: written.at };
    Some(Located { value: Key::File(cx.path(What::PrivateKey, &path)), at: path.at })
}
