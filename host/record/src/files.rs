//! Cases as files: each whole or not at all, under a name that none had.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;

use crate::recorder::LoggedRequest;
use wasm_host_limits::record::CASES;

/// The folder of `serve --record`.
pub(crate) struct Files {
    folder: PathBuf,
    by_service: bool,
    taken: AtomicUsize,
    /// The next number to try, by folder and name.
    numbers: Mutex<BTreeMap<PathBuf, usize>>,
}

impl Files {
    /// With `by_service`, cases go to a folder in it for each service.
    pub(crate) fn new(folder: &Path, by_service: bool) -> Result<Self> {
        let cannot = || format!("cannot record to {}", folder.display());
        fs::create_dir_all(folder).with_context(cannot)?;
        // Now rather than after the first request.
        let probe = folder.join(format!(".partial-{}", std::process::id()));
        fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).with_context(cannot)?;
        let (taken, numbers) = Default::default();
        Ok(Self { folder: folder.to_path_buf(), by_service, taken, numbers })
    }

    /// Whether another one may be begun.
    pub(crate) fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < CASES
    }

    /// Write a case, unless as many as may be are there.
    pub(crate) fn write(&self, of: &LoggedRequest, name: &str, text: &str) {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before + 1 == CASES {
            tracing::warn!(
                "{CASES} requests are recorded; no more are, until the host is restarted"
            );
        }
        if before >= CASES {
            return;
        }
        let folder =
            if self.by_service { self.folder.join(&*of.service) } else { self.folder.clone() };
        let mut numbers = self.numbers.lock();
        let number = numbers.entry(folder.join(name)).or_insert(1);
        match write(&folder, name, number, text) {
            Ok(path) => of.is_recorded(format_args!("{}", path.display())),
            Err(error) => of.cannot_be_recorded(format_args!("{}: {error}", folder.display())),
        }
    }
}

/// Write a case to a folder, which is made, as `NAME-N.toml` with the first free number from `number` on.
///
/// # Errors
/// The folder cannot be made or written.
// A link fails where a rename would replace.
pub fn write(folder: &Path, name: &str, number: &mut usize, text: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let (partial, mut file) = partial(folder, name)?;
    let linked = file.write_all(text.as_bytes()).and_then(|()| {
        file.sync_all()?;
        loop {
            let path = folder.join(format!("{name}-{number}.toml"));
            *number += 1;
            match fs::hard_link(&partial, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    });
    let _ = fs::remove_file(&partial);
    linked
}

/// A file that nothing else writes: neither another thread now, nor a process of this number that was killed.
fn partial(folder: &Path, name: &str) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{name}.partial-{}-{number}", std::process::id()));
        // What people sent to a service is not for other users to read.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str) -> LoggedRequest {
        LoggedRequest { service: service.into(), id: String::new(), trace: 1, span: 1 }
    }

    #[test]
    fn no_recording_takes_the_name_of_another() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("get-1.toml"), "mine").unwrap();
        let files = Files::new(folder.path(), false).unwrap();
        files.write(&of("a"), "get", "one");
        files.write(&of("a"), "get", "two");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(["get-1.toml", "get-2.toml", "get-3.toml"].map(read), ["mine", "one", "two"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn two_that_are_written_at_once_are_both_there() {
        let folder = tempfile::tempdir().unwrap();
        // Left behind by a process of this number.
        let left = folder.path().join(format!(".get.partial-{}-0", std::process::id()));
        fs::write(&left, "mine").unwrap();
        std::thread::scope(|scope| {
            for text in ["one", "two", "three", "four"] {
                let folder = folder.path();
                scope.spawn(move || write(folder, "get", &mut 1, text).unwrap());
            }
        });
        let read = |number| fs::read_to_string(folder.path().join(format!("get-{number}.toml")));
        let mut texts: Vec<String> = (1..=4).map(|number| read(number).unwrap()).collect();
        texts.sort();
        assert_eq!(texts, ["four", "one", "three", "two"]);
        assert_eq!(fs::read_to_string(left).unwrap(), "mine");
    }

    #[test]
    fn each_service_has_a_folder_of_its_own_in_an_application() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), true).unwrap();
        files.write(&of("weather"), "get", "one");
        assert!(folder.path().join("weather/get-1.toml").is_file());
    }
}
