//! The builds, and `cargo xtask serve`, which becomes the host once everything is built.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::{self, Need, Ready};
use crate::shell::{self, MINUTE, Steps};
use crate::{Profile, guests, project, web};

/// Builds everything and replaces this process by the host: a signal sent to it is the host's.
pub(crate) fn run(profile: Profile, args: &[String]) -> Result<()> {
    build(profile)?;
    let mut host = Command::new(host_binary(profile));
    host.arg("serve").args(args).current_dir(project::root());
    eprintln!("starting {}", shell::name(&host));
    project::forget_this_package(&mut host);
    let error = host.exec();
    Err(error).with_context(|| format!("cannot start {}", shell::name(&host)))
}

pub(crate) fn build(profile: Profile) -> Result<()> {
    let mut steps = Steps::new(4);
    components_and_web(&mut steps, Need::SERVE)?;
    steps.run("host", || {
        let mut cargo = project::cargo();
        cargo.args(["build", "--locked", "--package", "wasm-host"]);
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        shell::shown(&mut cargo, 60 * MINUTE)?;
        Ok(((), "built".to_owned()))
    })
}

/// The three steps that `serve` and `test` begin with.
pub(crate) fn components_and_web(steps: &mut Steps, need: Need) -> Result<Ready> {
    let ready = set_up(steps, need)?;
    if let Some(toolchain) = &ready.toolchain {
        steps.run("components", || Ok(((), guests::build(toolchain)?)))?;
    }
    if need.foreign {
        steps.run("components of other toolchains", || {
            let built = guests::javascript::build()? + guests::toolchains::build()?;
            Ok(((), format!("{built} built")))
        })?;
    }
    if need.web {
        steps.run("web UI", || Ok(((), web::build()?)))?;
    }
    Ok(ready)
}

pub(crate) fn guests() -> Result<()> {
    // A host that watches has this run for what it serves.
    let foreign = std::env::var_os("WASM_HOST_CHANGED").is_none();
    let need = Need { components: true, foreign, ..Need::default() };
    components_and_web(&mut Steps::new(2 + usize::from(foreign)), need).map(drop)
}

pub(crate) fn web() -> Result<()> {
    let need = Need { web: true, ..Need::default() };
    components_and_web(&mut Steps::new(2), need).map(drop)
}

pub(crate) fn host_binary(profile: Profile) -> PathBuf {
    project::target().join(profile.folder()).join("wasm-host")
}

fn set_up(steps: &mut Steps, need: Need) -> Result<Ready> {
    steps.run("set-up", || Ok((setup::run(need)?, "complete".to_owned())))
}
