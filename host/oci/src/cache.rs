//! Components of registries on disk, by their digests, so that a registry that is away stops no start.
//!
//! A file appears under its name only when it is whole and of that digest, and its digest is looked at again whenever it
//! is read. Beyond the bound, what was used longest ago goes, and never what is pinned.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;
use wasm_host_system::owned;
use wasm_host_system::whole::{self, PARTIAL};

use crate::digest::ContentDigest;
use wasm_host_limits::oci::{CACHE_BYTES, PARTIAL_AGE, PARTIAL_GRACE};

/// The ends of names: a component; the signatures of a manifest.
const COMPONENT: &str = "wasm";
const SIGNATURES: &str = "signatures";

/// Where an application that was brought here has what it has from registries, below the folder of its file.
pub const BROUGHT_ALONG: &str = "target/components/registry";

/// A folder of them.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    /// A second one, to which nothing is written.
    brought_along: Option<PathBuf>,
    bytes_max: u64,
}

/// The name of the file that has a component.
pub fn kept_component(digest: ContentDigest) -> String {
    format!("{}.{COMPONENT}", digest.hex())
}

/// The name of the file that has the signatures of a manifest.
pub fn kept_signatures(manifest: ContentDigest) -> String {
    format!("{}.{SIGNATURES}", manifest.hex())
}

impl Cache {
    /// In a state folder, which is made if it is not there and must be the host's own. What processes that were killed have
    /// left there is removed.
    pub fn open(state_dir: &Path) -> anyhow::Result<Self> {
        owned::folder(state_dir)?;
        let folder = state_dir.join("registry");
        owned::private_folder(&folder)?;
        let cache = Self { folder, brought_along: None, bytes_max: CACHE_BYTES };
        cache.remove_left_over();
        Ok(cache)
    }

    /// What is not in the state folder is looked for in the application's, too. A component from there is what its digest
    /// says, or it is not taken; what is kept of signatures is believed as the application file is, beside which it lies and
    /// which says whose they must be.
    pub fn with_brought_along(self, application: &Path) -> Self {
        Self { brought_along: Some(application.join(BROUGHT_ALONG)), ..self }
    }

    /// A component, if it is there and still is what it was.
    pub fn find(&self, digest: ContentDigest, size: u64) -> Option<Vec<u8>> {
        let path = self.path(digest, COMPONENT);
        let Ok(bytes) = read(&path, size) else {
            let bytes = self.find_brought_along(&kept_component(digest), size)?;
            return (ContentDigest::of(&bytes) == digest).then_some(bytes);
        };
        if ContentDigest::of(&bytes) != digest {
            tracing::warn!("{} is damaged; it is asked for anew", path.display());
            let _ = fs::remove_file(&path);
            return None;
        }
        Some(bytes)
    }

    /// What was kept of the signatures of a manifest.
    pub(crate) fn signatures(&self, manifest: ContentDigest, bytes_max: u64) -> Option<Vec<u8>> {
        let own = read(&self.path(manifest, SIGNATURES), bytes_max).ok();
        own.or_else(|| self.find_brought_along(&kept_signatures(manifest), bytes_max))
    }

    fn find_brought_along(&self, name: &str, bytes_max: u64) -> Option<Vec<u8>> {
        let file = File::open(self.brought_along.as_ref()?.join(name)).ok()?;
        contents(file, bytes_max).ok()
    }

    pub(crate) fn keep_signatures(&self, manifest: ContentDigest, text: &[u8]) -> io::Result<()> {
        self.put(text, &self.path(manifest, SIGNATURES))
    }

    /// Keep a component under its digest.
    pub(crate) fn keep(&self, digest: ContentDigest, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes, &self.path(digest, COMPONENT))
    }

    fn put(&self, bytes: &[u8], path: &Path) -> io::Result<()> {
        let mut partial = self.partial()?;
        partial.write_all(bytes)?;
        whole::put(partial, path)
    }

    fn partial(&self) -> io::Result<NamedTempFile> {
        let partial = whole::partial(&self.folder, "", 0o600)?;
        // By which others see that it is not left over. Not every file system has locks.
        let _ = partial.as_file().try_lock();
        Ok(partial)
    }

    /// Remove what was used longest ago until the rest is within the bound, but nothing of `wanted`: the digests of
    /// components and manifests.
    pub fn trim(&self, wanted: &HashSet<ContentDigest>) {
        self.remove_left_over();
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let now = SystemTime::now();
        let mut files: Vec<(SystemTime, u64, PathBuf, bool)> = Vec::new();
        for entry in entries.flatten() {
            let (path, Ok(data)) = (entry.path(), entry.metadata()) else { continue };
            let used = data.modified().unwrap_or(now);
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if end == PARTIAL {
                continue;
            }
            let digits = path.file_stem().and_then(|digits| digits.to_str()).unwrap_or_default();
            let digest = format!("sha256:{digits}").parse();
            let is_wanted = digest.is_ok_and(|digest| wanted.contains(&digest));
            files.push((used, data.len(), path, is_wanted));
        }
        let mut bytes: u64 = files.iter().map(|(_, bytes, ..)| bytes).sum();
        files.sort();
        for (_, size, path, is_wanted) in files {
            if bytes <= self.bytes_max {
                return;
            }
            if !is_wanted && fs::remove_file(&path).is_ok() {
                bytes -= size;
            }
        }
    }

    fn remove_left_over(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let now = SystemTime::now();
        for entry in entries.flatten() {
            let (path, Ok(data)) = (entry.path(), entry.metadata()) else { continue };
            let age = now.duration_since(data.modified().unwrap_or(now)).unwrap_or_default();
            if path.extension().is_some_and(|end| end == PARTIAL) && is_left_over(&path, age) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    fn path(&self, digest: ContentDigest, end: &str) -> PathBuf {
        self.folder.join(format!("{}.{end}", digest.hex()))
    }
}

/// A whole file that is trusted as far as its owner is, and that counts as used now.
fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = owned::believed(path)?;
    // For the order in which files go. It changes nothing else.
    let _ = file.set_modified(SystemTime::now());
    contents(file, bytes_max)
}

fn contents(file: File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other("it is larger than it was"));
    }
    Ok(bytes)
}

/// Whether a partial file is one of a process that was killed. Another one may be writing it.
fn is_left_over(path: &Path, age: Duration) -> bool {
    let is_free = || owned::believed(path).and_then(|file| file.try_lock().map_err(Into::into));
    age > PARTIAL_AGE || (age > PARTIAL_GRACE && is_free().is_ok())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn keep(cache: &Cache, bytes: &[u8]) -> ContentDigest {
        let digest = ContentDigest::of(bytes);
        cache.keep(digest, bytes).unwrap();
        digest
    }

    fn names(cache: &Cache) -> usize {
        fs::read_dir(&cache.folder).unwrap().count()
    }

    #[test]
    fn what_was_kept_is_there_again_and_what_was_damaged_is_not() {
        let state = tempfile::tempdir().unwrap();
        let cache = Cache::open(&state.path().join("state")).unwrap();
        let digest = keep(&cache, b"component");
        assert_eq!(cache.find(digest, 9).as_deref(), Some(&b"component"[..]));
        assert_eq!(cache.find(ContentDigest::of(b"other"), 9), None);
        fs::write(cache.path(digest, COMPONENT), b"componenT").unwrap();
        assert_eq!(cache.find(digest, 9), None);
        assert_eq!(names(&cache), 0);
        let digest = keep(&cache, b"component");
        assert_eq!(cache.find(digest, 9).as_deref(), Some(&b"component"[..]));
    }

    #[test]
    fn what_was_brought_along_is_taken_if_it_is_what_it_says() {
        let (state, application) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folder = application.path().join(BROUGHT_ALONG);
        fs::create_dir_all(&folder).unwrap();
        let cache = Cache::open(state.path()).unwrap().with_brought_along(application.path());
        let digest = ContentDigest::of(b"component");
        fs::write(folder.join(kept_component(digest)), b"component").unwrap();
        fs::write(folder.join(kept_signatures(digest)), b"[]").unwrap();
        assert_eq!(cache.find(digest, 9).as_deref(), Some(&b"component"[..]));
        assert_eq!(cache.signatures(digest, 9).as_deref(), Some(&b"[]"[..]));
        assert_eq!(cache.find(digest, 8), None);
        fs::write(folder.join(kept_component(digest)), b"componenT").unwrap();
        assert_eq!(cache.find(digest, 9), None);
        // It is another's, and stays as it is.
        assert!(folder.join(kept_component(digest)).exists());
    }

    #[test]
    fn what_a_process_left_that_was_killed_goes_and_never_what_another_writes() {
        let state = tempfile::tempdir().unwrap();
        let cache = Cache::open(state.path()).unwrap();
        let mut all: Vec<_> = (0..3).map(|_| cache.partial().unwrap()).collect();
        let paths: Vec<PathBuf> = all.iter().map(|it| it.path().to_owned()).collect();
        let made = SystemTime::now();
        for (partial, age) in all.iter().zip([PARTIAL_AGE, PARTIAL_GRACE, PARTIAL_GRACE]) {
            partial.as_file().set_modified(made - 2 * age).unwrap();
        }
        // Only the last one is still being written. Of a process that was killed the system lets go of all locks.
        for killed in all.drain(..2) {
            let (file, _) = killed.keep().unwrap();
            file.unlock().unwrap();
        }
        let (_, young) = cache.partial().unwrap().keep().unwrap();
        Cache::open(state.path()).unwrap();
        let left = paths.iter().map(|path| path.exists()).collect::<Vec<_>>();
        assert_eq!(left, [false, false, true]);
        assert!(young.exists());
    }

    #[test]
    fn a_link_under_the_name_of_a_component_is_replaced_and_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let cache = Cache::open(state.path()).unwrap();
        let other = state.path().join("other");
        fs::write(&other, "kept").unwrap();
        let digest = ContentDigest::of(b"component");
        std::os::unix::fs::symlink(&other, cache.path(digest, COMPONENT)).unwrap();
        assert_eq!(keep(&cache, b"component"), digest);
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
        assert_eq!(cache.find(digest, 9).as_deref(), Some(&b"component"[..]));
    }

    #[test]
    fn what_was_used_longest_ago_goes_and_never_what_is_wanted() {
        let state = tempfile::tempdir().unwrap();
        let cache = Cache { bytes_max: 20, ..Cache::open(state.path()).unwrap() };
        let all = [[1; 10], [2; 10], [3; 10], [4; 10]].map(|bytes| keep(&cache, &bytes));
        for (age, digest) in [400, 300, 200, 100].into_iter().zip(&all) {
            let file = File::options().write(true).open(cache.path(*digest, COMPONENT)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        // Used just now.
        assert!(cache.find(all[1], 10).is_some());
        let _partial = cache.partial().unwrap();
        cache.trim(&HashSet::from([all[0]]));
        let left = all.map(|digest| cache.path(digest, COMPONENT).exists());
        assert_eq!(left, [true, true, false, false]);
        assert_eq!(names(&cache), 3);
    }
}
