//! Room on the disk that is kept for when there is none: a server whose journal cannot be written ends, and
//! needs some room to repair its data, without which it never starts again.
//!
//! It is a file of a known size beside the data, which is removed before the server is started on a full disk. It knows
//! nothing of what filled it.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use wasm_host_limits::embedded_postgres as limits;
use wasm_host_system::owned;

/// Bytes of the disk below a folder.
pub(super) struct Disk {
    pub(super) free: u64,
    pub(super) total: u64,
}

impl Disk {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let found = statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// What must stay free for all databases: below it, none may write on.
    pub(super) fn floor(&self) -> u64 {
        (self.total / limits::FLOOR_SHARE).clamp(limits::FLOOR_LEAST, limits::FLOOR_MOST)
    }
}

/// Put room aside, if there is enough of it.
pub(super) fn keep(home: &Path, disk: &Disk) {
    let path = home.join("reserve");
    if disk.free > disk.floor() + limits::RESERVE && !path.exists() {
        let draft = path.with_extension("new");
        let kept = fill(&draft).and_then(|()| fs::rename(&draft, &path));
        if let Err(error) = kept {
            let _ = fs::remove_file(&draft);
            tracing::debug!("no room is put aside for the embedded Postgres: {error}");
        }
    }
}

fn fill(path: &Path) -> io::Result<()> {
    // A file with holes would keep nothing.
    let file = owned::options().write(true).create(true).truncate(true).open(path)?;
    Ok(fallocate(file, FallocateFlags::empty(), 0, limits::RESERVE)?)
}

/// Give the room to a server that is about to start, if there is no other: a quarter of it.
pub(super) fn spend(home: &Path) {
    let is_full = Disk::of(home).is_ok_and(|disk| disk.free < limits::RESERVE / 4);
    if is_full && fs::remove_file(home.join("reserve")).is_ok() {
        tracing::warn!(
            "the disk of the embedded Postgres is full: the room that was kept for this is given to it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_stay_free_is_a_share_of_the_disk_within_bounds() {
        let floor = |total| Disk { free: 0, total }.floor();
        assert_eq!(floor(0), limits::FLOOR_LEAST);
        assert_eq!(floor(10 << 30), (10 << 30) / limits::FLOOR_SHARE);
        assert_eq!(floor(u64::MAX), limits::FLOOR_MOST);
    }
}
