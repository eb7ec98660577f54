//! Files that are made, where the user wants them.
//!
//! It exists so that nothing of the user's is lost: what is there and was not made is left alone, files of secrets only
//! grow, and both are never found half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use wasm_host_deploy::File as Generated;
use wasm_host_limits::deploy as limits;

/// How a file begins that was made and may be removed when it is made no more.
const MADE: &str = "# Made by `wasm-host deploy ";

/// What becomes of a file that is there.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rewrite {
    /// Replaced, unless it is another's.
    Always,
    /// It belongs to the user from then on.
    Never,
}

/// A file of secrets as it is now.
pub(super) struct Grown {
    pub text: String,
    pub has_grown: bool,
}

/// Where files are written.
pub(super) struct Folder<'a>(&'a Path);

impl<'a> Folder<'a> {
    pub(super) fn new(path: &'a Path) -> Result<Self> {
        fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn write(&self, file: &Generated, rewrite: Rewrite) -> Result<()> {
        let path = self.0.join(&file.path);
        if rewrite == Rewrite::Never && path.exists() {
            return Ok(());
        }
        if file.text.starts_with(MADE) && path.exists() && !was_made(&path) {
            bail!(
                "{} is there and was not made by `wasm-host deploy`; move it away, or write to another place with \
                 --output",
                path.display()
            );
        }
        replace(&path, &file.text, 0o666)
    }

    /// Remove what was made here before, in the same form, and is not any more.
    pub(super) fn remove_old(&self, below: &str, form: &str, files: &[Generated]) -> Result<()> {
        let folder = self.0.join(below);
        let entries = fs::read_dir(&folder).with_context(|| cannot("read", &folder))?;
        for entry in entries {
            let path = entry.with_context(|| cannot("read", &folder))?.path();
            let is_current = files.iter().any(|file| self.0.join(&file.path) == path);
            if !is_current && was_made_by(&path, &format!("{MADE}{form}`")) {
                fs::remove_file(&path).with_context(|| cannot("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Say so if a file of secrets could come into a repository, as the `.gitignore` here is the user's and does not name it.
    pub(super) fn warn_of_repositories(&self, file: &Path) {
        let ignored = self.0.join(".gitignore");
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let names_it = |text: String| text.lines().any(|line| line.trim() == name);
        if !read(&ignored).is_ok_and(names_it) {
            eprintln!(
                "{} does not name {name}: add it, so that {} comes into no repository",
                ignored.display(),
                file.display()
            );
        }
    }

    /// Add to a file of secrets, which only its user can read, what it lacks. Says whether that was anything.
    pub(super) fn append_secrets(
        &self,
        name: &str,
        missing: impl FnOnce(&str, &mut dyn FnMut(&str) -> Option<String>) -> String,
    ) -> Result<Grown> {
        let path = self.0.join(name);
        let known = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| cannot("read", &path)),
        };
        let mut random =
            File::open("/dev/urandom").context("this machine has no random numbers")?;
        let mut failed = None;
        let lines = missing(&known, &mut |_| {
            let mut bits = [0_u8; limits::SECRET_BYTES];
            if let Err(error) = random.read_exact(&mut bits) {
                failed = Some(error);
            }
            Some(hex::encode(bits))
        });
        if let Some(error) = failed {
            return Err(error).context("this machine has no random numbers");
        }
        if lines.is_empty() {
            return Ok(Grown { text: known, has_grown: false });
        }
        let end = if known.is_empty() || known.ends_with('\n') { "" } else { "\n" };
        let text = format!("{known}{end}{lines}");
        replace(&path, &text, 0o600)?;
        Ok(Grown { text, has_grown: true })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limits::GENERATED_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn was_made(path: &Path) -> bool {
    was_made_by(path, MADE)
}

fn was_made_by(path: &Path, begin: &str) -> bool {
    path.is_file() && read(path).is_ok_and(|text| text.starts_with(begin))
}

/// The whole file or none of it.
fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| cannot("make", parent))?;
    }
    let mut partial = PathBuf::from(path);
    partial.as_mut_os_string().push(format!(".partial-{}", std::process::id()));
    let mut options = OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written.with_context(|| cannot("write", path))
}

fn cannot(what: &str, path: &Path) -> String {
    format!("cannot {what} {}", path.display())
}
