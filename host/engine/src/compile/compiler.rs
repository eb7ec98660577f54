//! The process that compiles one component, or puts several together: `wasm-host compile-component`, started by the host
//! alone.
//!
//! It takes the component from its standard input, behind its length, and writes the code to its standard output. Its
//! input is open as long as the host waits for it. It gives itself its bounds before it reads a byte.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, nice, setrlimit};
use wasmtime::OutOfMemory;

use super::composer;
use crate as engine;
use wasm_host_limits::compiler as limits;
use wasm_host_limits::compiler::PUT_TOGETHER_BYTES;
use wasm_host_limits::{COMPONENT_FILE_BYTES, COMPOSITION_BYTES};

/// What the host tells the process that compiles a component.
#[derive(clap::Args, Debug)]
pub struct CompileComponent {
    /// The hash of the host's engine.
    #[arg(long, required_unless_present = "compose")]
    pub engine: Option<u64>,
    /// Put components together instead.
    #[arg(long)]
    pub compose: bool,
    #[arg(long)]
    pub cpu_seconds: u64,
    #[arg(long)]
    pub memory_bytes: u64,
    #[arg(long)]
    pub niceness: i32,
}

/// How it ends, beside 0 when the code is written, and 1 for what is not foreseen. The component is wrong; there
/// is no memory left; the host has an engine of other settings.
pub(super) const INVALID: i32 = 65;
pub(super) const NO_MEMORY: i32 = 71;
pub(super) const OTHER_ENGINE: i32 = 75;

/// Compile one component. What is wrong is told on standard error.
pub fn run(args: &CompileComponent) -> ExitCode {
    match compile(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(code, error)) => {
            eprintln!("{error:#}");
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
    }
}

/// The code that it ends with, and what it says.
struct Failure(i32, anyhow::Error);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(1, error)
    }
}

fn compile(args: &CompileComponent) -> Result<(), Failure> {
    bound(args)?;
    if args.compose {
        let parts = input(COMPOSITION_BYTES + PUT_TOGETHER_BYTES as u64)?;
        end_with_host()?;
        return Ok(hand_over(&composer::run(&parts)?)?);
    }
    let engine = engine::for_compiling()?;
    if Some(engine::hash(&engine)) != args.engine {
        return Err(Failure(OTHER_ENGINE, anyhow::anyhow!("its engine is not the host's")));
    }
    let component = input(COMPONENT_FILE_BYTES)?;
    end_with_host()?;
    let code = engine.precompile_component(&component).map_err(|error| {
        let code = if error.is::<OutOfMemory>() { NO_MEMORY } else { INVALID };
        Failure(code, error.into())
    })?;
    Ok(hand_over(&code)?)
}

fn hand_over(made: &[u8]) -> Result<()> {
    let mut output = io::stdout().lock();
    let written = output.write_all(made).and_then(|()| output.flush());
    written.context("nothing takes what was made")
}

/// Bound itself, and make way for others. What the system refuses to lower is lower already.
fn bound(args: &CompileComponent) -> Result<()> {
    let lower = |resource, bound: u64, last: u64| {
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(bound.min(most)), maximum: Some(last.min(most)) };
        setrlimit(resource, limit).context("the compiler cannot bound itself")
    };
    let last = args.cpu_seconds.saturating_add(limits::CPU_GRACE.as_secs());
    lower(Resource::Cpu, args.cpu_seconds, last)?;
    // Of addresses it reserves more than it takes.
    lower(Resource::Data, args.memory_bytes, args.memory_bytes)?;
    // It has nothing to be looked at afterwards, and as much memory as that.
    lower(Resource::Core, 0, 0)?;
    // Where memory ends before its bound, it is the first to go. Only Linux has this.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    if args.niceness > 0 {
        // To be less urgent needs no privilege. Without it, it is as urgent as the host.
        let _ = nice(args.niceness);
    }
    Ok(())
}

fn input(most: u64) -> Result<Vec<u8>> {
    let mut input = io::stdin().lock();
    let mut length = [0; 8];
    input.read_exact(&mut length).context("there is no component")?;
    let length = u64::from_le_bytes(length);
    if length > most {
        bail!("it is larger than {most} bytes");
    }
    let mut component = Vec::new();
    input.take(length).read_to_end(&mut component).context("half of the component is missing")?;
    if component.len() as u64 != length {
        bail!("half of the component is missing");
    }
    Ok(component)
}

/// End when the host does not wait for the code any more, however that came about.
fn end_with_host() -> Result<()> {
    let wait = || {
        // Nothing comes but the end.
        let _ = io::stdin().lock().read(&mut [0]);
        // What orderly ends wait for is the compiler's other threads.
        let _ = kill_process(getpid(), Signal::KILL);
    };
    let waiting = thread::Builder::new().name("host".to_string()).spawn(wait);
    waiting.map(drop).context("the compiler cannot see whether its host is there")
}
