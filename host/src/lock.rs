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
pub struct Lock(#[expect(dead_code, reason = "held, not used")] File);

/// Take `folder`, which is made if it is not there and must be the host's own, or say who has it.
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
