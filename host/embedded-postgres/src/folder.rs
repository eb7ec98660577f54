//! The server's folder: which host holds it, where its data is, and its secret.
//!
//! ```text
//! STATE/postgres/host.lock    held by the host that runs the server; its process id is inside
//! STATE/postgres/password     of which all passwords are made; readable by the host only
//! STATE/postgres/server.log   what the server says
//! STATE/postgres/data         the server's data
//! ```
//!
//! A root host runs the server as another user. If that user cannot reach the state folder (one
//! below `/root`, say), the data is in `/var/lib/wasm-host/ID` instead, with the ID in
//! `STATE/postgres/id`. Removing the state folder then still makes the next start a fresh one.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::account::Account;
use super::shown;
use wasm_host_system::lock::{self, Lock};
use wasm_host_system::owned;

/// Where data goes that the server's user could not reach in the state folder.
const FALLBACK: &str = "/var/lib/wasm-host";

/// An open folder. The lock is released when it is dropped, and by the system when the host dies.
pub(super) struct Folder {
    /// The host's part.
    root: PathBuf,
    /// The server's part.
    home: PathBuf,
    account: Option<Account>,
    secret: String,
    _lock: Lock,
}

/// Without the secret.
impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folder").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Folder {
    pub(super) fn open(state: &Path, account: Option<Account>) -> anyhow::Result<Self> {
        let root = state.join("postgres");
        owned::folder(&root)?;
        let root = fs::canonicalize(&root)?;
        let lock = lock::hold(&root)?;
        let home = match account {
            Some(account) if !account.can_reach(&root) => fallback(&root)?,
            _ => root.clone(),
        };
        let has_data = home.join("data").exists();
        let secret = secret(&root.join("password"), has_data)?;
        Ok(Self { root, home, account, secret, _lock: lock })
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Where the server's user may read and the host may write.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn log_file(&self) -> PathBuf {
        self.root.join("server.log")
    }

    /// A folder below [`Folder::home`] that belongs to the server's user alone.
    pub(super) fn private(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.home.join(name);
        make_private(&path, self.account)?;
        Ok(path)
    }

    pub(super) fn give(&self, path: &Path) -> anyhow::Result<()> {
        self.account.map_or(Ok(()), |account| account.give(path))
    }

    /// The password of a role. Each has its own, so that none can log in as another.
    pub(super) fn password_for(&self, role: &str) -> String {
        let hash = Sha256::new().chain_update(&self.secret).chain_update([0]).chain_update(role);
        hex::encode(hash.finalize())
    }
}

/// Make a folder that belongs to the server's user alone, if it is not there.
pub(super) fn make_private(path: &Path, account: Option<Account>) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(path);
    // A link would be another folder, perhaps of another user.
    let is_folder = || fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    match made {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_folder() => {}
        made => made.with_context(|| format!("cannot create {}", shown(path)))?,
    }
    account.map_or(Ok(()), |account| account.give(path))
}

fn fallback(root: &Path) -> anyhow::Result<PathBuf> {
    let id_file = root.join("id");
    let id = match fs::read_to_string(&id_file) {
        Ok(id) => id.trim().to_string(),
        Err(_) => {
            let id = hex::encode(random::<8>()?);
            let mut file =
                owned::options().write(true).create(true).truncate(true).open(&id_file)?;
            writeln!(file, "{id}")?;
            id
        }
    };
    // What is read from the file becomes part of a path.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("{} is damaged; remove the state folder to start anew", shown(&id_file));
    }
    let home = Path::new(FALLBACK).join(id);
    owned::folder(&home).context("there is no place for the server's data")?;
    tracing::info!(
        state = %root.display(),
        home = %home.display(),
        "Postgres' user cannot reach the state folder; the data is elsewhere"
    );
    Ok(home)
}

fn secret(path: &Path, has_data: bool) -> anyhow::Result<String> {
    match fs::read_to_string(path) {
        Ok(secret) if secret.trim().len() == 64 => return Ok(secret.trim().to_string()),
        Ok(_) if !has_data => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !has_data => {}
        _ => bail!(
            "the server's secret {} is missing or damaged; restore it, or remove the state folder \
             to start with empty databases",
            shown(path),
        ),
    }
    let secret = hex::encode(random::<32>()?);
    // Whole or not at all: half a secret would lock the data away.
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    Ok(secret)
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read `/dev/urandom`")?;
    Ok(bytes)
}
