//! `cargo xtask lint`: what can be said about the sources without running them.

use std::process::Command;

use anyhow::Result;

use crate::guests::{self, Toolchain};
use crate::shell::{self, MINUTE, Steps};
use crate::{lints, project, test, tidy};

pub(crate) fn lint() -> Result<()> {
    let mut steps = Steps::new(5);
    steps.run("formatting", || {
        shell::shown(project::cargo().args(["fmt", "--all", "--check"]), 5 * MINUTE)?;
        Ok(((), "clean".to_owned()))
    })?;
    steps.run("tidy", || {
        tidy::run()?;
        Ok(((), "clean".to_owned()))
    })?;
    steps.run("clippy", || Ok(((), clippy()?.to_owned())))?;
    steps.run("guest library", || {
        package()?;
        Ok(((), "can be used from outside".to_owned()))
    })?;
    steps.run("dependencies", || Ok(((), dependencies()?)))
}

/// Lints of everything, on the dependencies of what the tests consist of and of the components, so that these are built
/// once. Where this compiler cannot build components, those made for the tests are checked as native code, at the cost of their dependencies.
fn clippy() -> Result<&'static str> {
    let mut build = project::cargo();
    build.args(["build", "--locked", "--lib", "--bins", "--tests"]).args(test::selection()?);
    lints::lint(&mut build)?;
    shell::shown(&mut build, 60 * MINUTE)?;
    if let Ok(toolchain @ Toolchain::Active) = guests::toolchain() {
        let mut components = guests::cargo(&toolchain, &guests::all(&project::root())?);
        lints::lint(&mut components)?;
        shell::shown(&mut components, 60 * MINUTE)?;
        return Ok("clean");
    }
    let mut native = project::cargo();
    native.args(["clippy", "--locked", "--all-targets"]);
    for package in test::guests()? {
        native.args(["--package", &package]);
    }
    native.args(["--", "-D", "warnings"]);
    shell::shown(&mut native, 60 * MINUTE)?;
    Ok("clean, components of the tests as native code")
}

/// What components are written with is used from elsewhere, too: it builds from what a registry would have of it, which
/// has no other file of this repository.
fn package() -> Result<()> {
    let mut package = project::cargo();
    package.args(["package", "--locked", "--allow-dirty", "--quiet"]);
    package.args(["--package", "wasm-host-guest-derive", "--package", "wasm-host-guest"]);
    shell::shown(&mut package, 10 * MINUTE)
}

/// Licences, known vulnerabilities and duplicate versions. cargo-deny takes minutes to install and
/// fetches a database, so it is used where it is, and never installed.
fn dependencies() -> Result<String> {
    let mut version = Command::new("cargo-deny");
    if shell::answer(version.arg("--version")).is_none() {
        return Ok("not checked, cargo-deny is not installed".to_owned());
    }
    let mut deny = project::cargo();
    deny.args(["deny", "--workspace", "check", "--config", ".ci/deny.toml"]);
    shell::shown(&mut deny, 10 * MINUTE)?;
    Ok("clean".to_owned())
}
