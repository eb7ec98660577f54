//! Programs that builds need and that are not there, with the command that installs each.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use wasm_host_limits as limits;

/// The target of components in Rust.
const RUST_TARGET: &str = "wasm32-wasip2";

/// Where programs of an application or of one service are, below the folder of each.
pub(crate) const PROGRAMS: [&str; 2] = [".venv/bin", "node_modules/.bin"];

/// Bytes of a script in which its interpreter is named, at most.
const SCRIPT_LINE: u64 = 256;

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

/// What systems install programs by, with the words before the names of packages.
const INSTALLERS: [(&str, &str); 5] = [
    ("apt-get", "sudo apt-get install"),
    ("dnf", "sudo dnf install"),
    ("apk", "sudo apk add"),
    ("pacman", "sudo pacman -S"),
    ("brew", "brew install"),
];

/// Programs that are a system's, and not those of an application.
struct Base {
    name: &'static str,
    /// Where it is described how they are installed.
    page: &'static str,
    /// What each of [`INSTALLERS`] calls them.
    packages: [&'static str; INSTALLERS.len()],
    /// Of these programs, the one by which packages of the application are installed.
    installs: &'static str,
}

const NODE: Base = Base {
    name: "Node",
    page: "https://nodejs.org",
    packages: ["nodejs npm", "nodejs npm", "nodejs npm", "nodejs npm", "node"],
    installs: "npm",
};

const PYTHON: Base = Base {
    name: "Python",
    page: "https://www.python.org",
    packages: ["python3 python3-venv", "python3", "python3", "python", "python"],
    installs: "python3",
};

impl Base {
    /// How they are installed on this machine.
    fn install(&self) -> String {
        let mut all = INSTALLERS.iter().zip(self.packages);
        match all.find(|((installer, _), _)| is_there(installer, &[])) {
            Some(((_, words), packages)) => format!("install {}: `{words} {packages}`", self.name),
            None => format!("install {} from {}", self.name, self.page),
        }
    }

    /// How a package of the application is installed: by this command, which needs these programs itself.
    fn before(&self, command: &str) -> String {
        match is_there(self.installs, &[]) {
            true => format!("install it: `{command}`"),
            false => format!("{}, and then: `{command}`", self.install()),
        }
    }
}

fn base(program: &str) -> Option<&'static Base> {
    match program {
        "node" | "npm" => Some(&NODE),
        "python3" => Some(&PYTHON),
        _ => None,
    }
}

/// How a program is installed that a build in this folder needs. `shown`: the folder as the user names it. `None`: that
/// is not known.
pub(crate) fn install(program: &str, folder: &Path, shown: &Path) -> Option<String> {
    if let Some(base) = base(program) {
        return Some(base.install());
    }
    match program {
        "cargo" | "rustc" | "rustup" => {
            Some("install Rust: `curl -sSf https://sh.rustup.rs | sh`".to_owned())
        }
        _ if folder.join("requirements.txt").is_file() => {
            let file = shown.join("requirements.txt");
            let file = file.display();
            Some(
                PYTHON.before(&format!("python3 -m venv .venv && .venv/bin/pip install -r {file}")),
            )
        }
        _ if folder.join("package.json").is_file() => {
            Some(NODE.before(&format!("npm install --prefix {}", shown.display())))
        }
        _ => None,
    }
}

/// What a build that failed was missing, where its own words may not say how that is installed. `program`: what was
/// started, `folders`: where programs are before those of the PATH.
pub(super) async fn missing(
    words: &[String],
    program: &Path,
    folder: &Path,
    folders: &[PathBuf],
) -> Option<String> {
    let name = words.first()?;
    if let Some(interpreter) = interpreter(program)
        && let Some(base) = base(&interpreter)
        && !is_there(&interpreter, folders)
    {
        let install = base.install();
        return Some(format!("`{name}` needs `{interpreter}`, which is not installed; {install}"));
    }
    if name != "cargo" || words.iter().all(|word| word != RUST_TARGET) {
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

/// The program that runs a script, where that is looked for on the PATH.
fn interpreter(script: &Path) -> Option<String> {
    let mut folders = path().into_iter();
    let file = match script.components().count() {
        1 => folders.find_map(|folder| File::open(folder.join(script)).ok())?,
        _ => File::open(script).ok()?,
    };
    let mut line = Vec::new();
    file.take(SCRIPT_LINE).read_to_end(&mut line).ok()?;
    let line = String::from_utf8_lossy(&line);
    let line = line.lines().next()?.strip_prefix("#!/usr/bin/env ")?;
    line.split_whitespace().next().map(str::to_owned)
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

    #[test]
    fn the_interpreter_of_a_script_is_what_env_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        for (text, expected) in [
            ("#!/usr/bin/env node\nlet a;", Some("node")),
            ("#!/usr/bin/env python3 -s\n", Some("python3")),
            ("#!/bin/sh\n", None),
            ("\0asm", None),
            ("", None),
        ] {
            std::fs::write(&script, text).unwrap();
            assert_eq!(interpreter(&script).as_deref(), expected, "{text:?}");
        }
        assert_eq!(interpreter(&folder.path().join("none")), None);
    }
}
