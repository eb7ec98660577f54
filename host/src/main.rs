//! The `wasm-host` program: parse the command line, run one command, tell how it ended.

use std::env;
use std::process::ExitCode;
use std::ptr;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;
use wasm_host::cli::{Cli, Command, LogFormat};
use wasm_host::exit::{Exit, USAGE};
use wasm_host::{
    build, check, client, deploy, image, import, inspect, registry, scaffold, serve, test, wit,
};
use wasm_host_engine::compile::compiler;
use wasm_host_limits as limits;
use wasm_host_log as log;
use wasm_host_system::allocations::{Watched, may_receive};
use wasm_host_system::computing;
use wasm_host_system::mimalloc::Mimalloc;

/// Requests are many small allocations, most of them freed on the thread that made them.
#[global_allocator]
static ALLOCATOR: Watched<Mimalloc> = Watched(Mimalloc);

/// What reads from sockets in this program calls, in place of the system's own, with one difference: once the
/// database driver has made more room than it may, nothing comes in for the rest of that poll.
#[expect(
    unsafe_code,
    reason = "the driver takes no socket from outside, and this is what is between it and its own"
)]
// SAFETY: it is what POSIX says of the name, which is `recvfrom` without an address.
#[unsafe(no_mangle)]
unsafe extern "C" fn recv(
    socket: libc::c_int,
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_int,
) -> libc::ssize_t {
    // Of no socket, which is an error.
    let socket = if may_receive() { socket } else { -1 };
    // SAFETY: the caller keeps what `recv` asks for, which is the same. No address is asked for.
    unsafe { libc::recvfrom(socket, buffer, length, flags, ptr::null_mut(), ptr::null_mut()) }
}

/// Set by a shell that completes a line. Other programs ask for `COMPLETE`, which may be set for one of them.
const COMPLETE: &str = "WASM_HOST_COMPLETE";

fn main() -> ExitCode {
    // A shell that completes a line says so in the environment. Before anything else: it takes that away again.
    let folder = env::current_dir().ok();
    let completing = CompleteEnv::with_factory(Cli::command).var(COMPLETE);
    let completed = completing.try_complete(env::args_os(), folder.as_deref());
    match completed {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(USAGE);
        }
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // There is no place to say that the terminal is gone.
            let _ = error.print();
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
        }
    };
    if let Command::CompileComponent(args) = &cli.command {
        // It has neither a log nor a runtime.
        return compiler::run(args);
    }
    log::start(match cli.log_format {
        LogFormat::Text => log::LogFormat::Text,
        LogFormat::Json => log::LogFormat::Json,
    });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::Failed(error.into()).report(),
    };
    let ended = runtime.block_on(run(cli.command));
    log::flush();
    // What computes there would ask for the time of a runtime that is gone.
    computing::stop();
    // By itself it would wait for what cannot be called back, such as a disk that does not answer, and
    // nothing would listen to signals meanwhile.
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
        Command::New(args) => scaffold::new(args).await,
        Command::Add(args) => scaffold::add(args).await,
        Command::Wit(args) => wit::wit(&args),
        Command::Build(args) => build::build(args).await,
        Command::Test(args) => test::test(args).await,
        Command::Push(args) => registry::push(args).await,
        Command::Pull(args) => registry::pull(args).await,
        Command::Update(args) => registry::update::update(args).await,
        Command::Key(args) => registry::key(args),
        Command::Import(args) => import::import(&args),
        Command::Image(args) => image::image(args).await,
        Command::Ps(args) => client::ps::ps(args).await,
        Command::History(args) => client::history::history(args).await,
        Command::Swap(args) => client::swap::swap(args).await,
        Command::Rollback(args) => client::swap::rollback(args).await,
        Command::Logs(args) => client::logs::logs(args).await,
        Command::Traces(args) => client::traces::traces(args).await,
        Command::Describe(args) => client::describe::describe(args).await,
        Command::Record(args) => client::recordings::record(args).await,
        Command::Recordings(args) => client::recordings::recordings(args).await,
        Command::Wait(args) => client::describe::wait(args).await,
        Command::Export(args) => client::export::export(args).await,
        Command::Dashboard(args) => client::dashboard::dashboard(args).await,
        Command::Completion(args) => client::completion::completion(&args),
        Command::Manifest(args) => deploy::manifest(&args),
        Command::Deploy(args) => deploy::deploy(args.target).await,
        Command::Pause(args) => {
            tokio::time::sleep(args.time).await;
            Ok(())
        }
        Command::Inspect(args) => inspect::inspect(args).await,
        // Done before there was a runtime.
        Command::CompileComponent(_) => Ok(()),
    }
}
