//! A folder of static files: what the host serves of it, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use wasm_host_limits::image::LAYER_ENTRIES;

use crate::layer::Draft;

/// The one folder whose name begins with a dot and that is served.
const WELL_KNOWN: &str = ".well-known";

pub(super) struct Walk<'a> {
    /// Files that are in no image, wherever they lie.
    pub(super) secrets: &'a BTreeSet<PathBuf>,
    pub(super) state_dir: &'a Path,
}

impl Walk<'_> {
    /// Put all of a folder under `place`. Names that begin with a dot, and links that lead out of it, are not served,
    /// and so are not there either.
    ///
    /// # Errors
    /// All that cannot be read, in words.
    pub(super) fn put(
        &self,
        layer: &mut Draft,
        folder: &Path,
        place: &Path,
    ) -> Result<(), Vec<String>> {
        let mut wrong = Vec::new();
        match fs::canonicalize(folder) {
            Ok(root) => {
                layer.folder(place);
                let mut ways = vec![PathBuf::new()];
                while let Some(way) = ways.pop() {
                    if layer.is_overfull() {
                        wrong.push(format!("there are more than {LAYER_ENTRIES} files"));
                        break;
                    }
                    self.one(layer, &root, &way, place, &mut ways, &mut wrong);
                }
            }
            Err(error) => wrong.push(cannot(folder, &error)),
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// One folder, at `way` below `root`.
    fn one(
        &self,
        layer: &mut Draft,
        root: &Path,
        way: &Path,
        place: &Path,
        ways: &mut Vec<PathBuf>,
        wrong: &mut Vec<String>,
    ) {
        let folder = root.join(way);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => return wrong.push(cannot(&folder, &error)),
        };
        for entry in entries {
            let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))
            {
                Ok(found) => found,
                Err(error) => return wrong.push(cannot(&folder, &error)),
            };
            let Some(name) = path.file_name() else { continue };
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if is_hidden && name != WELL_KNOWN || self.is_kept_out(&path) {
                continue;
            }
            let below = way.join(name);
            if kind.is_dir() {
                layer.folder(place.join(&below));
                ways.push(below);
            } else if kind.is_symlink() {
                if let Some(target) = inside(root, &path, way) {
                    layer.link(place.join(&below), target);
                }
            } else if kind.is_file() {
                match fs::File::open(&path) {
                    Ok(_) => layer.file(place.join(&below), path),
                    Err(error) => wrong.push(cannot(&path, &error)),
                }
            }
        }
    }

    fn is_kept_out(&self, path: &Path) -> bool {
        let Ok(path) = fs::canonicalize(path) else { return false };
        let state = fs::canonicalize(self.state_dir);
        self.secrets.contains(&path) || state.is_ok_and(|state| path.starts_with(state))
    }
}

/// Where a link leads that does not lead out of the folder, as seen from where it is.
fn inside(root: &Path, link: &Path, way: &Path) -> Option<PathBuf> {
    let target = fs::canonicalize(link).ok()?;
    let target = target.strip_prefix(root).ok()?;
    let up = way.components().filter(|part| matches!(part, Component::Normal(_)));
    let mut seen: PathBuf = up.map(|_| "..").collect();
    seen.push(target);
    (seen != Path::new("")).then_some(seen)
}

fn cannot(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}
