//! `wasm-host completion`: what a shell needs to complete commands and their arguments.

use std::io;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use crate::cli;
use crate::exit::Exit;

const NAME: &str = "wasm-host";

pub fn completion(args: &cli::Completion) -> Result<(), Exit> {
    // A reader that has gone wants no more.
    match io::Write::write_all(&mut io::stdout(), &script(args.shell)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write the script").into())
        }
        _ => Ok(()),
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(&cli::Cli::command()), NAME, &mut script);
    if shell == Shell::Bash {
        script = with_one_name(&String::from_utf8_lossy(&script)).into_bytes();
    }
    script
}

/// A program's commands without those that are hidden, which clap_complete would offer.
fn shown(all: &Command) -> Command {
    let commands = all.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments())
        .subcommands(commands)
}

/// clap_complete 4.6 writes the hyphen of our name in one way where it says which subcommand is meant, and in another
/// one where that is looked up, so that nothing behind a subcommand would complete.
fn with_one_name(script: &str) -> String {
    script.replace("wasm__subcmd__host__subcmd", "wasm__host__subcmd")
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn what_is_hidden_is_offered_by_no_shell() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            for offered in ["dashboard", "follow", "help", "log-format", "version"] {
                assert!(script.contains(offered), "{offered} in that of {shell}");
            }
            let names = ["compile-component", "compile__component", "compile__subcmd__component"];
            let is_hidden = |line: &&str| names.iter().any(|name| line.contains(name));
            assert_eq!(script.lines().find(is_hidden), None, "{shell}");
        }
    }
}
