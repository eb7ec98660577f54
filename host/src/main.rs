//! The `wasm-host` program: parse the command line, run one command, tell how it ended.

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use wasm_host::allocations::Watched;
use wasm_host::cli::{Cli, Command};
use wasm_host::engine::compile::compiler;
use wasm_host::engine::worker::stop_computing;
use wasm_host::exit::{Exit, USAGE};
use wasm_host::{check, client, inspect, limits, serve, telemetry, testkit};

/// Requests are many small allocations, most of them freed on the thread that made them.
#[global_allocator]
static ALLOCATOR: Watched<mimalloc::MiMalloc> = Watched(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nowhere to tell that the terminal is gone.
            let _ = error.print();
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    if let Command::CompileComponent(args) = &cli.command {
        // It has neither a log nor a runtime.
        return compiler::run(args);
    }
    telemetry::start();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::Failed(error.into()).report(),
    };
    let ended = runtime.block_on(run(cli.command));
    telemetry::flush();
    // What computes there would ask for the time of a runtime that is gone.
    stop_computing();
    // By itself it would wait for what cannot be called back, such as a disk that does not answer, and
    // nobody would listen to signals meanwhile.
    runtime.shutdown_timeout(limits::LAST_TASKS);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(),
    }
}

async fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Serve(args) => serve::serve(args).await,
        Command::Check(args) => check::check(args).await,
        Command::Test(args) => testkit::command::test(args).await,
        Command::Ps(args) => client::ps::ps(args).await,
        Command::History(args) => client::history::history(args).await,
        Command::Swap(args) => client::swap::swap(args).await,
        Command::Rollback(args) => client::swap::rollback(args).await,
        Command::Inspect(args) => inspect::inspect(args).await,
        // Done before there was a runtime.
        Command::CompileComponent(_) => Ok(()),
    }
}
