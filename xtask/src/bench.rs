//! `cargo xtask bench`: build what is shipped, get what it is compared with, measure, print the table.
//!
//! The measuring itself is the program in tests/bench; this file knows how its parts come about. What is
//! measured is the release build, which is the only one whose times mean something. With `--debug` it is the build
//! that the tests use: what it costs more than before is seen there as well, and a machine that tests anyway,
//! as CI's does, is spared a build of a quarter of an hour.

mod peers;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::setup::{self, Need};
use crate::shell::{self, MINUTE, Steps};
use crate::{Profile, apt, guests, project, serve, test, web};

/// The load generator and the counter of instructions, each with its package.
const TOOLS: [(&str, &str); 2] = [("wrk", "wrk"), ("valgrind", "valgrind")];

#[derive(Debug, Default, PartialEq)]
struct Options {
    quick: bool,
    gate: bool,
    accept: bool,
    debug: bool,
    only: Vec<String>,
}

impl Options {
    fn read(args: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--gate" => options.gate = true,
                "--accept" => options.accept = true,
                "--debug" => options.debug = true,
                "--only" => match args.next() {
                    Some(scenario) => options.only.push(scenario.clone()),
                    None => bail!("--only needs the name of a scenario"),
                },
                other => bail!("unexpected `{other}`; `cargo xtask help` lists the options"),
            }
        }
        if options.debug && options.peers() {
            bail!(
                "--debug goes with --quick or --gate: the times of a debug build compare with nothing"
            );
        }
        Ok(options)
    }

    fn profile(&self) -> Profile {
        if self.debug { Profile::Debug } else { Profile::Release }
    }

    /// Only the full run has others to compare with: getting them takes longer than the quick run.
    fn peers(&self) -> bool {
        !self.quick && !self.gate
    }

    fn words(&self) -> Vec<String> {
        let flags = [("--quick", self.quick), ("--gate", self.gate), ("--accept", self.accept)];
        let flags = flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_owned());
        let only = self.only.iter().flat_map(|only| ["--only".to_owned(), only.clone()]);
        flags.chain(only).collect()
    }
}

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let options = Options::read(args)?;
    let mut steps = Steps::new(if options.peers() { 5 } else { 4 });
    let need = Need { components: true, web: true, postgres: true, ..Need::default() };
    let ready = steps.run("set-up", || {
        tools()?;
        Ok((setup::run(need)?, "complete".to_owned()))
    })?;
    if let Some(toolchain) = &ready.toolchain {
        steps.run("components", || Ok(((), guests::build(toolchain)?)))?;
    }
    // It is part of what is shipped, and would have the tests' build begin anew where it comes after it.
    steps.run("dashboard", || Ok(((), web::build_dashboard()?)))?;
    let profile = options.profile();
    match profile {
        Profile::Debug => test::build(&mut steps)?,
        Profile::Release => steps.run("host as it is shipped, and the load", || {
            // One after the other: built together, each would get the other's features of shared packages.
            for package in ["wasm-host", "wasm-host-bench"] {
                let mut cargo = project::cargo();
                cargo.args(["build", "--release", "--locked", "--package", package]);
                shell::shown(&mut cargo, 60 * MINUTE)?;
            }
            Ok(((), "built".to_owned()))
        })?,
    }
    let folder = project::target().join(profile.folder());
    let mut bench = Command::new(folder.join("wasm-host-bench"));
    bench.arg("run").arg("--root").arg(project::root());
    bench.arg("--host").arg(serve::host_binary(profile)).args(["--build", profile.folder()]);
    bench.arg("--json").arg(figures(&options)?).args(options.words());
    if options.peers() {
        steps.run("peers", || {
            bench.arg("--wasmtime").arg(peers::wasmtime()?);
            bench.arg("--nginx").arg(peers::nginx()?);
            Ok(((), "there".to_owned()))
        })?;
    }
    project::forget_this_package(&mut bench);
    let mut child = shell::spawn(&mut bench)?;
    let status = shell::wait(&mut child, 120 * MINUTE)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tools() -> Result<()> {
    let missing = TOOLS.into_iter().filter(|(tool, _)| shell::find(tool).is_none());
    let missing: Vec<_> = missing.map(|(_, package)| package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !apt::available() {
        bail!("missing: {}; install them with your system's packages", missing.join(", "));
    }
    apt::update();
    apt::install(&missing)
}

/// Where the figures go as JSON.
fn figures(options: &Options) -> Result<PathBuf> {
    let folder = peers::folder();
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(if options.peers() { "figures.json" } else { "figures-quick.json" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Options> {
        Options::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn only_the_full_run_needs_peers() {
        assert!(read(&[]).unwrap().peers());
        assert!(read(&["--only", "hello"]).unwrap().peers());
        assert!(!read(&["--quick"]).unwrap().peers());
        assert!(!read(&["--gate", "--accept"]).unwrap().peers());
    }

    #[test]
    fn options_are_handed_on_and_mistakes_are_not() {
        let words = ["--quick", "--only", "hello", "--only", "swap"];
        assert_eq!(read(&words).unwrap().words(), words);
        assert!(read(&["--quik"]).is_err());
        assert!(read(&["--only"]).is_err());
    }

    #[test]
    fn a_debug_build_has_no_peers() {
        assert!(read(&["--debug"]).is_err());
        assert!(read(&["--debug", "--quick"]).unwrap().profile() == Profile::Debug);
        assert!(read(&["--gate"]).unwrap().profile() == Profile::Release);
    }
}
