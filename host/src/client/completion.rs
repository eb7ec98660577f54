//! `wasm-host completion`: what a shell needs to complete commands and their arguments.

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli;
use crate::exit::Exit;

pub fn completion(args: &cli::Completion) -> Result<(), Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::Cli::command(), "wasm-host", &mut script);
    if args.shell == Shell::Bash {
        script = with_one_name(&String::from_utf8_lossy(&script)).into_bytes();
    }
    // A reader that has gone wants no more.
    match io::Write::write_all(&mut io::stdout(), &script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write the script").into())
        }
        _ => Ok(()),
    }
}

/// clap_complete 4.6 writes the hyphen of our name in one way where it says which subcommand is meant, and in another
/// one where that is looked up, so that nothing behind a subcommand would complete.
fn with_one_name(script: &str) -> String {
    script.replace("wasm__subcmd__host__subcmd", "wasm__host__subcmd")
}
