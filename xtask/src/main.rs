//! The project's only automation: set-up, builds, tests and checks, each behind one word.
//!
//! Cargo alone cannot build this project: components need another target than the host, the UI
//! needs npm, and the tests need all three plus a database and a browser. This crate knows how to
//! get them on the machine it runs on. It is never shipped, and stays small because everybody
//! waits for its own build first.

mod apt;
mod bench;
mod checks;
mod guests;
mod image;
mod lints;
mod project;
mod python;
mod serve;
mod setup;
mod shell;
mod test;
mod tidy;
mod web;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
usage: cargo xtask COMMAND

  serve [--release] [-- ARGS]  set up, build everything, run `wasm-host serve ARGS` in the root
  test [PART...] [FILTER...]   set up, build everything, run every test; PART is one of web,
                               browser, component, native, integration, and, only if it is named,
                               containers, which needs root; a FILTER selects Rust tests by name
  build [--release]            set up and build components, web UI and host
  image [--output DIR]         build the host's own image for containers, as an OCI layout [default: target/image]
  guests                       build the components only
  web                          build the web UI only
  setup                        get what building and testing need, build nothing
  lint                         formatting, clippy, tidy, and cargo-deny where it is installed
  bench [--quick] [--only SCENARIO] [--gate] [--debug] [--accept]
                               measure the release build beside its peers; quick without peers, gate only
                               what repeats, both also of the tests' build with debug; accept makes a new
                               baseline of what repeats
  tidy                         the rules of this repository that no compiler checks
  docs                         write the parts of documents that are made of something else
";

fn main() -> ExitCode {
    let result = lints::compile().unwrap_or_else(|| {
        let args: Vec<String> = std::env::args().skip(1).collect();
        run(&args)
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<ExitCode> {
    let Some((command, rest)) = args.split_first() else {
        print!("{HELP}");
        return Ok(ExitCode::from(64));
    };
    match command.as_str() {
        "serve" => {
            let (own, passed) = match rest.iter().position(|arg| arg == "--") {
                Some(at) => (rest.get(..at), rest.get(at + 1..)),
                None => (Some(rest), None),
            };
            let profile = profile(own.unwrap_or_default())?;
            serve::run(profile, passed.unwrap_or_default())?;
        }
        "test" => return test::run(rest),
        "bench" => return bench::run(rest),
        "image" => image::run(rest)?,
        "build" => serve::build(profile(rest)?)?,
        "guests" => none(rest).and_then(|()| serve::guests())?,
        "web" => none(rest).and_then(|()| serve::web())?,
        "setup" => none(rest).and_then(|()| setup::all())?,
        "lint" => none(rest).and_then(|()| checks::lint())?,
        "tidy" => none(rest).and_then(|()| tidy::run())?,
        "docs" => none(rest).and_then(|()| tidy::write())?,
        "help" | "--help" | "-h" => print!("{HELP}"),
        other => bail!("there is no command `{other}`; `cargo xtask help` lists them"),
    }
    Ok(ExitCode::SUCCESS)
}

/// How the host is compiled; components always use the profile `guest`.
#[derive(Clone, Copy, PartialEq)]
enum Profile {
    Debug,
    Release,
}

impl Profile {
    fn folder(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

fn profile(args: &[String]) -> Result<Profile> {
    let mut profile = Profile::Debug;
    for arg in args {
        match arg.as_str() {
            "--release" => profile = Profile::Release,
            other => bail!("unexpected `{other}`; arguments for wasm-host itself go after `--`"),
        }
    }
    Ok(profile)
}

fn none(args: &[String]) -> Result<()> {
    match args.first() {
        Some(arg) => bail!("unexpected `{arg}`: this command takes no arguments"),
        None => Ok(()),
    }
}
