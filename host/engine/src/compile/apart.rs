//! Compiling in a process of its own: what a component makes the compiler do has bounds and harms no other service.
//! Components are put together there, too.
//!
//! A few kilobytes can keep a compiler busy for minutes and make it take gigabytes, and neither can be taken back
//! within a process. So the host starts its own executable for each component, hands it the bytes and takes the code
//! from it. That process knows nothing of the host: no environment, no files, no log. It ends with whatever waits for
//! it, the host above all. What it does is in [`super::compiler`].
//!
//! It works where the executable is the host's. Others that are built with this library, such as tests of components,
//! compile in themselves.

mod compose;

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow};
#[cfg(target_os = "linux")]
use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::compiler::{INVALID, NO_MEMORY, OTHER_ENGINE};
use super::turns::Turns;
use super::{Code, CodeCache, ComponentFile, invalid, precompile, what};
use crate::Engine;
use wasm_host_limits::compiler as limits;
use wasm_host_limits::host::HostLimits;
use wasm_host_log::tell_if_long_async;

/// Has components compiled by processes of their own.
pub struct Compiler {
    limits: HostLimits,
    places: Semaphore,
    turns: Turns,
    /// The host's own.
    executable: Executable,
}

/// The executable of this process, whatever becomes of what lies under its name.
struct Executable {
    path: PathBuf,
    /// What the path leads to, where that is by number.
    _open: Option<OwnedFd>,
}

/// How a compiler ended, and what it left.
struct CompilerExit {
    status: ExitStatus,
    output: Vec<u8>,
    last_words: String,
}

impl Compiler {
    /// # Errors
    /// The executable of this process cannot be opened.
    pub fn new(limits: HostLimits) -> Result<Self> {
        let executable = Executable::open().context("the host does not find its own executable")?;
        let places = Semaphore::new(limits::PLACES);
        Ok(Self { limits, places, turns: Turns::default(), executable })
    }

    /// Compile a component, or load its code from the cache; one that is wanted several times at once is compiled for all
    /// of them, as little urgently as the first of them wants it. Given up when it is dropped. It is less urgent by
    /// `niceness`, in the steps of `nice`.
    pub async fn compile(
        &self,
        engine: &Arc<Engine>,
        cache: &Arc<CodeCache>,
        file: &ComponentFile,
        niceness: i32,
    ) -> Result<Arc<Code>> {
        let of_cache = || (engine.clone(), cache.clone(), file.digest.clone());
        let find = || async {
            // Without a visit to the threads that wait for a disk, where a service has it.
            if let Some(code) = cache.in_use(engine.wasmtime(), &file.digest) {
                return Ok(Some(code));
            }
            let (engine, cache, digest) = of_cache();
            blocking(move || Ok(cache.load(engine.wasmtime(), &digest))).await
        };
        let make = || async {
            let code = tell_if_long_async(&what(file), self.code(engine, file, niceness)).await?;
            let (engine, cache, digest) = of_cache();
            blocking(move || cache.store(engine.wasmtime(), &digest, &code)).await
        };
        self.turns.once(&file.digest, find, make).await
    }

    /// The same for a thread that may wait, of a runtime that does not.
    pub fn compile_now(
        &self,
        engine: &Arc<Engine>,
        cache: &Arc<CodeCache>,
        file: &ComponentFile,
    ) -> Result<Arc<Code>> {
        Handle::current().block_on(self.compile(engine, cache, file, 0))
    }

    async fn code(&self, engine: &Arc<Engine>, file: &ComponentFile, nice: i32) -> Result<Vec<u8>> {
        let _place = self.places.acquire().await?;
        let mut command = self.command(self.limits.compile_cpu, nice);
        command.args(["--engine", &engine.hash().to_string()]);
        let deadline = self.limits.compile_cpu.saturating_mul(limits::DEADLINE_FACTOR);
        let component: &[&[u8]] = &[&file.bytes];
        let running = run(command, component, limits::CODE_BYTES);
        let Ok(ended) = timeout(deadline, running).await else {
            return Err(anyhow!(
                "{} is not compiled after {deadline:?}: the machine is busy, or it was made to take long \
                 ('compile-cpu-timeout' in [limits] sets {} times this bound)",
                file.path.display(),
                limits::DEADLINE_FACTOR
            ));
        };
        let ended = ended.context("the compiler does not start")?;
        match ended.status.code() {
            _ if ended.output.len() > limits::CODE_BYTES => Err(anyhow!(
                "{} compiles to more than {} bytes",
                file.path.display(),
                limits::CODE_BYTES
            )),
            Some(0) => Ok(ended.output),
            Some(OTHER_ENGINE) => {
                tracing::warn!(
                    "{} is compiled without bounds: other processes see another processor, as below an emulator",
                    file.path.display()
                );
                let (engine, file) = (engine.clone(), file.clone());
                blocking(move || precompile(engine.wasmtime(), &file)).await
            }
            Some(INVALID) => Err(anyhow!("{}", ended.last_words).context(invalid(file))),
            _ => Err(self.verdict(&ended, &file.path.display().to_string(), "compiled")),
        }
    }

    fn command(&self, cpu: Duration, niceness: i32) -> Command {
        let mut command = Command::new(&self.executable.path);
        command
            .arg0("wasm-host")
            .arg("compile-component")
            .args(["--cpu-seconds", &cpu.as_secs().max(1).to_string()])
            .args(["--memory-bytes", &self.limits.compile_memory_bytes.to_string()])
            .args(["--niceness", &niceness.to_string()])
            // The host's has secrets. What is reserved is not to count as taken.
            .env_clear()
            .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C is for the host, which gives up what it has begun.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Why nothing came of it, if that is not the component's fault. `done`: what was to be done with it.
    fn verdict(&self, ended: &CompilerExit, path: &str, done: &str) -> Error {
        let CompilerExit { status, last_words, .. } = ended;
        let cannot = |bound: &str, key: &str| {
            anyhow!("{path} cannot be {done} within {bound} ('{key}' in [limits] sets the bound)")
        };
        let signal = status.signal();
        // What allocation says when it fails, and then it aborts.
        let had_no_memory = last_words.contains("memory allocation of");
        if status.code() == Some(NO_MEMORY) || had_no_memory {
            let bound = self.limits.compile_memory_bytes / (1024 * 1024);
            cannot(&format!("{bound} MiB of memory"), "compile-memory")
        } else if signal == Some(Signal::XCPU.as_raw()) {
            let bound = self.limits.compile_cpu;
            cannot(&format!("{bound:?} of processor time"), "compile-cpu-timeout")
        } else if signal == Some(Signal::KILL.as_raw()) {
            anyhow!(
                "{path} cannot be {done}: the system ended the compiler, as it does where memory is short"
            )
        } else {
            anyhow!(
                "{path} cannot be {done}: the compiler failed ({status}) and said: {last_words}"
            )
        }
    }
}

impl Executable {
    #[cfg(target_os = "linux")]
    fn open() -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let open = rustix::fs::open("/proc/self/exe", flags, Mode::empty())?;
        let path = format!("/proc/self/fd/{}", open.as_raw_fd()).into();
        Ok(Self { path, _open: Some(open) })
    }

    #[cfg(not(target_os = "linux"))]
    fn open() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, _open: None })
    }
}

/// Run a compiler to its end: what it is given, in pieces, and how much it may hand over.
async fn run(mut command: Command, given: &[&[u8]], most: usize) -> io::Result<CompilerExit> {
    let mut child = command.spawn()?;
    let (input, output, errors) = pipes(&mut child)?;
    let (input, handed_over, last_words) = tokio::join!(
        hand_over(input, given),
        // One more, to see that there is more.
        read(output, most + 1),
        read(errors, limits::LAST_WORDS_BYTES),
    );
    let status = child.wait().await?;
    // Not before: it tells the compiler that the host still waits for it.
    drop(input);
    let last_words = String::from_utf8_lossy(&last_words).trim().to_owned();
    Ok(CompilerExit { status, output: handed_over, last_words })
}

fn pipes(child: &mut Child) -> io::Result<(ChildStdin, ChildStdout, ChildStderr)> {
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(input), Some(output), Some(errors)) = pipes else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    Ok((input, output, errors))
}

/// The length of it all, then the pieces. One that ends before it has read it all says why.
async fn hand_over(mut input: ChildStdin, given: &[&[u8]]) -> ChildStdin {
    let length = given.iter().map(|piece| piece.len() as u64).sum::<u64>().to_le_bytes();
    for piece in std::iter::once(&length[..]).chain(given.iter().copied()) {
        if input.write_all(piece).await.is_err() {
            break;
        }
    }
    input
}

/// What a pipe carries, up to so many bytes. What ends in the middle is told by how the process ends.
async fn read(pipe: impl AsyncRead + Unpin, bytes: usize) -> Vec<u8> {
    let mut content = Vec::new();
    let _ = pipe.take(bytes as u64).read_to_end(&mut content).await;
    content
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(work).await.context("the compiler stopped")?
}
