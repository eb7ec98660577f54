//! Recordings as files: written by a thread of their own, each whole or not at all, under a name that none had.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use wasm_host_limits::record::{CASES, CLOSE, UNWRITTEN};

pub(super) struct Files {
    queue: Mutex<Option<SyncSender<File>>>,
    done: Mutex<Option<oneshot::Receiver<()>>>,
    taken: AtomicUsize,
}

struct File {
    service: String,
    name: String,
    text: String,
}

impl Files {
    pub(super) fn new(folder: &Path, by_service: bool) -> Result<Self> {
        let cannot = || format!("cannot record to {}", folder.display());
        fs::create_dir_all(folder).with_context(cannot)?;
        // Now rather than after the first request.
        let probe = folder.join(format!(".partial-{}", std::process::id()));
        fs::write(&probe, "").and_then(|()| fs::remove_file(&probe)).with_context(cannot)?;
        let (queue, files) = sync_channel(UNWRITTEN);
        let (end, done) = oneshot::channel();
        let folder = folder.to_path_buf();
        thread::Builder::new().name("record".to_string()).spawn(move || {
            write_all(&folder, by_service, &files);
            let _ = end.send(());
        })?;
        let (queue, done) = (Mutex::new(Some(queue)), Mutex::new(Some(done)));
        Ok(Self { queue, done, taken: AtomicUsize::new(0) })
    }

    /// Whether another one may be begun.
    pub(super) fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < CASES
    }

    /// Have a recording written later. It is left out if too many wait already.
    pub(super) fn write(&self, service: &str, name: &str, text: String) {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        if before + 1 == CASES {
            tracing::warn!(
                "{CASES} requests are recorded; no more are, until the host is restarted"
            );
        }
        if before >= CASES {
            return;
        }
        let file = File { service: service.to_string(), name: name.to_string(), text };
        let queue = self.queue.lock();
        if queue.as_ref().is_none_or(|queue| queue.try_send(file).is_err()) {
            tracing::warn!(service, "a request is not recorded: the disk is too slow");
        }
    }

    /// Write what waits, and stop.
    pub(super) async fn close(&self) {
        drop(self.queue.lock().take());
        let done = self.done.lock().take();
        if let Some(done) = done {
            let _ = tokio::time::timeout(CLOSE, done).await;
        }
    }
}

fn write_all(folder: &Path, by_service: bool, files: &Receiver<File>) {
    let mut numbers = BTreeMap::new();
    while let Ok(File { service, name, text }) = files.recv() {
        let folder = if by_service { folder.join(&service) } else { folder.to_path_buf() };
        let number = numbers.entry(folder.join(&name)).or_insert(1);
        match write(&folder, &name, number, &text) {
            Ok(path) => tracing::info!(service, "recorded {}", path.display()),
            Err(error) => {
                tracing::warn!(service, "cannot record to {}: {error}", folder.display());
            }
        }
    }
}

/// The first free number from `number` on. A link fails where a rename would replace.
fn write(folder: &Path, name: &str, number: &mut usize, text: &str) -> io::Result<PathBuf> {
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

    #[tokio::test]
    async fn no_recording_takes_the_name_of_another() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("get-1.toml"), "mine").unwrap();
        let files = Files::new(folder.path(), false).unwrap();
        files.write("a", "get", "one".to_string());
        files.write("a", "get", "two".to_string());
        files.close().await;
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(["get-1.toml", "get-2.toml", "get-3.toml"].map(read), ["mine", "one", "two"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn each_service_has_a_folder_of_its_own_in_an_application() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), true).unwrap();
        files.write("weather", "get", "one".to_string());
        files.close().await;
        assert!(folder.path().join("weather/get-1.toml").is_file());
    }
}
