//! Cases as files: each whole or not at all, under a name that none had.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;

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
    pub(crate) fn write(&self, service: &str, name: &str, text: &str) {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before + 1 == CASES {
            tracing::warn!(
                "{CASES} requests are recorded; no more are, until the host is restarted"
            );
        }
        if before >= CASES {
            return;
        }
        let folder = if self.by_service { self.folder.join(service) } else { self.folder.clone() };
        let mut numbers = self.numbers.lock();
        let number = numbers.entry(folder.join(name)).or_insert(1);
        match write(&folder, name, number, text) {
            Ok(path) => tracing::info!(service, "recorded {}", path.display()),
            Err(error) => {
                tracing::warn!(service, "cannot record to {}: {error}", folder.display());
            }
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
    let partial = folder.join(format!(".{name}.partial-{}", std::process::id()));
    // What people sent to a service is not for other users to read.
    let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).clone();
    let linked = options.open(&partial).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_recording_takes_the_name_of_another() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("get-1.toml"), "mine").unwrap();
        let files = Files::new(folder.path(), false).unwrap();
        files.write("a", "get", "one");
        files.write("a", "get", "two");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(["get-1.toml", "get-2.toml", "get-3.toml"].map(read), ["mine", "one", "two"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn each_service_has_a_folder_of_its_own_in_an_application() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), true).unwrap();
        files.write("weather", "get", "one");
        assert!(folder.path().join("weather/get-1.toml").is_file());
    }
}
