//! Tools that are not there: what `new` and `build` say of them.

use std::fs;
use std::path::Path;

use super::{bad, good};
use wasm_host_tests::host::App;

/// A folder of programs, which takes the place of the PATH, and an application that has no others.
fn without_programs() -> (tempfile::TempDir, App) {
    // Nothing but what the harness itself starts the host by.
    let programs = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/usr/bin/env", programs.path().join("env")).unwrap();
    let app = App::new("").env("PATH", programs.path().to_str().unwrap()).env("PYTHONPATH", "");
    (programs, app)
}

#[tokio::test]
async fn a_missing_toolchain_is_one_sentence_with_its_command() {
    let (programs, app) = without_programs();
    for (language, install) in [
        ("rust", "install Rust: `curl -sSf https://sh.rustup.rs | sh`"),
        ("python", ".venv/bin/pip install -r services/python-shop/requirements.txt`"),
        ("javascript", "install Node from https://nodejs.org"),
        ("go", ".venv/bin/pip install -r services/go-shop/requirements.txt`"),
        ("c", "install Python from https://www.python.org"),
    ] {
        let name = format!("{language}-shop");
        let said = good(&app, &["new", &name, "--lang", language]).await;
        assert!(said.contains("warning: ") && said.contains(install), "{said}");
        is_told(&app, &name, install).await;
    }
    // Where the system has a way to install them, that is the command.
    fs::write(programs.path().join("apt-get"), "").unwrap();
    for (name, install) in [
        (
            "javascript-shop",
            "install Node: `sudo apt-get install nodejs npm`, and then: `npm install",
        ),
        ("python-shop", "install Python: `sudo apt-get install python3 python3-venv`, and then: "),
        ("c-shop", "install Python: `sudo apt-get install python3 python3-venv`"),
    ] {
        is_told(&app, name, install).await;
    }
    // A script whose interpreter is not there.
    let bin = app.path().join("javascript-shop/node_modules/.bin");
    fs::create_dir_all(&bin).unwrap();
    script(&bin.join("componentize-qjs"), "#!/usr/bin/env node\n");
    let needs = "needs `node`, which is not installed; install Node: `sudo apt-get";
    let said = bad(&app, 1, &["build", "--app", "javascript-shop/wasm-host.toml"]).await;
    assert!(said.contains(needs), "{said}");
}

/// A build is refused, with this in its one sentence.
async fn is_told(app: &App, name: &str, install: &str) {
    let said = bad(app, 1, &["build", "--app", &format!("{name}/wasm-host.toml")]).await;
    let install = install.replace("services/", &format!("{name}/services/"));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[1].contains("which is not installed") && lines[1].contains(&install), "{said}");
}

#[tokio::test]
async fn what_a_toolchain_that_is_there_lacks_is_told_with_its_command() {
    // zig comes as a package of Python, which is there: itself, and not what may stand for it on a PATH.
    let (programs, app) = without_programs();
    let print = ["-c", "import sys; print(sys.executable)"];
    let python = std::process::Command::new("python3").args(print).output().unwrap();
    let python = String::from_utf8(python.stdout).unwrap();
    std::os::unix::fs::symlink(python.trim(), programs.path().join("python3")).unwrap();
    good(&app, &["new", "shop", "--lang", "c"]).await;
    let said = bad(&app, 1, &["build", "--app", "shop/wasm-host.toml"]).await;
    let install =
        "`python3 -m venv .venv && .venv/bin/pip install -r services/shop/requirements.txt`";
    let sentence = format!("ziglang is not installed; in the application's folder: {install}");
    assert!(said.contains(&sentence), "{said}");
    // Cargo without what it compiles for.
    script(&programs.path().join("cargo"), "#!/bin/sh\nexit 101\n");
    script(&programs.path().join("rustc"), "#!/bin/sh\necho /nowhere/lib\n");
    good(&app, &["new", "till", "--lang", "rust"]).await;
    let said = bad(&app, 1, &["build", "--app", "till/wasm-host.toml"]).await;
    let sentence = "Rust has no wasm32-wasip2; install it: `rustup target add wasm32-wasip2`";
    assert!(said.contains(sentence), "{said}");
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(path, executable).unwrap();
}
