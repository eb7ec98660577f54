//! `cargo xtask lint`: what can be said about the sources without running them.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, MINUTE, Steps};
use crate::{project, tidy};

pub(crate) fn lint() -> Result<()> {
    let mut steps = Steps::new(4);
    steps.run("formatting", || {
        shell::shown(project::cargo().args(["fmt", "--all", "--check"]), 5 * MINUTE)?;
        Ok(((), "clean".to_owned()))
    })?;
    steps.run("tidy", || {
        tidy::run()?;
        Ok(((), "clean".to_owned()))
    })?;
    steps.run("clippy", || {
        let mut clippy = project::cargo();
        // Components are checked as native code here; building them checks the rest.
        clippy.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
        shell::shown(&mut clippy, 60 * MINUTE)?;
        Ok(((), "clean".to_owned()))
    })?;
    steps.run("dependencies", || Ok(((), dependencies()?)))
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
