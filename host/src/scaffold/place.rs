//! New files in a folder: all of them, or none, and none over one that is there.

use std::collections::BTreeSet;
use std::fmt;
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
pub(super) struct WrittenFiles {
    files: Vec<PathBuf>,
    /// Each before those in it.
    folders: Vec<PathBuf>,
    /// Libraries that were there and are not those that were to be written.
    pub(super) others: Vec<Other>,
}

/// A library that is left as it is, though this program has another one.
pub(super) struct Other {
    pub(super) library: &'static str,
    /// Where it is: what has to go for this program's to be written.
    pub(super) places: BTreeSet<PathBuf>,
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<String> = self.places.iter().map(|it| it.display().to_string()).collect();
        let (library, places) = (self.library, places.join(", "));
        write!(
            f,
            "wasm-host: warning: {library} that is there is not the one of this wasm-host, which the new service is made \
             for, and is left as it is; if the two do not go together, move {places} away, and the next `wasm-host add` \
             writes this one's"
        )
    }
}

/// Write the files. A library that is there is left as it is, whole: files of two versions of it would make neither. Any
/// other file that is there is an error, and then nothing is written.
pub(super) fn put(folder: &Path, files: &[NewFile]) -> Result<WrittenFiles, Exit> {
    let place = |file: &NewFile| folder.join(&file.path);
    let there: BTreeSet<&'static str> =
        files.iter().filter(|file| place(file).exists()).filter_map(|file| file.library).collect();
    let is_left = |file: &NewFile| file.library.is_some_and(|library| there.contains(library));
    let missing: Vec<&NewFile> = files.iter().filter(|file| !is_left(file)).collect();
    if let Some(file) = missing.iter().find(|file| place(file).symlink_metadata().is_ok()) {
        return Err(usage(&format!(
            "{} is there already and nothing was made; choose another name, or move it away",
            place(file).display()
        )));
    }
    let mut placed = WrittenFiles::default();
    for library in there {
        let of_library = || files.iter().filter(|file| file.library == Some(library));
        let is_same = |file: &NewFile| fs::read(place(file)).is_ok_and(|it| it == file.bytes);
        if !of_library().all(is_same) {
            // The folder of a library is one below `vendor`.
            let places = of_library().map(|file| file.path.iter().take(2).collect()).collect();
            placed.others.push(Other { library, places });
        }
    }
    for file in missing {
        if let Err(error) = write(&place(file), &file.bytes, &mut placed) {
            placed.take_back();
            return Err(error.into());
        }
    }
    Ok(placed)
}

fn write(path: &Path, bytes: &[u8], placed: &mut WrittenFiles) -> anyhow::Result<()> {
    make_folders(whole::folder_of(path), placed)?;
    let cannot = || format!("cannot write {}", path.display());
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).with_context(cannot)?;
    placed.files.push(path.to_owned());
    file.write_all(bytes).with_context(cannot)
}

fn make_folders(folder: &Path, placed: &mut WrittenFiles) -> anyhow::Result<()> {
    let above: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.is_dir()).collect();
    for folder in above.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        placed.folders.push(folder.to_owned());
    }
    Ok(())
}

impl WrittenFiles {
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

    fn file(path: &str, text: &str, library: Option<&'static str>) -> NewFile {
        NewFile { path: PathBuf::from(path), bytes: text.as_bytes().to_vec(), library }
    }

    #[test]
    fn no_file_is_written_over_and_then_none_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        fs::write(place.join("b"), "mine").unwrap();
        assert!(matches!(
            put(place, &[file("a/c", "", None), file("b", "", None)]),
            Err(Exit::Usage(_))
        ));
        assert!(!place.join("a").exists());
        let made = put(place, &[file("a/c", "new", None), file("b", "new", Some("b"))]);
        assert!(made.is_ok());
        assert_eq!(fs::read_to_string(place.join("b")).unwrap(), "mine");
        assert_eq!(fs::read_to_string(place.join("a/c")).unwrap(), "new");
        if let Ok(made) = made {
            made.take_back();
        }
        assert!(!place.join("a").exists() && place.join("b").exists());
    }

    #[test]
    fn of_two_versions_of_a_library_no_third_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let library = |version: &str, names: &[&str]| {
            let files = names.iter();
            files.map(|name| file(&format!("vendor/lib/{name}"), version, Some("lib"))).collect()
        };
        let old: Vec<NewFile> = library("old", &["a", "b"]);
        let placed = |files: &[NewFile]| put(place, files).ok().unwrap();
        assert!(placed(&old).others.is_empty());
        assert!(placed(&old).others.is_empty());
        let others = placed(&library("new", &["b", "c"])).others;
        assert_eq!(others[0].library, "lib");
        assert_eq!(others[0].places, BTreeSet::from([PathBuf::from("vendor/lib")]));
        assert!(!place.join("vendor/lib/c").exists(), "a mixture of two versions");
        assert_eq!(fs::read_to_string(place.join("vendor/lib/b")).unwrap(), "old");
    }
}
