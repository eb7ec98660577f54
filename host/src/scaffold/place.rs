//! New files in a folder: all of them, or none, and none over one that is there.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::usage;
use crate::exit::Exit;
use wasm_host_system::whole;
use wasm_host_templates::NewFile;

/// What was made.
#[derive(Default)]
pub(super) struct Placed {
    files: Vec<PathBuf>,
    /// Each before those in it.
    folders: Vec<PathBuf>,
}

/// Write the files. Shared ones that are there are left as they are; any other one that is there is an error, and then
/// nothing is written.
pub(super) fn put(folder: &Path, files: &[NewFile]) -> Result<Placed, Exit> {
    let place = |file: &NewFile| folder.join(&file.path);
    let missing = files.iter().filter(|file| !(file.is_shared && place(file).exists()));
    let missing: Vec<&NewFile> = missing.collect();
    if let Some(file) = missing.iter().find(|file| place(file).symlink_metadata().is_ok()) {
        return Err(usage(&format!(
            "{} is there already and nothing was made; choose another name, or move it away",
            place(file).display()
        )));
    }
    let mut placed = Placed::default();
    for file in missing {
        if let Err(error) = write(&place(file), &file.text, &mut placed) {
            placed.take_back();
            return Err(error.into());
        }
    }
    Ok(placed)
}

fn write(path: &Path, text: &str, placed: &mut Placed) -> anyhow::Result<()> {
    make_folders(whole::folder_of(path), placed)?;
    let cannot = || format!("cannot write {}", path.display());
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).with_context(cannot)?;
    placed.files.push(path.to_owned());
    file.write_all(text.as_bytes()).with_context(cannot)
}

fn make_folders(folder: &Path, placed: &mut Placed) -> anyhow::Result<()> {
    let above: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
    for folder in above.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        placed.folders.push(folder.to_owned());
    }
    Ok(())
}

impl Placed {
    /// As if nothing had been made.
    pub(super) fn take_back(self) {
        // What cannot be removed is not worth another message: the reason for this is told.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str, is_shared: bool) -> NewFile {
        NewFile { path: PathBuf::from(path), text: text.to_owned(), is_shared }
    }

    #[test]
    fn no_file_is_written_over_and_then_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::write(place.join("b"), "mine").unwrap();
        assert!(matches!(
            put(place, &[file("a/c", "", false), file("b", "", false)]),
            Err(Exit::Usage(_))
        ));
        assert!(!place.join("a").exists());
        let made = put(place, &[file("a/c", "new", false), file("b", "new", true)]);
        assert!(made.is_ok());
        assert_eq!(fs::read_to_string(place.join("b")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(place.join("a/c")).unwrap(), "new");
        if let Ok(made) = made {
            made.take_back();
        }
        assert!(!place.join("a").exists() && place.join("b").exists());
    }
}
