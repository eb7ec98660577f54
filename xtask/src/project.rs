//! Where things are. One place, because a path spelled twice is a path that drifts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the workspace. Cargo tells it at run time, so that a moved checkout works.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Cargo's target folder, wherever its settings put it: this program runs from
/// `<target>/<profile>/xtask`. Only the native build goes there.
pub(crate) fn target() -> PathBuf {
    env::current_exe()
        .ok()
        .and_then(|exe| exe.ancestors().nth(2).map(Path::to_path_buf))
        .unwrap_or_else(|| root().join("target"))
}

/// Finished components, where the host looks for them. Not moved by cargo's settings.
pub(crate) fn components() -> PathBuf {
    root().join("target/components")
}

/// Notes and logs of this program; deleting it costs time, nothing else.
pub(crate) fn notes() -> PathBuf {
    root().join("target/xtask")
}

pub(crate) fn web() -> PathBuf {
    root().join("web")
}

pub(crate) fn dashboard() -> PathBuf {
    web().join("dashboard")
}

/// A program of the same toolchain as the cargo this program was started by.
pub(crate) fn beside_cargo(name: &str) -> PathBuf {
    let beside = env::var_os("CARGO").map(|cargo| PathBuf::from(cargo).with_file_name(name));
    beside.filter(|path| path.exists()).unwrap_or_else(|| name.into())
}

/// The cargo this program was started by, in the root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    forget_this_package(&mut command);
    command
}

/// `cargo run` describes the package it runs to everything below it. Build scripts that look at
/// the same variables (ring's does) would run again, and all that depends on them be compiled
/// again, on every change between `cargo build` and `cargo xtask`. The host has no use for them.
pub(crate) fn forget_this_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
}
