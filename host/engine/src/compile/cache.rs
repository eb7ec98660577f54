//! Compiled code on disk, so that a restart or a rollback does not compile again.
//!
//! An entry is named by the component's digest and by the engine's hash (version, settings, processor), so that
//! code of another engine is never loaded. The folder is the host's own, with mode 0700: loading
//! machine code is as trusting as running a program from there. A disk is trusted less than that: an entry ends with
//! a digest of its name and its code, which is checked over a copy in memory, and only the copy is used. A cache that
//! cannot be written is a slower start, not an error.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate as engine;
use crate::compile::{Code, Digest};
use wasm_host_limits as limits;
use wasm_host_system::owned;

/// Bytes of the digest that an entry ends with.
const SEAL_BYTES: usize = 32;

/// The folder of compiled components.
pub struct CodeCache {
    folder: Option<PathBuf>,
    /// What is in use of it: services with the same component have one copy of its code.
    loaded: Mutex<HashMap<String, Weak<Code>>>,
}

impl CodeCache {
    /// Keep code below `state_dir`.
    pub fn new(state_dir: &Path) -> Self {
        let folder = state_dir.join("code");
        let usable = owned::folder(state_dir).and_then(|()| owned::private_folder(&folder));
        if let Err(error) = &usable {
            tracing::warn!("compiled code is not kept: {error:#}");
        }
        Self { folder: usable.is_ok().then_some(folder), loaded: Mutex::default() }
    }

    /// Keep code for this user, whatever it is for: the names of entries say what they were made from.
    pub fn of_user() -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        folder.map_or_else(Self::none, |folder| Self::new(&folder.join("wasm-host")))
    }

    /// Keep nothing.
    pub fn none() -> Self {
        Self { folder: None, loaded: Mutex::default() }
    }

    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Arc<Code>> {
        if let Some(code) = self.in_use(engine, digest) {
            return Some(code);
        }
        let name = name(engine, digest);
        let path = self.folder.as_ref()?.join(&name);
        match read(&path).and_then(|code| Ok(load_compiled(engine, &code)?)) {
            Ok(component) => {
                // The time of use decides what is removed first.
                if let Ok(file) = owned::believed(&path) {
                    let _ = file.set_modified(SystemTime::now());
                }
                Some(self.share(name, component))
            }
            Err(error) if is_absent(&error) => None,
            Err(error) => {
                tracing::warn!(
                    "compiled code on disk is of no use and is made anew: {}: {error:#}",
                    path.display()
                );
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// What another service has of it.
    pub(super) fn in_use(&self, engine: &Engine, digest: &Digest) -> Option<Arc<Code>> {
        self.loaded().get(&name(engine, digest)).and_then(Weak::upgrade)
    }

    /// Keep code that was just compiled, and load it.
    pub(super) fn store(
        &self,
        engine: &Engine,
        digest: &Digest,
        code: &[u8],
    ) -> anyhow::Result<Arc<Code>> {
        let component = load_compiled(engine, code)?;
        let name = name(engine, digest);
        if let Some(folder) = &self.folder {
            let path = folder.join(&name);
            if let Err(error) = write(&path, code) {
                tracing::warn!(
                    "compiled code is not kept: cannot write {}: {error}",
                    path.display()
                );
            }
            self.trim(limits::CODE_CACHE_BYTES);
        }
        Ok(self.share(name, component))
    }

    /// Of two that were loaded at the same time, the first is everybody's.
    fn share(&self, name: String, component: Component) -> Arc<Code> {
        let mut loaded = self.loaded();
        if let Some(code) = loaded.get(&name).and_then(Weak::upgrade) {
            return code;
        }
        let code = Arc::new(Code::new(component));
        loaded.retain(|_, code| code.strong_count() > 0);
        loaded.insert(name, Arc::downgrade(&code));
        code
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<String, Weak<Code>>> {
        self.loaded.lock()
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

/// What code is kept under.
fn name(engine: &Engine, digest: &Digest) -> String {
    format!("{}-{:016x}.cwasm", digest.full(), engine::hash(engine))
}

/// The code of an entry, if it is what was written under this name.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut code = Vec::new();
    owned::believed(path)?.take(limits::CODE_CACHE_BYTES).read_to_end(&mut code)?;
    let at = code.len().checked_sub(SEAL_BYTES).context("it is too short")?;
    let found = code.split_off(at);
    if found != seal(path, &code) {
        bail!("it is damaged");
    }
    Ok(code)
}

fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// What an entry ends with. The name is part of it: the right code under another name is the wrong code.
fn seal(path: &Path, code: &[u8]) -> [u8; SEAL_BYTES] {
    let name = path.file_name().unwrap_or_default();
    let sealed = Sha256::new().chain_update(name.as_encoded_bytes()).chain_update([0]);
    sealed.chain_update(code).finalize().into()
}

/// Load machine code that this host compiled. The only unsafe code of the host.
#[expect(
    unsafe_code,
    reason = "the code comes from a compiler that is this host, or was written by `write` into a folder that only this \
              user can write to"
)]
fn load_compiled(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are the output of `Engine::precompile_component` of an engine with the same hash. Either they
    // were just made, by this process or by one of the same executable that talked to this one only and ended well.
    // Or they were read from a file: its name carries the hash, its digest was checked over these very bytes, which
    // the engine copies, and its folder is this user's alone.
    unsafe { Component::deserialize(engine, code) }
}

static PARTIALS: AtomicU64 = AtomicU64::new(0);

/// Write beside the final name, then rename, so that a reader never sees half a file.
fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    // Two services with the same component may write it at the same time.
    let turn = PARTIALS.fetch_add(1, Ordering::Relaxed);
    // In containers all hosts have the same process id, and may share a volume.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let partial = path.with_extension(format!("partial-{}-{turn}-{now}", std::process::id()));
    let written = File::create_new(&partial).and_then(|mut file| {
        file.write_all(code)?;
        file.write_all(&seal(path, code))?;
        fs::rename(&partial, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests;
