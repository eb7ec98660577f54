//! `wasm-host completion`: what a shell needs to complete commands and their arguments.

use std::io;

use clap::CommandFactory as _;

use crate::cli;
use crate::exit::Exit;

pub fn completion(args: &cli::Completion) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::Cli::command(), "wasm-host", &mut script);
    // A reader that has gone wants no more.
    match io::Write::write_all(&mut io::stdout(), &script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write the script").into())
        }
        _ => Ok(()),
    }
}
