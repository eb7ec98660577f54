//! Which watched files changed since they were last looked at.
//!
//! They are looked at by name, again and again, instead of being reported by the operating system:
//! whatever happens to a name (written in place, replaced by a rename, removed and made again, its
//! folder made only later) ends in another size or time of the file behind it. Notifications hang
//! on inodes, need new ones for each folder that appears, run out in large trees, and do not come
//! from many shared and network file systems. Hundreds of files cost a millisecond per look.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use wasm_host_config::CASES;
use wasm_host_limits as limits;

/// Bytes of a file that are read at once.
const PIECE: usize = 64 * 1024;

/// A folder of sources. It need not exist yet.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub(super) folder: PathBuf,
    /// What has to be built when something in it changes.
    pub(super) crates: Vec<String>,
}

/// What is watched, and how it looked the last time.
#[derive(Debug)]
pub(super) struct Files {
    roots: Vec<Root>,
    /// The folders of the roots, each in the one spelling that paths are compared by.
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// What is no source even if it is in a folder of sources, in that spelling: the single files, and what the host itself
    /// writes.
    others: HashSet<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    sources: BTreeMap<PathBuf, Source>,
    /// What is in the sources that changed before.
    contents: HashMap<PathBuf, u64>,
    told_too_many: bool,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    stamp: Stamp,
    root: usize,
}

/// What differs when a file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    bytes: u64,
    pub(super) modified: SystemTime,
}

/// A file that is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Something in the folder with this number; without a time if it is gone.
    Source { root: usize, path: PathBuf, modified: Option<SystemTime> },
    /// The single file with this number; without a stamp if it is gone.
    File { index: usize, stamp: Option<Stamp> },
}

// === impl Files ===

impl Files {
    /// Look for the first time. `written`: folders that the host itself writes to.
    pub(super) fn new(roots: Vec<Root>, files: Vec<PathBuf>, written: &[PathBuf]) -> Self {
        let stamps = files.iter().map(|path| Stamp::of(path)).collect();
        let folders = roots.iter().map(|root| plain(&root.folder)).collect();
        let others = files.iter().chain(written).map(|path| plain(path)).collect();
        let mut new = Self {
            roots,
            folders,
            files,
            others,
            stamps,
            sources: BTreeMap::new(),
            contents: HashMap::new(),
            told_too_many: false,
        };
        new.sources = new.walk();
        new
    }

    pub(super) fn roots(&self) -> &[Root] {
        &self.roots
    }

    pub(super) fn len(&self) -> usize {
        self.sources.len() + self.files.len()
    }

    /// When the newest file in the folder with this number was written.
    pub(super) fn newest(&self, root: usize) -> Option<SystemTime> {
        let of_root = self.sources.values().filter(|source| source.root == root);
        of_root.map(|source| source.stamp.modified).max()
    }

    /// What changed since the last look.
    pub(super) fn look(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let sources = self.walk();
        for (path, now) in &sources {
            let before = self.sources.get(path);
            if before.is_some_and(|before| before.stamp == now.stamp) {
                continue;
            }
            // A save that changes nothing needs no build, and neither does a build that writes
            // what is there already into its own sources: without this it would never end.
            let content = content(path, &now.stamp);
            let known = match content {
                Some(content) => self.contents.insert(path.clone(), content),
                None => self.contents.remove(path),
            };
            if before.is_none() || content.is_none() || known != content {
                let modified = Some(now.stamp.modified);
                changes.push(Change::Source { root: now.root, path: path.clone(), modified });
            }
        }
        for (path, before) in &self.sources {
            if !sources.contains_key(path) {
                self.contents.remove(path);
                let (root, path) = (before.root, path.clone());
                changes.push(Change::Source { root, path, modified: None });
            }
        }
        self.sources = sources;
        for (index, (path, before)) in self.files.iter().zip(&mut self.stamps).enumerate() {
            let stamp = Stamp::of(path);
            if stamp != *before {
                *before = stamp;
                changes.push(Change::File { index, stamp });
            }
        }
        changes
    }

    fn walk(&mut self) -> BTreeMap<PathBuf, Source> {
        let mut found = BTreeMap::new();
        let roots = self.roots.iter().zip(&self.folders).enumerate();
        let mut folders: Vec<(usize, PathBuf, PathBuf)> =
            roots.map(|(root, (from, plain))| (root, from.folder.clone(), plain.clone())).collect();
        while let Some((root, folder, plain)) = folders.pop() {
            let is_root = self.roots.get(root).is_some_and(|root| root.folder == folder);
            // A folder that is not there has nothing in it.
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let (path, name) = (entry.path(), entry.file_name());
                let plain = plain.join(&name);
                // Cases are no part of a component, and the dashboard writes recorded ones there.
                let is_cases = is_root && name == CASES;
                if is_cases || is_left_out(&name.to_string_lossy()) || self.others.contains(&plain)
                {
                    continue;
                }
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push((root, path, plain)),
                    // Of a link, what it leads to; a folder behind one may lead back here.
                    Ok(_) => {
                        let Some(stamp) = Stamp::of(&path) else { continue };
                        if found.len() >= limits::WATCH_FILES {
                            self.told_too_many = tell_too_many(self.told_too_many, &folder);
                            return found;
                        }
                        found.insert(path, Source { stamp, root });
                    }
                    Err(_) => {}
                }
            }
        }
        found
    }
}

// === impl Stamp ===

impl Stamp {
    /// `None` if there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok().filter(Metadata::is_file)?;
        Some(Self { bytes: data.len(), modified: data.modified().ok()? })
    }
}

/// What is not a source: what builds write, and what editors and version control keep beside
/// sources while they work.
fn is_left_out(name: &str) -> bool {
    name.starts_with(['.', '#'])
        || name.ends_with('~')
        || matches!(name, "target" | "node_modules" | "__pycache__" | "4913")
}

fn content(path: &Path, stamp: &Stamp) -> Option<u64> {
    if stamp.bytes > limits::WATCH_CONTENT_BYTES {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    let mut file = fs::File::open(path).ok()?.take(limits::WATCH_CONTENT_BYTES);
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece).ok()? {
            0 => return Some(hasher.finish()),
            length => hasher.write(piece.get(..length)?),
        }
    }
}

/// The one spelling of a path: absolute, without `.` and `..`. Links are not followed, as the walk follows none.
fn plain(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut plain = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

fn tell_too_many(told: bool, folder: &Path) -> bool {
    if !told {
        let most = limits::WATCH_FILES;
        tracing::warn!("more than {most} sources, not all are watched; see {}", folder.display());
    }
    true
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    fn watched(folder: &TempDir) -> Files {
        let root = Root { folder: folder.path().join("crate"), crates: vec!["crate".to_string()] };
        Files::new(vec![root], vec![folder.path().join("crate/served.wasm")], &[])
    }

    fn write(folder: &TempDir, name: &str, text: &str, second: u64) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + second);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    fn changed(files: &mut Files, folder: &TempDir) -> Vec<String> {
        let name = |change: Change| match change {
            Change::Source { path, modified, .. } => {
                let path = path.strip_prefix(folder.path()).unwrap().display().to_string();
                format!("{}{path}", if modified.is_none() { "-" } else { "" })
            }
            Change::File { index, stamp } => {
                format!("{}{index}", if stamp.is_none() { "-" } else { "" })
            }
        };
        files.look().into_iter().map(name).collect()
    }

    #[test]
    fn names_are_followed_whatever_happens_to_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = watched(&folder);
        assert_eq!(changed(&mut files, &folder), [""; 0]);
        // Folders that appear later, and folders in them.
        write(&folder, "crate/src/deep/lib.rs", "one", 0);
        assert_eq!(changed(&mut files, &folder), ["crate/src/deep/lib.rs"]);
        assert_eq!(changed(&mut files, &folder), [""; 0]);
        // In place, with the same size.
        write(&folder, "crate/src/deep/lib.rs", "two", 1);
        assert_eq!(changed(&mut files, &folder), ["crate/src/deep/lib.rs"]);
        // By a rename from a hidden file.
        write(&folder, "crate/src/deep/.lib.rs.new", "three", 2);
        let (from, to) = ("crate/src/deep/.lib.rs.new", "crate/src/deep/lib.rs");
        fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
        assert_eq!(changed(&mut files, &folder), ["crate/src/deep/lib.rs"]);
        // Removed and made again.
        fs::remove_dir_all(folder.path().join("crate")).unwrap();
        assert_eq!(changed(&mut files, &folder), ["-crate/src/deep/lib.rs"]);
        write(&folder, "crate/src/deep/lib.rs", "three", 3);
        assert_eq!(changed(&mut files, &folder), ["crate/src/deep/lib.rs"]);
    }

    #[test]
    fn a_save_that_changes_nothing_is_no_change_the_second_time() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "crate/lib.rs", "same", 0);
        let mut files = watched(&folder);
        // What was in it before is not known.
        write(&folder, "crate/lib.rs", "same", 1);
        assert_eq!(changed(&mut files, &folder), ["crate/lib.rs"]);
        write(&folder, "crate/lib.rs", "same", 2);
        assert_eq!(changed(&mut files, &folder), [""; 0]);
        write(&folder, "crate/lib.rs", "else", 3);
        assert_eq!(changed(&mut files, &folder), ["crate/lib.rs"]);
    }

    #[test]
    fn what_builds_and_editors_leave_is_no_source_and_served_files_are_themselves() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "crate/lib.rs", "", 0);
        let mut files = watched(&folder);
        for name in [
            "target/x",
            "src/.lib.rs.swp",
            "lib.rs~",
            "4913",
            "node_modules/a/b.js",
            "__pycache__/a.pyc",
        ] {
            write(&folder, &format!("crate/{name}"), "x", 0);
        }
        write(&folder, "crate/served.wasm", "x", 0);
        assert_eq!(changed(&mut files, &folder), ["0"]);
        fs::remove_file(folder.path().join("crate/served.wasm")).unwrap();
        assert_eq!(changed(&mut files, &folder), ["-0"]);
    }

    #[test]
    fn what_is_served_and_what_the_host_writes_is_no_source_however_its_path_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        write(&folder, "lib.rs", "", 0);
        fs::create_dir(place.join("other")).unwrap();
        let root = Root { folder: place.join("./"), crates: vec!["crate".to_string()] };
        let single = vec![place.join("other/../out.wasm"), place.join("wasm-host.toml")];
        let mut files = Files::new(vec![root], single, &[place.join("./recorded")]);
        for name in ["out.wasm", "wasm-host.toml", "recorded/one.toml", "cases/a.toml"] {
            write(&folder, name, "x", 0);
        }
        assert_eq!(changed(&mut files, &folder), ["0", "1"]);
        write(&folder, "src/cases/a.rs", "x", 0);
        assert_eq!(changed(&mut files, &folder), ["src/cases/a.rs"]);
    }

    #[test]
    fn a_large_file_that_is_written_as_it_was_is_no_change_either() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = watched(&folder);
        let text = "x".repeat(3 << 20);
        write(&folder, "crate/data", &text, 0);
        assert_eq!(changed(&mut files, &folder), ["crate/data"]);
        write(&folder, "crate/data", &text, 1);
        assert_eq!(changed(&mut files, &folder), [""; 0]);
    }
}
