//! What of services outlives the process: the version that is published, the files of versions that a
//! rollback may want, and the history.
//!
//! Every file appears under its name only when it is whole (written beside, synced, renamed), so that a
//! host that is killed at any moment leaves the old state or the new one.

mod format;

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::history::{History, Record};
use wasm_host_engine::compile::ComponentFile;
use wasm_host_limits as limits;
use wasm_host_system::owned;

/// The folder of published versions.
pub struct Store {
    folder: PathBuf,
    /// Held while anything in the folder changes, so that what one service tidies away is never what
    /// another one is writing.
    changing: Mutex<()>,
    /// Components that are kept for a swap which no history knows yet, with how many swaps want each.
    wanted: Mutex<HashMap<String, usize>>,
}

/// A component that stays kept while this lives; afterwards, for as long as a history knows it.
pub struct KeptComponent {
    store: Arc<Store>,
    /// Of the component and of its parts.
    digests: Vec<String>,
}

impl Drop for KeptComponent {
    fn drop(&mut self) {
        let mut wanted = self.store.wanted.lock();
        for digest in &self.digests {
            if let Some(count) = wanted.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    wanted.remove(digest);
                }
            }
        }
    }
}

/// What is known of one service.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The digest of the version that serves; none before the first swap.
    pub published: Option<String>,
    /// The identity of the application file's own component when that was published; of an older host, the digest. If
    /// the file has another one by now, it was built since, and is what its owner wants to run.
    pub replaced: Option<String>,
    pub history: History,
}

impl Store {
    pub fn new(state_dir: &Path) -> anyhow::Result<Self> {
        let folder = state_dir.join("versions");
        owned::private_folder(&folder)?;
        Ok(Self { folder, changing: Mutex::default(), wanted: Mutex::default() })
    }

    /// What was saved for a service. A record that cannot be read is set aside, never lost, and the
    /// service starts from the application file.
    pub fn load(&self, service: &str) -> Saved {
        let path = self.record(service);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Saved::default(),
            Err(error) => {
                tracing::warn!("cannot read {}: {error}", path.display());
                return Saved::default();
            }
        };
        format::read(&text).unwrap_or_else(|error| {
            let aside = path.with_extension("unreadable");
            tracing::warn!(
                "{} is no history ({error}); it is now {}",
                path.display(),
                aside.display()
            );
            // If it cannot be moved, it is overwritten by the next save.
            let _ = fs::rename(&path, aside);
            Saved::default()
        })
    }

    pub fn save(&self, service: &str, saved: &Saved) -> io::Result<()> {
        let _changing = self.changing.lock();
        write(&self.record(service), &format::write(saved)?)
    }

    /// Keep a component's file, and those of its parts.
    pub fn keep(self: &Arc<Self>, file: &ComponentFile) -> io::Result<KeptComponent> {
        let own = (file.digest.full(), Some(&file.bytes));
        let parts = file.parts.iter().map(|part| (&*part.digest, part.bytes.as_ref()));
        let all: Vec<_> = std::iter::once(own).chain(parts).collect();
        let digests: Vec<String> = all.iter().map(|(digest, _)| (*digest).to_owned()).collect();
        {
            let mut wanted = self.wanted.lock();
            for digest in &digests {
                *wanted.entry(digest.clone()).or_default() += 1;
            }
        }
        let kept = KeptComponent { store: self.clone(), digests };
        let _changing = self.changing.lock();
        for (digest, bytes) in all {
            let path = self.component(digest);
            // A part without its file has been kept before.
            if let Some(bytes) = bytes.filter(|bytes| !holds(&path, bytes)) {
                write(&path, bytes)?;
            }
        }
        Ok(kept)
    }

    /// Write the parts of a component again that are kept and are not what they were: a file that was damaged, or is gone.
    pub fn mend(&self, file: &ComponentFile, saved: &Saved) -> io::Result<()> {
        let _changing = self.changing.lock();
        for part in file.parts.iter() {
            let path = self.component(&part.digest);
            let Some(bytes) = &part.bytes else { continue };
            if saved.digests().any(|known| known == part.digest) && !holds(&path, bytes) {
                write(&path, bytes)?;
            }
        }
        Ok(())
    }

    /// A component that was kept, if it still is what it was.
    pub fn find(&self, digest: &str) -> Option<ComponentFile> {
        let bytes = fs::read(self.component(digest)).ok()?;
        let file = ComponentFile::from_bytes(bytes, self.component(digest)).ok()?;
        (file.digest.full() == digest).then_some(file)
    }

    /// Remove the components that no history knows any more, and what a killed host left half written. `known`
    /// are those of all histories; it is asked at the right moment.
    pub fn trim(&self, known: impl FnOnce() -> HashSet<String>) {
        let _changing = self.changing.lock();
        // In this order: a swap enters its history before it releases what it keeps.
        let mut wanted: HashSet<String> = self.wanted.lock().keys().cloned().collect();
        wanted.extend(known());
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let superfluous =
                name.strip_suffix(".wasm").is_some_and(|digest| !wanted.contains(digest));
            if superfluous || name.ends_with(".partial") {
                // What cannot be removed now is tried again with the next swap.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn record(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}.json"))
    }

    fn component(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }
}

impl Saved {
    /// All versions that may be wanted again.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.history.wanted().chain(self.published.as_deref())
    }

    /// The published version, unless the application file's own component was built since.
    pub fn current(&self, store: &Store, own: &ComponentFile) -> Option<ComponentFile> {
        let replaced = self.replaced.as_deref()?;
        if replaced != own.identity().full() && replaced != own.digest.full() {
            return None;
        }
        let published = self.published.as_deref()?;
        store.find(published).map(|file| from_origin(file, self.history.origin(published)))
    }
}

/// A component that was kept is called after what it once came from, which decides whether it may be served. It is of the
/// parts that it once was put together from.
pub(crate) fn from_origin(file: ComponentFile, origin: Option<&Record>) -> ComponentFile {
    match origin {
        Some(origin) => ComponentFile {
            path: origin.path.clone().into(),
            parts: origin.parts.clone().into(),
            ..file
        },
        None => file,
    }
}

/// Whether a file has these bytes, without another copy of them in memory.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let Ok(mut file) = File::open(path) else { return false };
    let (mut rest, mut piece) = (bytes, vec![0; limits::FILE_PIECE_BYTES]);
    loop {
        match file.read(&mut piece) {
            Ok(0) => return rest.is_empty(),
            Ok(length) => match rest.strip_prefix(piece.get(..length).unwrap_or_default()) {
                Some(after) => rest = after,
                None => return false,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let written = (|| {
        let mut file = owned::options().write(true).create(true).truncate(true).open(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        // The name, too, must survive a power failure.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Verdict;
    use crate::history::tests::record;
    use wasm_host_engine::compose::{Part, Role};
    use wasm_host_system::digest::Digest;

    fn component(content: u8) -> ComponentFile {
        let bytes = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0, content];
        ComponentFile::from_bytes(bytes, PathBuf::from("x.wasm")).unwrap()
    }

    #[test]
    fn what_is_saved_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let (own, published) = (component(1), component(2));
        let mut saved = Saved {
            published: Some(published.digest.full().to_string()),
            replaced: Some(own.digest.full().to_string()),
            history: History::default(),
        };
        saved.history.push(record("a", Verdict::Activated));
        store.keep(&published).unwrap();
        store.save("weather", &saved).unwrap();

        let store = Arc::new(Store::new(folder.path()).unwrap());
        let again = store.load("weather");
        assert_eq!(again.history.records(), saved.history.records());
        assert_eq!(again.current(&store, &own).unwrap().digest, published.digest);
        // The application file's component was built since.
        assert!(again.current(&store, &component(3)).is_none());
    }

    #[test]
    fn a_broken_record_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        fs::write(folder.path().join("versions/weather.json"), "{ half").unwrap();
        assert!(store.load("weather").published.is_none());
        assert!(folder.path().join("versions/weather.unreadable").exists());
    }

    #[test]
    fn a_record_of_a_later_host_is_set_aside_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let later = r#"{ "format": 1000, "published": "b", "history": "elsewhere" }"#;
        fs::write(folder.path().join("versions/weather.json"), later).unwrap();
        assert!(store.load("weather").published.is_none());
        let aside = folder.path().join("versions/weather.unreadable");
        assert_eq!(fs::read_to_string(aside).unwrap(), later);
        assert!(!folder.path().join("versions/weather.json").exists());
    }

    #[test]
    fn a_component_that_was_changed_on_disk_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let file = component(1);
        store.keep(&file).unwrap();
        assert!(store.find(file.digest.full()).is_some());
        let path = folder.path().join("versions").join(format!("{}.wasm", file.digest.full()));
        fs::write(path, component(2).bytes).unwrap();
        assert!(store.find(file.digest.full()).is_none());
    }

    #[test]
    fn what_no_history_knows_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let (kept, dropped) = (component(1), component(2));
        store.keep(&kept).unwrap();
        store.keep(&dropped).unwrap();
        fs::write(folder.path().join("versions/half.partial"), "x").unwrap();
        store.trim(|| HashSet::from([kept.digest.full().to_string()]));
        assert!(store.find(kept.digest.full()).is_some());
        assert!(store.find(dropped.digest.full()).is_none());
        assert!(!folder.path().join("versions/half.partial").exists());
    }

    #[test]
    fn what_a_swap_has_just_kept_is_not_tidied_away_by_another_service() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let file = component(1);
        let kept = store.keep(&file).unwrap();
        store.trim(HashSet::new);
        assert!(store.find(file.digest.full()).is_some());
        drop(kept);
        store.trim(HashSet::new);
        assert!(store.find(file.digest.full()).is_none());
    }

    #[test]
    fn a_component_that_was_cut_short_on_disk_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let file = component(1);
        let path = folder.path().join("versions").join(format!("{}.wasm", file.digest.full()));
        // And one that was damaged at the same length.
        for damaged in [Vec::new(), component(2).bytes.to_vec()] {
            fs::write(&path, damaged).unwrap();
            store.keep(&file).unwrap();
            assert!(store.find(file.digest.full()).is_some());
        }
    }

    #[test]
    fn a_part_that_is_kept_is_mended_by_the_file_of_the_application() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let [kept, unknown] = [1, 2].map(component);
        let digests = [&kept, &unknown].map(|file| file.digest.full().to_owned());
        let parts = [kept, unknown].map(|file| Part::new("a".to_owned(), Role::Middleware, file));
        let mut saved = Saved::default();
        let published = record("composed", Verdict::Activated);
        let without = parts.first().map(Part::without_bytes);
        saved.history.push(Record { parts: without.into_iter().collect(), ..published });
        let file = ComponentFile { parts: parts.into(), ..component(3) };
        store.mend(&file, &saved).unwrap();
        assert_eq!(digests.map(|digest| store.find(&digest).is_some()), [true, false]);
    }

    #[test]
    fn a_composition_is_known_again_by_its_parts_and_by_what_older_hosts_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::new(folder.path()).unwrap());
        let part = Part::new("a".to_owned(), Role::Service, component(1));
        let own = ComponentFile { parts: [part].into(), ..component(2) };
        let published = component(3);
        store.keep(&published).unwrap();
        let current = |replaced: &Digest, own: &ComponentFile| {
            let saved = Saved {
                published: Some(published.digest.full().to_owned()),
                replaced: Some(replaced.full().to_owned()),
                history: History::default(),
            };
            saved.current(&store, own).is_some()
        };
        assert!(current(&own.identity(), &own) && current(&own.digest, &own));
        // Put together by another version of the host.
        let otherwise = ComponentFile { parts: own.parts.clone(), ..component(4) };
        assert!(current(&own.identity(), &otherwise));
        assert!(!current(&own.identity(), &component(2)));
    }
}
