//! The files of an application that are neither in its image's layers of components nor secrets: the application file
//! itself, init scripts, authorities.
//!
//! It exists so that none of them is lost on the way: what cannot be carried along is an error with the fix.

use std::path::{Component, Path};

use wasm_host_limits::deploy as limits;
use wasm_host_limits::embedded_postgres::INIT_SCRIPT_BYTES;

use super::Mount;
use super::read::Problems;
use crate::image;

/// Reads a file with so many bytes at most. The error says why not.
pub type ReadFile<'a> = dyn Fn(&Path, u64) -> Result<String, String> + 'a;

/// Collects files, each of them once.
pub(super) struct Files<'a> {
    folder: &'a Path,
    read: &'a ReadFile<'a>,
    mounts: Vec<Mount>,
}

impl<'a> Files<'a> {
    pub(super) fn new(folder: &'a Path, read: &'a ReadFile<'a>) -> Self {
        Self { folder, read, mounts: Vec::new() }
    }

    /// Carries the file along that `owner`, such as `[postgres.shop]`, names as `what`.
    pub(super) fn carry(&mut self, problems: &mut Problems, owner: &str, what: &str, path: &str) {
        let Some(below) = below(path) else {
            problems.error(
                format!(
                    "{what} of {owner}, {path}, is not below the folder of the application file"
                ),
                "move it there: paths in a container are those of that folder",
            );
            return;
        };
        if self.mounts.iter().any(|mount| mount.path == below) {
            return;
        }
        match (self.read)(&self.folder.join(path), INIT_SCRIPT_BYTES) {
            Ok(text) => {
                let key = format!("{}-{}", self.mounts.len() + 1, name(&below));
                self.mounts.push(Mount { key, path: below, text });
            }
            Err(why) => problems.error(
                format!("cannot read {what} of {owner}, {path}: {why}"),
                "make it a text file that can be read",
            ),
        }
    }

    /// All of them, behind the application file.
    pub(super) fn with(self, problems: &mut Problems, text: String) -> Vec<Mount> {
        let file = Mount { key: image::FILE.to_owned(), path: image::FILE.to_owned(), text };
        let mounts: Vec<_> = std::iter::once(file).chain(self.mounts).collect();
        let bytes: usize = mounts.iter().map(|mount| mount.text.len() + mount.key.len()).sum();
        if bytes > limits::CONFIG_MAP_BYTES {
            let largest = mounts.iter().max_by_key(|mount| mount.text.len());
            let path = largest.map_or("", |mount| &mount.path);
            problems.error(
                format!(
                    "the application file and the files that it names have {bytes} bytes, more than the {} \
                     that one ConfigMap takes",
                    limits::CONFIG_MAP_BYTES
                ),
                format!("make {path} smaller: load so much data with psql"),
            );
        }
        mounts
    }
}

/// The path without what means nothing in it; `None` if it does not stay below its folder.
pub(super) fn below(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// What of a path may stand in the key of a ConfigMap.
fn name(path: &str) -> String {
    let last = path.rsplit('/').next().unwrap_or(path);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    last.chars().map(|c| if allowed(c) { c } else { '-' }).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_folder_or_is_refused() {
        assert_eq!(below("./a//b/../c.sql").as_deref(), Some("a/c.sql"));
        for path in ["/etc/a.sql", "../a.sql", "a/../../b", ".", ""] {
            assert_eq!(below(path), None, "{path}");
        }
    }
}
