//! Folders that belong to the host, so that what is in them may be trusted.
//!
//! A folder that another user owns, or that others may write to, can hold links to files of this user, which a host
//! would then write to, and machine code, which it would run. So such a folder is refused, and where the host opens
//! or makes something in its own folder it follows no links.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

/// The bits that let others than the owner write to a folder.
const OTHERS_WRITE: u32 = 0o022;

/// Make the folder if it is not there; refuse it if it is not the host's own. Others may read it. It may be reached
/// by a link of the user that runs the host, or of root; another user's could lead to any folder of the host's user.
pub fn folder(path: &Path) -> Result<()> {
    if let Ok(found) = fs::symlink_metadata(path)
        && found.is_symlink()
        && ![0, geteuid().as_raw()].contains(&found.uid())
    {
        bail!(
            "{} is a link of another user (uid {}); name the folder that it leads to with --state or [state] dir",
            path.display(),
            found.uid()
        );
    }
    make(path, 0o755)?;
    check(path, &open(path, OFlags::empty())?)
}

/// The same for a folder in the host's own: no other user may read it, and it is no link.
pub fn private_folder(path: &Path) -> Result<()> {
    make(path, 0o700)?;
    let folder = open(path, OFlags::NOFOLLOW)?;
    check(path, &folder)?;
    folder
        .set_permissions(fs::Permissions::from_mode(0o700))
        .with_context(|| format!("cannot use {}", path.display()))
}

/// How a file in the host's own folder is opened: never somewhere else, by a link.
pub fn options() -> OpenOptions {
    let mut options = File::options();
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    options
}

/// Open a file that will be trusted. It is the host's own, or another folder has taken the place of the checked one.
pub fn believed(path: &Path) -> io::Result<File> {
    let file = options().read(true).open(path)?;
    let found = file.metadata()?;
    let is_own = found.uid() == geteuid().as_raw() && found.mode() & OTHERS_WRITE == 0;
    is_own.then_some(file).ok_or_else(|| io::Error::other(Foreign))
}

/// Whether a file may be trusted, as [`believed`] says, without opening it. For files that are open elsewhere in this
/// process, as databases are: when any descriptor of a file is closed, all its locks of the process are gone.
pub fn believe(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let is_own = found.uid() == geteuid().as_raw() && found.mode() & OTHERS_WRITE == 0;
    (is_own && found.is_file()).then_some(()).ok_or_else(|| io::Error::other(Foreign))
}

/// The same for a file that is only read, and of which nothing is run: root may read everything, and what it is shown is
/// what the owner wrote. So an operator sees what a host left that was another user.
pub fn believe_to_read(path: &Path) -> io::Result<()> {
    match geteuid().is_root() && fs::symlink_metadata(path)?.is_file() {
        true => Ok(()),
        false => believe(path),
    }
}

/// A file is there, and what it has is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Foreign;

impl std::fmt::Display for Foreign {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("it does not belong to this host alone")
    }
}

impl std::error::Error for Foreign {}

/// Whether [`believed`] judged the file, and not the moment: it is another user's, others may write to it, or it is a
/// link. What else it fails with may go well later.
pub fn is_disbelieved(error: &io::Error) -> bool {
    let is_foreign = error.get_ref().is_some_and(|error| error.is::<Foreign>());
    is_foreign || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn make(path: &Path, mode: u32) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("cannot make the folder {}", path.display()))
}

/// The folder itself, so that what is checked is what is changed.
fn open(path: &Path, flags: OFlags) -> Result<File> {
    let flags = flags | OFlags::DIRECTORY;
    let opened = File::options().read(true).custom_flags(flags.bits() as i32).open(path);
    opened.map_err(|error| match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() && error.kind() != io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!(
                "{} is a link; the host follows none in its own folder: remove it",
                path.display()
            )
        }
        _ => anyhow::Error::from(error).context(format!("cannot use {}", path.display())),
    })
}

fn check(path: &Path, folder: &File) -> Result<()> {
    let found = folder.metadata().with_context(|| format!("cannot use {}", path.display()))?;
    let own = geteuid().as_raw();
    if found.uid() != own {
        bail!(
            "the folder {} belongs to another user (uid {}, this host has {own}), who could put into it what the \
             host then believes; name one of its own with --state or [state] dir",
            path.display(),
            found.uid()
        );
    }
    if found.mode() & OTHERS_WRITE != 0 {
        bail!(
            "others may write to the folder {} (mode {:o}) what the host then believes; if nobody has, run \
             `chmod go-w {}`",
            path.display(),
            found.mode() & 0o7777,
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_of_the_hosts_own_is_made_and_kept_to_itself() {
        let place = tempfile::tempdir().unwrap();
        let (state, code) = (place.path().join("state"), place.path().join("state/code"));
        folder(&state).unwrap();
        private_folder(&code).unwrap();
        assert_eq!((mode(&state) & OTHERS_WRITE, mode(&code)), (0, 0o700));
        fs::set_permissions(&code, fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&code).unwrap();
        assert_eq!(mode(&code), 0o700);
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_with_what_to_do() {
        let place = tempfile::tempdir().unwrap();
        for mode in [0o775, 0o757, 0o1777] {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
            let told = folder(place.path()).unwrap_err().to_string();
            assert!(
                told.contains(&format!("mode {mode:o}")) && told.contains("chmod go-w"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        // Only root can give a folder away.
        let place = tempfile::tempdir().unwrap();
        if !geteuid().is_root() {
            assert!(folder(Path::new("/")).is_err());
            return;
        }
        lchown(place.path(), Some(12345), None).unwrap();
        let told = folder(place.path()).unwrap_err().to_string();
        assert!(told.contains("belongs to another user (uid 12345"), "{told}");
    }

    #[test]
    fn links_in_the_hosts_own_folder_are_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let (target, link) = (place.path().join("target"), place.path().join("link"));
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        symlink(&target, &link).unwrap();
        let told = private_folder(&link).unwrap_err().to_string();
        assert!(told.contains("is a link"), "{told}");
        assert_eq!(mode(&target), 0o755);
        // The whole state folder may be elsewhere, if the host's own user says so.
        folder(&link).unwrap();
        if geteuid().is_root() {
            lchown(&link, Some(12345), None).unwrap();
            let told = folder(&link).unwrap_err().to_string();
            assert!(told.contains("is a link of another user (uid 12345)"), "{told}");
        }

        let (file, to_file) = (place.path().join("file"), place.path().join("to-file"));
        fs::write(&file, "kept").unwrap();
        symlink(&file, &to_file).unwrap();
        assert!(options().write(true).truncate(true).open(&to_file).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    }

    #[test]
    fn a_file_of_another_user_is_not_believed() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "code").unwrap();
        symlink(&file, &link).unwrap();
        believed(&file).unwrap();
        assert!(is_disbelieved(&believed(&link).unwrap_err()));
        believe(&file).unwrap();
        assert!(is_disbelieved(&believe(&link).unwrap_err()));
        assert!(!is_disbelieved(&believe(&place.path().join("none")).unwrap_err()));
        assert!(!is_disbelieved(&believed(&place.path().join("none")).unwrap_err()));
        assert!(!is_disbelieved(&believed(&file.join("below")).unwrap_err()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(is_disbelieved(&believed(&file).unwrap_err()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        if geteuid().is_root() {
            lchown(&file, Some(12345), None).unwrap();
            assert!(believed(&file).is_err());
            assert!(believe(&file).is_err());
            believe_to_read(&file).unwrap();
            assert!(is_disbelieved(&believe_to_read(&link).unwrap_err()));
        }
    }
}
