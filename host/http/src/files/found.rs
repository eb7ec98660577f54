//! Which file a path names: inside the folder, not hidden, and where none is, the page of the application.
//!
//! All of it waits for the disk. It must not know what is sent of a file, or how.

use std::path::{Component, Path, PathBuf};

use super::accept::Coding;
use wasm_host_settings::percent;

/// The file that answers for a folder, and for every page of a single-page application.
const INDEX: &str = "index.html";

/// The one folder with a dot that is meant for all clients.
const WELL_KNOWN: &str = ".well-known";

/// Length of the hash in a file name that says "the content never changes under this name".
const HASH_CHARACTERS: usize = 8;

/// A file that may be served.
pub(super) struct Found {
    /// Canonical: without links.
    pub(super) file: PathBuf,
    /// The same, below the folder.
    pub(super) inside: PathBuf,
    /// Of the compressed copies beside it, in the folder as well.
    pub(super) codings: Vec<Coding>,
    /// The path named the folder that it is in.
    pub(super) of_folder: bool,
    /// The path named nothing, and its client takes a page.
    pub(super) is_fallback: bool,
}

impl Found {
    pub(super) fn below(folder: &Path, relative: &Path) -> Option<Self> {
        let folder = folder.canonicalize().ok()?;
        let mut file = folder.join(relative);
        let of_folder = file.metadata().ok()?.is_dir();
        if of_folder {
            file.push(INDEX);
        }
        let file = file.canonicalize().ok()?;
        let inside = file.strip_prefix(&folder).ok()?.to_owned();
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let is_there = |coding: &Coding| {
            let copy = coding.of(&file).canonicalize();
            copy.is_ok_and(|copy| copy.starts_with(&folder) && copy.is_file())
        };
        let codings = Coding::ALL.into_iter().filter(is_there).collect();
        Some(Self { file, inside, codings, of_folder, is_fallback: false })
    }

    /// The page that shows what is at a path which names no file: the application routes to it by itself. None where
    /// the path is rather that of a file which is missing: in a folder that is there, with a dot in its name.
    pub(super) fn page_for(folder: &Path, relative: &Path) -> Option<Self> {
        let mut parts = relative.components();
        let last = parts.next_back().map(Component::as_os_str).unwrap_or_default();
        let beside = parts.as_path();
        let is_well_known = relative.starts_with(WELL_KNOWN);
        let is_missing = last.as_encoded_bytes().contains(&b'.')
            && !beside.as_os_str().is_empty()
            && folder.join(beside).is_dir();
        if is_well_known || is_missing {
            return None;
        }
        let page = Self::below(folder, Path::new(""))?;
        Some(Self { of_folder: false, is_fallback: true, ..page })
    }

    /// The copy of it in a coding.
    pub(super) fn with(&self, coding: Option<Coding>) -> PathBuf {
        coding.map_or_else(|| self.file.clone(), |coding| coding.of(&self.file))
    }

    /// Whether a build tool named the file after its content: `assets/index-Bx3kQ9aZ.js`.
    pub(super) fn is_hashed(&self) -> bool {
        is_hashed(&self.file)
    }

    /// Whether what its name says of it is the same wherever the folder is, and whatever that is called.
    pub(super) fn is_named_below(&self) -> bool {
        is_hashed(&self.inside) == self.is_hashed()
    }
}

/// The path below the folder that a request's path names, or none if clients may see nothing there.
pub(super) fn relative(path: &str) -> Option<PathBuf> {
    let decoded = percent::decoded(path.trim_start_matches('/'))?;
    if decoded.contains(['\0', '\\']) {
        return None;
    }
    let relative = PathBuf::from(decoded);
    let mut parts = relative.components().enumerate();
    let plain = parts.all(|(at, part)| match part {
        // Files that begin with a dot are settings, not pages.
        Component::Normal(name) => {
            !name.as_encoded_bytes().starts_with(b".") || (at == 0 && name == WELL_KNOWN)
        }
        _ => false,
    });
    plain.then_some(relative)
}

fn is_hashed(file: &Path) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    // `index-Bx3kQ9aZ`, but not `apple-touch-icon` or `index-deferred`.
    let Some(hash) = stem.len().checked_sub(HASH_CHARACTERS).and_then(|at| stem.get(at..)) else {
        return false;
    };
    let separated = stem.strip_suffix(hash).is_some_and(|name| name.ends_with(['-', '.']));
    let mixed = hash.chars().any(|character| character.is_ascii_digit())
        || (hash.chars().any(|character| character.is_ascii_uppercase())
            && hash.chars().any(|character| character.is_ascii_lowercase()));
    let in_assets = file.parent().and_then(Path::file_name).is_some_and(|name| name == "assets");
    in_assets
        && separated
        && mixed
        && hash
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-_".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for hashed in ["index-Bx3kQ9aZ.js", "index-BwAR_dqj.css", "app-name-0123abcd.js"] {
            assert!(is_hashed(&Path::new("/x/assets").join(hashed)), "{hashed}");
        }
        for plain in ["apple-touch-icon.png", "index-deferred.js", "index.js", "Bx3kQ9aZ.js"] {
            assert!(!is_hashed(&Path::new("/x/assets").join(plain)), "{plain}");
        }
        assert!(!is_hashed(Path::new("/x/index-Bx3kQ9aZ.js")));
    }

    #[test]
    fn of_hidden_names_only_the_well_known_one_is_named() {
        for path in ["/.well-known/x", "/.well-known", "/a/b.c", "/", "//a"] {
            assert!(relative(path).is_some(), "{path}");
        }
        for path in ["/.env", "/a/.env", "/a/.well-known/x", "/.well-known/.env", "/%2egit/config"]
        {
            assert!(relative(path).is_none(), "{path}");
        }
    }
}
