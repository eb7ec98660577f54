//! Recordings that are kept in the state folder, until newer ones take their place.
//!
//! Each is two files: `ID.toml` is the case, `ID.json` what is said of it in a list, and written last. A case without that
//! was not finished and is removed at the next start.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use wasm_host_limits::record::{KEPT, KEPT_BYTES, KEPT_ITEM_BYTES};
use wasm_host_system::owned;

/// A recorded request, without its case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingSummary {
    /// That of its span, where it is seen.
    pub id: String,
    /// When the request came, in microseconds since 1970.
    pub time: u64,
    pub service: String,
    /// None: telemetry is off.
    pub trace: Option<String>,
    /// Method and path, without its query.
    pub name: String,
    /// None: its client left before there was one.
    pub status: Option<u16>,
    /// It failed.
    pub error: bool,
    /// The last case file that was made of it.
    pub file: Option<String>,
    /// What such a file is called, but for its number.
    pub case: String,
    /// Bytes of the case.
    pub bytes: u64,
}

pub(crate) struct Shelf {
    folder: PathBuf,
    /// Oldest first.
    kept: Mutex<VecDeque<RecordingSummary>>,
    /// When what came before was to be forgotten, of a service or (None) of all. By no clock that is set.
    cleared: Mutex<BTreeMap<Option<String>, Instant>>,
}

impl Shelf {
    /// The one of a state folder.
    pub(crate) fn open(state_dir: &Path) -> Result<Self> {
        let folder = state_dir.join("recordings");
        owned::private_folder(&folder)?;
        let mut kept: Vec<RecordingSummary> = Vec::new();
        for entry in fs::read_dir(&folder)?.flatten() {
            let path = entry.path();
            let is_listed = path.extension().is_some_and(|extension| extension == "json");
            match is_listed.then(|| listed(&path)).transpose() {
                Ok(Some(item)) => kept.push(item),
                Ok(None) if path.with_extension("json").try_exists().unwrap_or(true) => {}
                Err(error) if !is_of_the_file(&error) => {
                    // It is there at another start.
                    tracing::warn!("the recording {} cannot be read now: {error}", path.display());
                }
                // A beginning of one, or one that is none.
                _ => drop(fs::remove_file(&path)),
            }
        }
        kept.sort_by_key(|item| item.time);
        let shelf = Self { folder, kept: Mutex::new(kept.into()), cleared: Mutex::default() };
        shelf.make_room();
        Ok(shelf)
    }

    /// Newest first.
    pub(crate) fn list(&self) -> Vec<RecordingSummary> {
        self.kept.lock().iter().rev().cloned().collect()
    }

    pub(crate) fn find(
        &self,
        is_it: impl Fn(&RecordingSummary) -> bool,
    ) -> Option<RecordingSummary> {
        self.kept.lock().iter().rev().find(|item| is_it(item)).cloned()
    }

    /// Keep one more, whose request came at that moment. The oldest make room for it. False: what came before was to be
    /// forgotten meanwhile.
    pub(crate) fn put(
        &self,
        item: RecordingSummary,
        came: Instant,
        case: &str,
    ) -> io::Result<bool> {
        let written = self.write(&format!("{}.toml", item.id), case.as_bytes());
        if let Err(error) = written.and_then(|()| self.list_as(&item)) {
            self.remove([&item]);
            return Err(error);
        }
        let mut kept = self.kept.lock();
        // Below the lock: either this sees that it is to be forgotten, or what forgets sees this.
        let is_forgotten = self.is_forgotten(&item.service, came);
        if !is_forgotten {
            kept.push_back(item.clone());
        }
        drop(kept);
        if is_forgotten {
            self.remove([&item]);
        }
        self.make_room();
        Ok(!is_forgotten)
    }

    fn is_forgotten(&self, service: &str, came: Instant) -> bool {
        let cleared = self.cleared.lock();
        let since = [None, Some(service.to_owned())].map(|of| cleared.get(&of).copied());
        since.into_iter().flatten().any(|since| came <= since)
    }

    /// The case of one.
    pub(crate) fn case(&self, id: &str) -> io::Result<String> {
        // Only what is listed: an id comes from outside and is a part of a path.
        self.find(|item| item.id == id).ok_or(io::ErrorKind::NotFound)?;
        fs::read_to_string(self.folder.join(format!("{id}.toml")))
    }

    /// A case file was made of one.
    pub(crate) fn saved(&self, id: &str, file: &str) {
        let mut kept = self.kept.lock();
        let Some(item) = kept.iter_mut().find(|item| item.id == id) else { return };
        item.file = Some(file.to_owned());
        let item = item.clone();
        drop(kept);
        // It is on the disk, whatever the list says after a restart.
        if let Err(error) = self.list_as(&item) {
            tracing::warn!("where a recording was saved is not kept: {error}");
        }
        if self.find(|other| other.id == id).is_none() {
            // It went meanwhile.
            self.remove([&item]);
        }
    }

    /// Forget all, or those of a service, those included that are on their way.
    pub(crate) fn clear(&self, service: Option<&str>) {
        let is_meant =
            |item: &RecordingSummary| service.is_none_or(|service| item.service == service);
        let mut kept = self.kept.lock();
        self.cleared.lock().insert(service.map(str::to_owned), Instant::now());
        let (gone, left): (Vec<RecordingSummary>, _) = kept.drain(..).partition(is_meant);
        kept.extend::<Vec<RecordingSummary>>(left);
        drop(kept);
        self.remove(&gone);
    }

    fn make_room(&self) {
        let mut kept = self.kept.lock();
        let mut bytes: u64 = kept.iter().map(|item| item.bytes).sum();
        let mut gone = Vec::new();
        while kept.len() > KEPT || bytes > KEPT_BYTES {
            let Some(oldest) = kept.pop_front() else { break };
            bytes -= oldest.bytes;
            gone.push(oldest);
        }
        drop(kept);
        self.remove(&gone);
    }

    /// Takes time, and is done without the lock.
    fn remove<'k>(&self, items: impl IntoIterator<Item = &'k RecordingSummary>) {
        for item in items {
            // First what makes it one.
            for extension in ["json", "toml"] {
                let _ = fs::remove_file(self.folder.join(format!("{}.{extension}", item.id)));
            }
        }
    }

    fn list_as(&self, item: &RecordingSummary) -> io::Result<()> {
        self.write(&format!("{}.json", item.id), &serde_json::to_vec(item)?)
    }

    /// All of a file or nothing.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let partial = self.folder.join(format!(".{name}.partial-{number}"));
        let options = owned::options().write(true).create(true).truncate(true).mode(0o600).clone();
        let written = options.open(&partial).and_then(|mut file: File| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&partial, self.folder.join(name))
        });
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written
    }
}

/// Whether a recording is none, and not merely kept from being read by the disk or for want of descriptors.
fn is_of_the_file(error: &io::Error) -> bool {
    let is_none = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    );
    is_none || owned::is_disbelieved(error)
}

/// What a file says of a recording whose case is there.
fn listed(path: &Path) -> io::Result<RecordingSummary> {
    let mut text = String::new();
    owned::believed(path)?.take(KEPT_ITEM_BYTES).read_to_string(&mut text)?;
    let item: RecordingSummary = serde_json::from_str(&text)?;
    let bytes = fs::metadata(path.with_extension("toml"))?.len();
    let is_named_so = path.file_stem().is_some_and(|stem| *stem == *item.id);
    is_named_so
        .then_some(RecordingSummary { bytes, ..item })
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(number: u64, bytes: u64) -> RecordingSummary {
        RecordingSummary {
            id: format!("{number:016x}"),
            time: number,
            service: if number.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
            trace: None,
            name: "GET /".to_owned(),
            status: Some(200),
            error: false,
            file: None,
            case: "get-200".to_owned(),
            bytes,
        }
    }

    fn put(shelf: &Shelf, item: RecordingSummary, case: &str) -> io::Result<bool> {
        shelf.put(item, Instant::now(), case)
    }

    fn numbers(shelf: &Shelf) -> Vec<u64> {
        shelf.list().iter().map(|item| item.time).collect()
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_what_was_not_finished_is_not() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        for number in 1..=3 {
            put(&shelf, item(number, 4), "case").unwrap();
        }
        shelf.saved(&item(2, 4).id, "cases/get-200-1.toml");
        let folder = state.path().join("recordings");
        fs::write(folder.join("unfinished.toml"), "ca").unwrap();
        fs::write(folder.join(format!("{}.json", item(3, 4).id)), "{").unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        assert_eq!(numbers(&shelf), [2, 1]);
        assert_eq!(shelf.list()[0].file.as_deref(), Some("cases/get-200-1.toml"));
        assert_eq!(shelf.case(&item(1, 4).id).unwrap(), "case");
        // Which of the third is found first is the disk's affair; at the next start nothing is left of it.
        drop(Shelf::open(state.path()).unwrap());
        assert_eq!(fs::read_dir(folder).unwrap().count(), 4);
    }

    // Fault (Telemetry): more recordings than may be kept | forgets the oldest | its answer | the oldest
    #[test]
    fn the_oldest_make_room_by_number_and_by_bytes() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        for number in 0..KEPT as u64 + 2 {
            put(&shelf, item(number, 1), "x").unwrap();
        }
        assert_eq!(shelf.list().len(), KEPT);
        assert_eq!(*numbers(&shelf).last().unwrap(), 2);
        put(&shelf, item(1000, KEPT_BYTES), "x").unwrap();
        assert_eq!(numbers(&shelf), [1000]);
        let files = fs::read_dir(state.path().join("recordings")).unwrap();
        assert_eq!(files.count(), 2);
    }

    #[test]
    fn those_of_one_service_are_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        for number in 1..=4 {
            put(&shelf, item(number, 1), "x").unwrap();
        }
        shelf.clear(Some("odd"));
        assert_eq!(numbers(&shelf), [4, 2]);
        shelf.clear(None);
        assert!(shelf.list().is_empty());
        assert_eq!(fs::read_dir(state.path().join("recordings")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_on_its_way_when_all_is_forgotten_is_forgotten_too() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        let before = Instant::now();
        shelf.clear(Some("even"));
        assert!(shelf.put(item(1, 1), before, "x").unwrap(), "it is another service's");
        shelf.clear(None);
        assert!(!shelf.put(item(1, 1), before, "x").unwrap());
        assert!(shelf.list().is_empty());
        assert_eq!(fs::read_dir(state.path().join("recordings")).unwrap().count(), 0);
    }

    // Fault (Telemetry): a clock that is set back after recordings were forgotten | keeps the next ones | - | nothing
    #[test]
    fn what_comes_after_all_was_forgotten_is_kept_whatever_the_clock_says() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        shelf.clear(None);
        shelf.clear(Some("odd"));
        // The clock says 1970; some time has passed all the same.
        let cleared = Instant::now();
        while Instant::now() == cleared {}
        assert!(shelf.put(item(1, 1), Instant::now(), "x").unwrap());
        assert_eq!(numbers(&shelf), [1]);
    }

    // Fault (Telemetry): a recording that cannot be read when the host starts, as for want of descriptors | leaves it for another start | - | nothing
    #[test]
    fn what_cannot_be_read_now_is_not_deleted() {
        // An error of the disk, no descriptor left, no permission.
        for passing in [5, 24, 13].map(io::Error::from_raw_os_error) {
            assert!(!is_of_the_file(&passing), "{passing:?}");
        }
        assert!(is_of_the_file(&io::ErrorKind::InvalidData.into()));
        let wrong: io::Error = serde_json::from_str::<RecordingSummary>("{").unwrap_err().into();
        assert!(is_of_the_file(&wrong));
        let wrong: io::Error = serde_json::from_str::<RecordingSummary>("1").unwrap_err().into();
        assert!(is_of_the_file(&wrong));
    }

    #[test]
    fn no_file_is_read_that_is_not_listed() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(state.path()).unwrap();
        fs::write(state.path().join("other.toml"), "secret").unwrap();
        assert_eq!(shelf.case("../other").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
