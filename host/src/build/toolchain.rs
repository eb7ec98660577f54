//! Programs that builds need and that are not there, with the command that installs each.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use wasm_host_limits as limits;

/// The target of components in Rust.
const RUST_TARGET: &str = "wasm32-wasip2";

/// Where programs of an application or of one service are, below the folder of each.
pub(crate) const PROGRAMS: [&str; 2] = [".venv/bin", "node_modules/.bin"];

/// Whether a program is in one of these folders or on the PATH.
pub(crate) fn is_there(program: &str, folders: &[PathBuf]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = folders.iter().cloned().chain(std::env::split_paths(&path));
    all.any(|folder| folder.join(program).is_file())
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
