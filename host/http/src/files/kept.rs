//! Small files that are kept in memory, so that a request for one waits for no thread that reads the disk.
//!
//! Nothing is sent from here on the word of an earlier request: each one asks the system, on the thread that serves,
//! whether the path still leads to the same file below the folder, whether that has been written, and which compressed
//! copies lie beside it. The system answers from its own memory or not at all ([`ResolveFlags::CACHED`]); what it does
//! not know at once, and whatever is not as it was, is looked up as if it had never been kept. It must not know HTTP
//! beyond the headers that it hands out.
//!
//! A program that goes on writing through a mapping of memory into pages that it had written before is not seen,
//! because the system changes no time for that until it has written them to the disk.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use httpdate::HttpDate;
use parking_lot::Mutex;
use rustix::fs::{CWD, FsWord, Mode, OFlags, ResolveFlags, fstatfs, openat2};
use rustix::io::Errno;

use super::accept::Coding;
use super::found::Found;
use super::tag::Identity;
use wasm_host_limits::http as limits;

/// A file itself, and its copies.
const FORMS: usize = 1 + Coding::ALL.len();

/// File systems of this machine, whose metadata comes from no other: asking for it does not wait for a network or
/// another program. On any other, nothing is kept. The numbers are in `magic.h` of Linux, that of ZFS in its own sources.
const LOCAL: [u32; 11] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683E, // Btrfs
    0x2FC1_2FC1, // ZFS
    0xF2F5_2010, // F2FS
    0xCA45_1A4E, // bcachefs
    0x0102_1994, // tmpfs
    0x8584_58F6, // ramfs
    0x794C_7630, // overlayfs, as in containers
    0x7371_7368, // SquashFS
    0xE0F5_E1E2, // EROFS
];

/// The small files of all folders.
pub struct KeptFiles {
    /// Bytes that they take together at most.
    most: usize,
    /// How long ago a file must have been written.
    settled: Duration,
    /// The system can be asked without waiting. Older ones, and some that confine programs, cannot.
    is_able: bool,
    kept: Mutex<KeptFolders>,
}

#[derive(Default)]
struct KeptFolders {
    folders: Vec<HashMap<OsString, Arc<KeptFile>>>,
    bytes: usize,
}

/// The small files of one folder.
pub(super) struct KeptFolder {
    all: Arc<KeptFiles>,
    /// Which one it is.
    at: usize,
}

/// What one path of a folder leads to.
pub(super) struct KeptFile {
    /// The file itself and where its copies are or would be, as they are named below the folder, without links.
    names: [PathBuf; FORMS],
    /// Of the copies that are there.
    codings: Vec<Coding>,
    /// It answers for the folder that it is in.
    pub(super) of_folder: bool,
    contents: [Option<Arc<KeptContent>>; FORMS],
}

/// A file's bytes, and what its answer says of them.
pub(super) struct KeptContent {
    /// As of which they are its bytes.
    pub(super) identity: Identity,
    pub(super) facts: Facts,
    pub(super) bytes: Bytes,
}

/// What the answer to a request for a whole file says of it.
#[derive(Clone)]
pub(super) struct Facts {
    pub(super) headers: HeaderMap,
    /// None for times that HTTP cannot write.
    pub(super) modified: Option<HttpDate>,
    pub(super) bytes: u64,
}

// === impl KeptFiles ===

impl Default for KeptFiles {
    fn default() -> Self {
        Self::new(limits::FILES_KEPT_BYTES, limits::FILE_SETTLED)
    }
}

impl KeptFiles {
    fn new(most: usize, settled: Duration) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let asked = openat2(CWD, "/", flags, Mode::empty(), ResolveFlags::CACHED);
        let is_able = !matches!(asked, Err(Errno::NOSYS | Errno::INVAL | Errno::PERM));
        Self { most, settled, is_able, kept: Mutex::default() }
    }
}

// === impl KeptFolder ===

impl KeptFolder {
    pub(super) fn new(all: Arc<KeptFiles>) -> Self {
        let at = {
            let mut kept = all.kept.lock();
            kept.folders.push(HashMap::new());
            kept.folders.len() - 1
        };
        Self { all, at }
    }

    /// What is kept of what `relative` led to when it was looked up: to be asked whether it still does.
    pub(super) fn find(&self, relative: &Path) -> Option<Arc<KeptFile>> {
        self.all.kept.lock().folders.get(self.at)?.get(relative.as_os_str()).cloned()
    }

    /// Whether an open file may be kept: a program that writes it from now on is noticed, and without waiting.
    pub(super) fn takes(&self, file: &File, identity: Identity) -> bool {
        self.all.is_able
            && identity.is_settled(SystemTime::now(), self.all.settled)
            && is_local(file)
    }

    /// Keep what `relative` leads to in the folder, if it is what the system itself says at once.
    pub(super) fn keep(
        &self,
        folder: &Path,
        relative: &Path,
        found: &Found,
        coding: Option<Coding>,
        content: KeptContent,
    ) {
        let Some(mut file) = KeptFile::of(relative, found) else { return };
        // Copies that are kept already are asked about when they are sent.
        if let Some(before) = self.find(relative).filter(|before| before.is_alike(&file)) {
            file.contents.clone_from(&before.contents);
        }
        if let Some(place) = file.contents.get_mut(form(coding)) {
            *place = Some(Arc::new(content));
        }
        if file.fresh(folder, coding).is_none() {
            return;
        }
        let (key, size) = (relative.as_os_str(), file.size(relative.as_os_str()));
        let mut kept = self.all.kept.lock();
        kept.forget(self.at, key);
        if size > self.all.most {
            return;
        }
        if kept.bytes + size > self.all.most {
            kept.folders.iter_mut().for_each(HashMap::clear);
            kept.bytes = 0;
        }
        if let Some(files) = kept.folders.get_mut(self.at) {
            files.insert(key.to_owned(), Arc::new(file));
            kept.bytes += size;
        }
    }

    /// What `relative` leads to has changed, or the system would have to look.
    pub(super) fn forget(&self, relative: &Path) {
        self.all.kept.lock().forget(self.at, relative.as_os_str());
    }
}

impl KeptFolders {
    fn forget(&mut self, at: usize, key: &OsStr) {
        let file = self.folders.get_mut(at).and_then(|files| files.remove(key));
        self.bytes -= file.map_or(0, |file| file.size(key));
    }
}

// === impl KeptFile ===

impl KeptFile {
    /// None if `relative` is another way to write where the file is, or leads there through a link: each file has one
    /// name here, and another one at most as that of its folder.
    fn of(relative: &Path, found: &Found) -> Option<Self> {
        let inside = found.inside.as_path();
        let named = match (found.of_folder, inside.file_name()) {
            (true, Some(name)) => relative.join(name),
            _ => relative.to_owned(),
        };
        if found.is_fallback || named.as_os_str() != inside.as_os_str() || !found.is_named_below() {
            return None;
        }
        let [brotli, gzip] = Coding::ALL.map(|coding| coding.of(inside));
        Some(Self {
            names: [named, brotli, gzip],
            codings: found.codings.clone(),
            of_folder: found.of_folder,
            contents: Default::default(),
        })
    }

    /// Of the compressed copies beside it.
    pub(super) fn codings(&self) -> &[Coding] {
        &self.codings
    }

    /// Whether this form of it is kept.
    pub(super) fn has(&self, coding: Option<Coding>) -> bool {
        self.content(coding).is_some()
    }

    /// This form of it, if all is as it was. Never waits for the disk.
    pub(super) fn fresh(&self, folder: &Path, coding: Option<Coding>) -> Option<&KeptContent> {
        let content = self.content(coding)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
        let forms = [None].into_iter().chain(Coding::ALL.map(Some));
        for (form, name) in forms.zip(&self.names) {
            let is_known = form.is_none_or(|coding| self.codings.contains(&coding));
            let seen = look(&folder, name).ok()?;
            if seen.is_some() != is_known || (form == coding && seen != Some(content.identity)) {
                return None;
            }
        }
        Some(content)
    }

    fn content(&self, coding: Option<Coding>) -> Option<&KeptContent> {
        self.contents.get(form(coding))?.as_deref()
    }

    fn is_alike(&self, other: &Self) -> bool {
        (&self.names, &self.codings) == (&other.names, &other.codings)
    }

    /// What it takes in memory under this key.
    fn size(&self, key: &OsStr) -> usize {
        let contents = self.contents.iter().flatten();
        let contents: usize = contents.map(|it| it.bytes.len() + limits::FILE_KEPT_OWN_BYTES).sum();
        contents + key.len() + self.names.iter().map(|name| name.as_os_str().len()).sum::<usize>()
    }
}

fn form(coding: Option<Coding>) -> usize {
    coding.map_or(0, |coding| 1 + coding as usize)
}

/// The file of this name below the folder, reached without a link; none if there is nothing. An error where it is
/// something else, or cannot be told without waiting.
fn look(folder: &impl std::os::fd::AsFd, name: &Path) -> io::Result<Option<Identity>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::CACHED;
    match openat2(folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(file) => {
            let metadata = File::from(file).metadata()?;
            match metadata.is_file() {
                true => Ok(Some(Identity::of(&metadata))),
                false => Err(io::ErrorKind::InvalidInput.into()),
            }
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// All of a small file. None if it is not small, or has become shorter.
///
/// # Errors
/// The disk's.
pub(super) fn read(file: &File, bytes: u64) -> io::Result<Option<Bytes>> {
    let Some(bytes) = usize::try_from(bytes).ok().filter(|it| *it <= limits::FILE_KEPT_BYTES)
    else {
        return Ok(None);
    };
    let mut content = vec![0; bytes];
    match file.read_exact_at(&mut content, 0) {
        Ok(()) => Ok(Some(content.into())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it is on a disk of this machine.
fn is_local(file: &File) -> bool {
    fstatfs(file).is_ok_and(|system| is_known_local(system.f_type))
}

fn is_known_local(kind: FsWord) -> bool {
    LOCAL.iter().any(|known| FsWord::from(*known) == kind)
}

#[cfg(test)]
mod tests;
