//! A folder that belongs to one process at a time.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::owned;

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
    match file.try_lock() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_holders_until_it_lets_go_whatever_copies_of_the_file_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let lock = hold(folder.path()).unwrap();
        let copy = lock.0.try_clone().unwrap();
        let error = hold(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(lock);
        assert!(hold(folder.path()).is_ok());
        drop(copy);
    }
}
