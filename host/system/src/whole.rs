//! Files that are whole or not there, for whoever reads them meanwhile, and after a power failure.
//!
//! Until a file is whole it lies beside its place under a name of chance that was free: processes of other containers
//! write there, too, which may have the same number, and no link that waits under a name leads elsewhere. It must not
//! know what is in a file.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// The end of names of what is not whole yet.
pub const PARTIAL: &str = "partial";

/// Characters of chance in such a name.
const CHANCE: usize = 12;

/// Write a file, which takes the place of one that is there. Others may do with it what the process lets them do with
/// new files.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut partial = partial(folder_of(path), &format!(".{name}."), 0o666)?;
    partial.write_all(bytes)?;
    put(partial, path)
}

/// A file that is not whole yet, which goes with the value. `mode`: what others may do with it.
pub fn partial(folder: &Path, before: &str, mode: u32) -> io::Result<NamedTempFile> {
    let after = format!(".{PARTIAL}");
    let mut builder = Builder::new();
    builder.prefix(before).suffix(&after).rand_bytes(CHANCE);
    builder.permissions(Permissions::from_mode(mode)).tempfile_in(folder)
}

/// Give a file that is whole its name.
pub fn put(partial: NamedTempFile, path: &Path) -> io::Result<()> {
    partial.as_file().sync_all()?;
    partial.persist(path)?;
    // The name, too, must survive a power failure. Not every file system can see to that.
    match File::open(folder_of(path))?.sync_all() {
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// The folder of a file.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_takes_the_place_of_another_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(write(&folder.path().join("missing/file"), b"").is_err());
        fs::create_dir(folder.path().join("taken")).unwrap();
        assert!(write(&folder.path().join("taken"), b"").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        // As any other new file.
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn what_is_not_whole_yet_has_a_name_that_no_other_has() {
        let folder = tempfile::tempdir().unwrap();
        let names = [(); 2].map(|()| partial(folder.path(), "a", 0o600).unwrap());
        assert_ne!(names[0].path(), names[1].path());
        for name in &names {
            assert!(name.path().to_str().unwrap().ends_with(".partial"));
        }
        drop(names);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
