//! `cargo xtask image`: the release program, stripped, as an image. The program packs itself, with what it is linked to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, MINUTE, Steps};
use crate::{Profile, project, serve};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let output = output(args)?;
    let mut steps = Steps::new(3);
    steps.run("host", || {
        let mut cargo = project::cargo();
        cargo.args(["build", "--locked", "--release", "--package", "wasm-host"]);
        shell::shown(&mut cargo, 60 * MINUTE)?;
        Ok(((), "built".to_owned()))
    })?;
    let program = project::target().join("xtask/image/wasm-host");
    steps.run("symbols", || {
        strip(&serve::host_binary(Profile::Release), &program)?;
        Ok(((), "left out".to_owned()))
    })?;
    steps.run("image", || {
        let mut host = Command::new(&program);
        host.args(["image", "base", "--output"]).arg(&output);
        shell::shown(&mut host, 5 * MINUTE)?;
        Ok(((), output.display().to_string()))
    })
}

/// A copy without symbols and what else only debuggers read.
fn strip(program: &Path, copy: &Path) -> Result<()> {
    let folder = copy.parent().context("the target folder has a parent")?;
    std::fs::create_dir_all(folder)?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(copy).arg(program);
    shell::shown(&mut strip, MINUTE)
        .context("`strip` comes with binutils, which the linker needs, too")
}

fn output(args: &[String]) -> Result<PathBuf> {
    match args {
        [] => Ok(project::target().join("image")),
        [option, folder] if option == "--output" => Ok(PathBuf::from(folder)),
        _ => bail!("usage: cargo xtask image [--output DIR]"),
    }
}
