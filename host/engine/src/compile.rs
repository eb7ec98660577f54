//! From a file's bytes to a compiled component.
//!
//! Compiling takes tens of milliseconds to seconds of a processor, and as much as it likes of a component that was made
//! for that. So it is done by a process of its own, with bounds ([`apart`]), and its result is kept on disk under the
//! digest of the file and the engine's own hash.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::Engine;
use crate::compose::Part;
use wasm_host_limits as limits;
use wasm_host_log::tell_if_long;
use wasm_host_system::digest::Digest;

mod apart;
mod cache;
mod code;
pub mod compiler;
mod composer;
mod origin;
mod outline;
mod turns;

pub use apart::Compiler;
pub use cache::CodeCache;
pub use code::Code;
pub use outline::Outline;

/// Bytes that say what a file is, and of which version.
const HEADER: usize = 8;

/// A component's bytes, checked to be a component, and what names them.
#[derive(Clone)]
pub struct ComponentFile {
    pub bytes: Arc<[u8]>,
    pub digest: Digest,
    /// Where they came from, for people.
    pub path: PathBuf,
    /// What it was put together from. None of them: it is one component as it came.
    pub parts: Arc<[Part]>,
}

impl ComponentFile {
    /// Read a file once; what happens to it afterwards does not matter.
    pub async fn read(path: &Path) -> Result<Self> {
        let path = path.to_path_buf();
        tokio::task::spawn_blocking(move || Self::read_now(&path))
            .await
            .context("the file could not be read")?
    }

    /// The same for a thread that may wait.
    pub fn read_now(path: &Path) -> Result<Self> {
        Self::from_bytes(read(path)?, path.to_path_buf())
    }

    /// Whether there is a file that looks like a component, without reading all of it.
    pub fn look(path: &Path) -> Result<()> {
        let mut begin = Vec::new();
        let read = open(path)?.take(HEADER as u64).read_to_end(&mut begin);
        read.with_context(|| format!("cannot read the component {}", path.display()))?;
        check_kind(&begin).with_context(|| format!("{} is not a component", path.display()))
    }

    /// Bytes that came another way. `path` names their origin.
    pub fn from_bytes(bytes: Vec<u8>, path: PathBuf) -> Result<Self> {
        check_kind(&bytes).with_context(|| format!("{} is not a component", path.display()))?;
        Ok(Self { digest: Digest::of(&bytes), bytes: bytes.into(), path, parts: Arc::default() })
    }

    /// Requests that one instance of it serves at the same time, unless the application file says how many.
    pub fn per_instance(&self) -> usize {
        // What one part does for a request when the outermost is done with it could not be told from the next one's.
        if self.parts.is_empty() { origin::per_instance(&self.bytes) } else { 1 }
    }

    /// What it is, however it was put together: two of the same parts are the same, also if their bytes are not, as those
    /// that two versions of the host make may differ.
    pub fn identity(&self) -> Digest {
        if self.parts.is_empty() {
            return self.digest.clone();
        }
        let parts = self.parts.iter().map(|part| format!("{} {}\n", part.digest, part.role));
        Digest::of(parts.collect::<String>().as_bytes())
    }

    /// Whether the file ends where its last section ends: half a file does not. Says nothing about
    /// what is in the sections.
    pub fn is_whole(&self) -> bool {
        let mut rest = self.bytes.get(HEADER..).unwrap_or_default();
        while !rest.is_empty() {
            match first_section(rest) {
                Some(section) => rest = section.after,
                None => return false,
            }
        }
        self.bytes.len() > HEADER
    }
}

/// Compile a component in this process, or load its code from the cache. For programs that are not the host and for
/// components that their user has chosen to trust: nothing bounds it.
pub fn compile_now(engine: &Engine, cache: &CodeCache, file: &ComponentFile) -> Result<Arc<Code>> {
    if let Some(component) = cache.load(engine.wasmtime(), &file.digest) {
        return Ok(component);
    }
    let code = tell_if_long(&what(file), || precompile(engine.wasmtime(), file))?;
    cache.store(engine.wasmtime(), &file.digest, &code)
}

fn precompile(engine: &wasmtime::Engine, file: &ComponentFile) -> Result<Vec<u8>> {
    let code = engine.precompile_component(&file.bytes);
    code.map_err(anyhow::Error::from).with_context(|| invalid(file))
}

/// What is done when a component is compiled, for people.
fn what(file: &ComponentFile) -> String {
    format!("compiling {} of {:.1} MB", file.path.display(), file.bytes.len() as f64 / 1e6)
}

fn invalid(file: &ComponentFile) -> String {
    format!("{} is not a valid component", file.path.display())
}

fn open(path: &Path) -> Result<fs::File> {
    let cannot = || format!("cannot read the component {}", path.display());
    // Asked before it is opened: opening a pipe waits for a writer.
    if !fs::metadata(path).with_context(cannot)?.is_file() {
        bail!("{} is not a file", path.display());
    }
    fs::File::open(path).with_context(cannot)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // It may grow while it is read.
    let read = open(path)?.take(limits::COMPONENT_FILE_BYTES + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read the component {}", path.display()))?;
    if bytes.len() as u64 > limits::COMPONENT_FILE_BYTES {
        bail!("{} is larger than {} bytes", path.display(), limits::COMPONENT_FILE_BYTES);
    }
    Ok(bytes)
}

/// Tell a component from what people most often hand over instead.
fn check_kind(bytes: &[u8]) -> Result<()> {
    match bytes.get(..HEADER) {
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

/// The section at the beginning of these bytes.
struct Section<'a> {
    content: &'a [u8],
    /// What follows it.
    after: &'a [u8],
}

/// A section is a byte that says what it is, its length in LEB128, that many bytes.
fn first_section(bytes: &[u8]) -> Option<Section<'_>> {
    let (mut length, mut at) = (0_u64, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= u64::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        if at > 5 {
            return None;
        }
    }
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    Some(Section { content: bytes.get(at..end)?, after: bytes.get(end..)? })
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

    #[test]
    fn a_file_that_was_cut_is_not_whole() {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([0, 3, 1, b'a', b'b']);
        bytes.extend([1, 0x80 | 72, 1]);
        bytes.extend([0; 200]);
        let whole = |length: usize| {
            ComponentFile::from_bytes(bytes[..length].to_vec(), PathBuf::new()).unwrap().is_whole()
        };
        let ends: Vec<usize> = (8..=bytes.len()).filter(|length| whole(*length)).collect();
        // After the first section, and after the second.
        assert_eq!(ends, [13, 216]);
        bytes.extend([1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert!(!ComponentFile::from_bytes(bytes, PathBuf::new()).unwrap().is_whole());
    }
}
