//! A folder that belongs to one process at a time.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::owned;
use wasm_host_limits as limits;

/// The file that is locked; the process id in it is for people.
const NAME: &str = "host.lock";

/// Released when it is dropped, and by the system when the process dies.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    /// To close the file is not enough: a process that is being started has a copy of it until it becomes its program.
    fn drop(&mut self) {
        // What cannot be unlocked is closed, which does the same a moment later.
        let _ = self.0.unlock();
    }
}

/// Take `folder`, which is made if it is not there and must be the host's own, or say which process has it.
pub fn hold(folder: &Path) -> Result<Lock> {
    owned::folder(folder)
        .with_context(|| format!("cannot use the state folder {}", folder.display()))?;
    let path = folder.join(NAME);
    let mut file = owned::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match lock_within(&file, limits::LOCK_TRIED) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid)?;
            bail!(
                "the state folder {} is in use by another wasm-host (process {}); stop that one, or give this one \
                 a state folder of its own with --state",
                folder.display(),
                pid.trim(),
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Lock(file))
}

/// A process that only looks has it for a moment.
fn lock_within(file: &File, time: Duration) -> Result<(), TryLockError> {
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if since.elapsed() < time => {
                std::thread::sleep(limits::LOCK_TRIED / 20);
            }
            tried => return tried,
        }
    }
}

/// Which process has a folder at the moment, by the number that it has for itself. None: none has it, or that cannot be
/// found out.
pub fn holder(folder: &Path) -> Option<String> {
    let file = owned::options().read(true).open(folder.join(NAME)).ok()?;
    // Others that only look have it, too. It is let go at once: a host may be about to take it.
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        Ok(()) => {
            let _ = file.unlock();
            return None;
        }
        Err(TryLockError::Error(_)) => return None,
    }
    let mut pid = String::new();
    file.take(20).read_to_string(&mut pid).ok()?;
    Some(pid.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_holders_until_it_lets_go_whatever_copies_of_the_file_there_are() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()), None);
        let lock = hold(folder.path()).unwrap();
        assert_eq!(holder(folder.path()), Some(std::process::id().to_string()));
        let copy = lock.0.try_clone().unwrap();
        let error = hold(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(lock);
        assert_eq!(holder(folder.path()), None);
        assert!(hold(folder.path()).is_ok());
        drop(copy);
    }

    #[test]
    fn who_only_looks_keeps_no_host_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        drop(hold(folder.path()).unwrap());
        let path = folder.path().join(NAME);
        let looking = File::open(&path).unwrap();
        looking.try_lock_shared().unwrap();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            let file = File::open(&path).unwrap();
            assert!(file.try_lock().is_err());
            begun.send(()).unwrap();
            lock_within(&file, Duration::from_secs(60))
        });
        has_begun.recv().unwrap();
        looking.unlock().unwrap();
        waiting.join().unwrap().unwrap();
    }
}
