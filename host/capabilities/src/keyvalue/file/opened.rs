//! Which file is open: what stands at its path may be another one by now, and then what is written is lost.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::connection::beside;

/// A file, whatever it is called: its device and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

/// A bucket's file and its log, as they stand at their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    database: Option<Identity>,
    log: Option<Identity>,
}

/// What has become of the file that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Same,
    /// It has gone with all that stood beside it, or has been replaced by another one without its log.
    Gone,
    /// It has gone, and its log is still there: what is opened now would be mixed up with it.
    Torn,
}

impl Opened {
    /// What is at the path now. Opens nothing: that would end the locks of this process on it.
    pub(super) fn at(path: &Path) -> Self {
        Self { database: identity(path), log: identity(&beside(path, "-wal")) }
    }

    pub(super) fn since(self, path: &Path) -> Since {
        if identity(path) == self.database {
            return Since::Same;
        }
        let has_its_log = self.log.is_some() && Self::at(path).log == self.log;
        if has_its_log { Since::Torn } else { Since::Gone }
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some(Identity(found.dev(), found.ino()))
}
