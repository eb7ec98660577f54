//! `cargo xtask lint`: what can be said about the sources without running them.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, MINUTE, Steps};
use crate::{project, test, tidy};

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
    steps.run("clippy", || {
        clippy()?;
        Ok(((), "clean".to_owned()))
    })?;
    steps.run("guest library", || {
        package()?;
        Ok(((), "can be used from outside".to_owned()))
    })?;
    steps.run("dependencies", || Ok(((), dependencies()?)))
}

/// Lints of everything, at the cost of one build of the dependencies: what `cargo clippy` makes of those is of no use to
/// a build, and takes ten minutes on two processors. So what the tests consist of is built as for them, by a compiler
/// that has the lints. Components made for the tests are checked as native code, and have few dependencies.
fn clippy() -> Result<()> {
    let mut build = project::cargo();
    build.args(["build", "--locked", "--lib", "--bins", "--tests"]).args(test::selection()?);
    // As `cargo clippy` has it done.
    build.env("RUSTC_WORKSPACE_WRAPPER", project::beside_cargo("clippy-driver"));
    build.env("CLIPPY_ARGS", ["-D", "warnings", ""].join("__CLIPPY_HACKERY__"));
    shell::shown(&mut build, 60 * MINUTE)?;
    let mut guests = project::cargo();
    guests.args(["clippy", "--locked", "--all-targets"]);
    for package in test::guests()? {
        guests.args(["--package", &package]);
    }
    guests.args(["--", "-D", "warnings"]);
    shell::shown(&mut guests, 60 * MINUTE)
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
