//! One layer: an archive of files, compressed, the same for the same files.
//!
//! Entries are sorted and have no time; owners and modes are what is said here and nothing of this machine's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};
use wasm_host_limits::image::{LAYER_BYTES, LAYER_ENTRIES};
use wasm_host_limits::show::show_size;
use wasm_host_oci::digest::{ContentDigest, Digesting};
use wasm_host_oci::manifest::Descriptor;

/// A layer of OCI, compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What gzip says of a system that it does not know.
const UNKNOWN_SYSTEM: u8 = 255;

const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;

/// What is going to be in a layer.
#[derive(Debug, Default)]
pub struct Draft {
    /// By path, without the slash at its beginning. A folder comes before what is in it.
    entries: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    mode: u32,
    /// User and group.
    owner: u32,
}

#[derive(Debug)]
enum Kind {
    Folder,
    Bytes(Vec<u8>),
    /// Read when the layer is made.
    File(PathBuf),
    Link(PathBuf),
}

/// A layer as registries keep it.
#[derive(Clone, Debug)]
pub struct Layer {
    pub descriptor: Descriptor,
    /// Of what is in it, before compression.
    pub diff_id: ContentDigest,
    pub bytes: Bytes,
}

impl Draft {
    /// Whether there is more in it than a layer may have.
    pub(crate) fn is_overfull(&self) -> bool {
        self.entries.len() > LAYER_ENTRIES
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A folder that everybody may read.
    pub fn folder(&mut self, path: impl AsRef<Path>) {
        self.put(path.as_ref(), Kind::Folder, FOLDER_MODE, 0);
    }

    /// A folder with a mode and an owner of its own.
    pub fn owned_folder(&mut self, path: impl AsRef<Path>, mode: u32, owner: u32) {
        self.put(path.as_ref(), Kind::Folder, mode, owner);
    }

    pub fn bytes(&mut self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        self.put(path.as_ref(), Kind::Bytes(bytes.into()), FILE_MODE, 0);
    }

    pub fn program(&mut self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        self.put(path.as_ref(), Kind::Bytes(bytes), PROGRAM_MODE, 0);
    }

    /// The content of a file of this machine.
    pub fn file(&mut self, path: impl AsRef<Path>, from: PathBuf) {
        self.put(path.as_ref(), Kind::File(from), FILE_MODE, 0);
    }

    pub fn link(&mut self, path: impl AsRef<Path>, target: PathBuf) {
        self.put(path.as_ref(), Kind::Link(target), 0o777, 0);
    }

    fn put(&mut self, path: &Path, kind: Kind, mode: u32, owner: u32) {
        let path: PathBuf =
            path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        for folder in path.ancestors().skip(1).filter(|folder| *folder != Path::new("")) {
            let entry = Entry { kind: Kind::Folder, mode: FOLDER_MODE, owner: 0 };
            self.entries.entry(folder.to_owned()).or_insert(entry);
        }
        self.entries.insert(path, Entry { kind, mode, owner });
    }

    /// # Errors
    /// A file cannot be read, or it is too much for one layer.
    pub fn build(&self) -> Result<Layer> {
        if self.is_overfull() {
            bail!("{} files are more than the {LAYER_ENTRIES} of one layer", self.entries.len());
        }
        let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
        let gzip = gzip.write(Vec::new(), Compression::default());
        let mut archive = Builder::new(Digested { inner: gzip, digesting: Digesting::default() });
        let mut left = LAYER_BYTES;
        for (path, entry) in &self.entries {
            append(&mut archive, path, entry, &mut left)?;
        }
        let Digested { inner, digesting } = archive.into_inner()?;
        let bytes = inner.finish()?;
        let descriptor = Descriptor::of(LAYER, &bytes);
        Ok(Layer { descriptor, diff_id: digesting.finish(), bytes: bytes.into() })
    }
}

fn append<W: Write>(
    archive: &mut Builder<W>,
    path: &Path,
    entry: &Entry,
    left: &mut u64,
) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.into());
    header.set_gid(entry.owner.into());
    header.set_size(0);
    let read;
    let content: &[u8] = match &entry.kind {
        Kind::Bytes(bytes) => bytes,
        Kind::File(from) => {
            read = whole(from, *left).with_context(|| format!("cannot read {}", from.display()))?;
            &read
        }
        Kind::Folder | Kind::Link(_) => &[],
    };
    let Some(rest) = left.checked_sub(content.len() as u64) else { bail!(too_large()) };
    *left = rest;
    match &entry.kind {
        Kind::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, path, target)?;
        }
        Kind::Folder => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, path, content)?;
        }
        Kind::Bytes(_) | Kind::File(_) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content)?;
        }
    }
    Ok(())
}

/// A file, if it has so many bytes at most.
pub(crate) fn whole(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        bail!(too_large());
    }
    Ok(bytes)
}

fn too_large() -> String {
    format!("there is more than the {} of one layer", show_size(LAYER_BYTES))
}

/// What is written has a digest of its own.
struct Digested<W> {
    inner: W,
    digesting: Digesting,
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digesting.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
