//! From a file's bytes to a compiled component.
//!
//! Compiling takes tens of milliseconds to seconds of a processor, so it runs off the threads that serve requests,
//! and its result is kept on disk under the digest of the file and the engine's own hash.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

use crate::engine::Engine;
use crate::limits;

mod cache;

pub use cache::CodeCache;

/// What names a version: the SHA-256 of its file.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest(String);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// All 64 digits.
    pub fn full(&self) -> &str {
        &self.0
    }

    /// As much of it as people compare.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.short())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A compiled component and where it came from.
pub struct Compiled {
    pub component: Component,
    pub digest: Digest,
    pub path: PathBuf,
    pub file_bytes: usize,
}

/// Read and compile the component in `path`.
pub async fn compile(engine: Arc<Engine>, cache: Arc<CodeCache>, path: &Path) -> Result<Compiled> {
    let path = path.to_path_buf();
    tokio::task::spawn_blocking(move || {
        let bytes = read(&path)?;
        let digest = Digest::of(&bytes);
        let component = match cache.load(engine.wasmtime(), &digest) {
            Some(component) => component,
            None => {
                let component = Component::from_binary(engine.wasmtime(), &bytes)
                    .map_err(anyhow::Error::from)
                    .with_context(|| format!("{} is not a valid component", path.display()))?;
                cache.store(engine.wasmtime(), &digest, &component);
                component
            }
        };
        Ok(Compiled { component, digest, path, file_bytes: bytes.len() })
    })
    .await
    .context("the compiler stopped")?
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot read the component {}", path.display()))?
        .len();
    if size > limits::COMPONENT_FILE_BYTES {
        bail!(
            "{} has {size} bytes; a component has at most {}",
            path.display(),
            limits::COMPONENT_FILE_BYTES
        );
    }
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read the component {}", path.display()))?;
    check_kind(&bytes).with_context(|| format!("{} is not a component", path.display()))?;
    Ok(bytes)
}

/// Tell a component from what people most often hand over instead.
fn check_kind(bytes: &[u8]) -> Result<()> {
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => bail!(
            "it is a core WebAssembly module; build it for a component target such as wasm32-wasip2, or wrap it with `wasm-tools component new`"
        ),
        Some([0, b'a', b's', b'm', ..]) => {
            bail!("it is WebAssembly of a version that this host does not know")
        }
        _ => bail!(
            "it is not WebAssembly: the first bytes are not `\\0asm`; give the .wasm file that your build makes"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_component_is_named() {
        let reason = |bytes: &[u8]| check_kind(bytes).unwrap_err().to_string();
        assert!(reason(b"").contains("not WebAssembly"));
        assert!(reason(b"#!/bin/sh\necho").contains("not WebAssembly"));
        assert!(reason(b"\0asm\x01\0\0\0").contains("core WebAssembly module"));
        assert!(reason(b"\0asm\x09\0\0\0").contains("version"));
        assert!(check_kind(b"\0asm\x0d\0\x01\0").is_ok());
    }
}
