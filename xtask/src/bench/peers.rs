//! What the host is compared with: got once, into the target folder. Nothing is installed into the system and
//! no service is started.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell::{self, MINUTE};
use crate::{apt, project};

/// The same version of the engine as the host's, so that only the hosts differ.
const WASMTIME: &str = "48.0.8";

/// What `wasmtime serve` needs, and all that makes it faster.
const FEATURES: &str = "run,serve,wasi-http,component-model,component-model-async,\
    pooling-allocator,cranelift,compile,cache,parallel-compilation,logging,wasi-config,\
    wasi-keyvalue,backtrace,addr2line,wat";

/// Ten minutes on two idle cores.
const BUILD_LIMIT: u32 = 60;

/// All that benchmarks leave behind; deleting it costs time, nothing else.
pub(super) fn folder() -> PathBuf {
    project::root().join("target/bench")
}

/// `wasmtime`, from the package registry.
pub(super) fn wasmtime() -> Result<PathBuf> {
    let peers = folder().join("peers");
    let program = peers.join("bin/wasmtime");
    let version = shell::answer(Command::new(&program).arg("--version")).unwrap_or_default();
    if version.split(' ').any(|word| word == WASMTIME) {
        return Ok(program);
    }
    let mut install = project::cargo();
    install.args(["install", "wasmtime-cli", "--version", WASMTIME, "--locked"]);
    install.args(["--no-default-features", "--features", FEATURES]);
    install.arg("--root").arg(&peers).arg("--target-dir").arg(peers.join("build"));
    shell::quiet("cargo install wasmtime-cli", &mut install, BUILD_LIMIT * MINUTE)?;
    Ok(program)
}

/// `nginx`: the system's, or the distribution's package, unpacked. Installing it would start a web server.
pub(super) fn nginx() -> Result<PathBuf> {
    let unpacked = folder().join("peers/nginx/usr/sbin/nginx");
    let found = shell::find("nginx").or_else(|| unpacked.is_file().then(|| unpacked.clone()));
    if let Some(found) = found {
        return Ok(found);
    }
    if !apt::available() {
        bail!("missing: nginx; install it with your system's packages");
    }
    let folder = folder().join("peers/nginx");
    fs::create_dir_all(&folder)?;
    apt::update();
    let mut download = Command::new("apt-get");
    download.args(["download", "nginx"]).current_dir(&folder);
    shell::quiet("apt-get download nginx", &mut download, 5 * MINUTE)?;
    let package = fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get downloaded no package")?;
    let mut unpack = Command::new("dpkg");
    unpack.arg("-x").arg(package).arg(&folder);
    shell::quiet("dpkg -x nginx", &mut unpack, MINUTE)?;
    if shell::answer(Command::new(&unpacked).arg("-v")).is_none() {
        bail!("nginx was unpacked to {} and does not run", unpacked.display());
    }
    Ok(unpacked)
}
