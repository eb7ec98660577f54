//! Compiled code on disk, so that a restart or a rollback does not compile again.
//!
//! An entry is named by the component's digest and by the engine's hash (version, settings, processor), so that
//! code of another engine is never loaded. The folder is the host's own, with mode 0700: loading
//! machine code is as trusting as running a program from there. A cache that cannot be written is a slower start, not an error.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine::compile::Digest;
use crate::limits;

/// The folder of compiled components.
pub struct CodeCache {
    folder: Option<PathBuf>,
}

impl CodeCache {
    /// Keep code below `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        let folder = state_dir.join("code");
        match create_private(&folder) {
            Ok(()) => Self { folder: Some(folder) },
            Err(error) => {
                tracing::warn!(
                    "compiled code is not kept: cannot use {}: {error}",
                    folder.display()
                );
                Self { folder: None }
            }
        }
    }

    /// Keep code for this user, whatever it is for: the names of entries say what they were made from.
    pub fn of_user() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        folder.map_or_else(Self::none, |folder| Self::new(&folder.join("wasm-host")))
    }

    /// Keep nothing.
    pub fn none() -> Self {
        Self { folder: None }
    }

    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.path(engine, digest)?;
        if !path.exists() {
            return None;
        }
        match load_compiled(engine, &path) {
            Ok(component) => {
                // The time of use decides what is removed first.
                if let Ok(file) = fs::File::open(&path) {
                    let _ = file.set_modified(SystemTime::now());
                }
                Some(component)
            }
            Err(error) => {
                tracing::debug!("compiled code in {} is of no use: {error}", path.display());
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    pub(super) fn store(&self, engine: &Engine, digest: &Digest, component: &Component) {
        let Some(path) = self.path(engine, digest) else { return };
        if let Err(error) = write(&path, component) {
            tracing::warn!("compiled code is not kept: cannot write {}: {error}", path.display());
        }
        self.trim(limits::CODE_CACHE_BYTES);
    }

    fn path(&self, engine: &Engine, digest: &Digest) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name = format!("{}-{:016x}.cwasm", digest.full(), hasher.finish());
        Some(self.folder.as_ref()?.join(name))
    }

    /// Remove what was used longest ago until at most `bytes` are left.
    fn trim(&self, bytes: u64) {
        let Some(folder) = &self.folder else { return };
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let data = entry.metadata().ok()?;
                Some((data.modified().ok()?, data.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= bytes {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                total = total.saturating_sub(size);
            }
        }
    }
}

/// Load machine code that this host compiled. The only unsafe code of the host.
#[expect(
    unsafe_code,
    reason = "the file was written by `write` into a folder that only this user can write to"
)]
fn load_compiled(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file is the output of `Component::serialize` of an engine with the same hash: its name carries
    // the hash, it appears under that name only when whole (`write` renames), and its folder has mode 0700.
    unsafe { Component::deserialize_file(engine, path) }
}

static PARTIALS: AtomicU64 = AtomicU64::new(0);

/// Write beside the final name, then rename, so that a reader never sees half a file.
fn write(path: &Path, component: &Component) -> anyhow::Result<()> {
    // Two services with the same component may write it at the same time.
    let turn = PARTIALS.fetch_add(1, Ordering::Relaxed);
    // In containers all hosts have the same process id, and may share a volume.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let partial = path.with_extension(format!("partial-{}-{turn}-{now}", std::process::id()));
    let written = component
        .serialize()
        .map_err(anyhow::Error::from)
        .and_then(|code| Ok(fs::write(&partial, code)?))
        .and_then(|()| Ok(fs::rename(&partial, path)?));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

fn create_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}
