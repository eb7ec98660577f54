//! Programs that builds need and that are not there, with the command that installs each.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use wasm_host_limits as limits;

/// The target of components in Rust.
const RUST_TARGET: &str = "wasm32-wasip2";

/// Where programs of an application or of one service are, below the folder of each.
pub(crate) const PROGRAMS: [&str; 2] = [".venv/bin", "node_modules/.bin"];

/// Where systems look for programs without a PATH.
const PATH: &str = "/usr/bin:/bin";

/// Whether a program is in one of these folders or on the PATH.
pub(crate) fn is_there(program: &str, folders: &[PathBuf]) -> bool {
    let mut all = folders.iter().cloned().chain(path());
    all.any(|folder| folder.join(program).is_file())
}

/// The folders of the PATH, or of what takes its place where there is none.
pub(crate) fn path() -> Vec<PathBuf> {
    folders_of(std::env::var_os("PATH"))
}

fn folders_of(path: Option<OsString>) -> Vec<PathBuf> {
    let path = path.unwrap_or_else(|| OsString::from(PATH));
    // An empty entry means the folder that a program happens to run in, and an empty PATH has one.
    let all = std::env::split_paths(&path).filter(|folder| !folder.as_os_str().is_empty());
    all.collect()
}

/// How a program is installed that a build in this folder needs. `shown`: the folder as the user names it. `None`: that
/// is not known.
pub(crate) fn install(program: &str, folder: &Path, shown: &Path) -> Option<String> {
    match program {
        "cargo" | "rustc" | "rustup" => {
            Some("install Rust: `curl -sSf https://sh.rustup.rs | sh`".to_owned())
        }
        "node" | "npm" => Some("install Node from https://nodejs.org".to_owned()),
        "python3" => Some("install Python from https://www.python.org".to_owned()),
        _ if folder.join("requirements.txt").is_file() => Some(format!(
            "install it: `python3 -m venv .venv && .venv/bin/pip install -r {}`",
            shown.join("requirements.txt").display()
        )),
        _ if folder.join("package.json").is_file() => {
            Some(format!("install it: `npm install --prefix {}`", shown.display()))
        }
        _ => None,
    }
}

/// What a build that failed was missing, where its own words may not say how that is installed.
pub(super) async fn missing(words: &[String], folder: &Path) -> Option<String> {
    let for_target = words.iter().any(|word| word == RUST_TARGET);
    if !for_target || words.first().map(String::as_str) != Some("cargo") {
        return None;
    }
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", RUST_TARGET]).current_dir(folder);
    rustc.stdin(Stdio::null()).kill_on_drop(true);
    let asked = timeout(limits::BUILD_QUESTION, rustc.output()).await.ok()?.ok()?;
    let library = String::from_utf8(asked.stdout).ok()?;
    let library = Path::new(library.trim());
    (asked.status.success() && !library.is_dir()).then(|| {
        format!("Rust has no {RUST_TARGET}; install it: `rustup target add {RUST_TARGET}`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_path_programs_are_not_looked_for_in_the_folder_of_the_moment() {
        let of = |path: Option<&str>| folders_of(path.map(OsString::from));
        assert_eq!(of(Some("")), Vec::<PathBuf>::new());
        assert_eq!(of(Some("/a::/b:")), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(of(None), [PathBuf::from("/usr/bin"), PathBuf::from("/bin")]);
    }
}
