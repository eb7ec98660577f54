//! A running `wasm-host`: started on free ports, its log kept, stopped with a signal, killed when forgotten.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::client::{self, Reply};
use crate::{PATIENCE, compiled, within};

mod processes;

use processes::heeding_signals;
pub use processes::{compiler, compilers, has_ended};

/// Time to compile an interpreter of 20 MB with a compiler that is hardly optimised, beside other tests.
pub const COMPILATION: Duration = Duration::from_secs(300);

/// An application in a folder of its own.
pub struct App {
    folder: Arc<TempDir>,
    /// Those that its file names, if it is known where its hosts keep their code.
    components: Vec<PathBuf>,
    environment: Vec<(String, String)>,
    /// What a shell does before it becomes the host, such as lowering a limit.
    before: Option<String>,
    is_optimised: bool,
}

impl App {
    /// `file` is the text of `wasm-host.toml`. `$(NAME)` in it is the path of the component `NAME.wasm`.
    pub fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut text, mut components) = (file.to_string(), Vec::new());
        while let Some((before, rest)) = text.split_once("$(") {
            let (name, after) = rest.split_once(')').expect("$(NAME)");
            let path = component(name);
            text = format!("{before}{}{after}", path.display());
            components.push(path);
        }
        if text.contains("[state]") {
            components.clear();
        }
        std::fs::write(folder.path().join("wasm-host.toml"), text).unwrap();
        Self {
            folder: Arc::new(folder),
            components,
            environment: Vec::new(),
            before: None,
            is_optimised: false,
        }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_string(), value.to_string()));
        self
    }

    /// Run shell commands in the process that becomes the host, for example `ulimit -n 64`.
    pub fn before(mut self, commands: &str) -> Self {
        self.before = Some(commands.to_string());
        self
    }

    /// Run the host in a terminal of its own, which the process that the harness knows keeps open: killed, it closes it.
    pub fn in_terminal(self) -> Self {
        self.in_terminal_of("")
    }

    /// The same after shell commands that prepare it. Its user types what is the standard input then.
    pub fn in_terminal_of(self, commands: &str) -> Self {
        self.before(&format!("{commands}\nset -- script -qefc \"exec $*\" /dev/null\nexec >&2"))
    }

    /// Run it with the host as it is shipped, built by `cargo xtask build --release`.
    pub fn optimised(mut self) -> Self {
        self.is_optimised = true;
        self
    }

    fn binary(&self) -> PathBuf {
        if self.is_optimised { root().join("target/release/wasm-host") } else { binary() }
    }

    /// The folder of the application file.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub async fn serve(&self) -> Host {
        self.serve_with(&["wasm-host.toml"]).await
    }

    /// Serve by itself a component that is an interpreter, which takes long to compile.
    pub async fn serve_interpreter(&self, name: &str, arguments: &[&str]) -> Host {
        let file = component(name);
        let file = file.to_str().unwrap();
        self.compile(&[file]).await;
        self.serve_with(&[&[file], arguments].concat()).await
    }

    /// Serve an application with a component that is an interpreter, which takes long to compile.
    pub async fn serve_compiled(&self) -> Host {
        self.compile(&[]).await;
        self.serve().await
    }

    /// Keep the code of an interpreter for the host, which would otherwise be waited for less.
    /// Returns what was said of it.
    pub async fn compile(&self, arguments: &[&str]) -> String {
        let components = self.lend(arguments);
        let checked = self.run_within(COMPILATION, &[&["check"], arguments].concat()).await;
        let told = String::from_utf8(checked.stderr).unwrap();
        assert!(checked.status.success(), "{told}");
        compiled::keep(&self.state(), &components);
        told
    }

    /// Where its hosts keep their state, unless they are told otherwise.
    fn state(&self) -> PathBuf {
        self.path().join(".wasm-host")
    }

    /// Lend a host that is about to start the code of its components, which are returned.
    fn lend(&self, arguments: &[&str]) -> Vec<PathBuf> {
        if self.before.is_some() || self.is_optimised || arguments.contains(&"--state") {
            return Vec::new();
        }
        let named = arguments.iter().filter(|argument| argument.ends_with(".wasm"));
        let components: Vec<_> =
            self.components.iter().cloned().chain(named.map(PathBuf::from)).collect();
        compiled::lend(&self.state(), &components);
        components
    }

    /// Serve at an address that is not this machine's alone.
    pub async fn serve_at(&self, address: &str) -> Host {
        self.serve_at_with(address, &["wasm-host.toml"]).await
    }

    /// `wasm-host serve` with these arguments, on free ports.
    pub async fn serve_with(&self, arguments: &[&str]) -> Host {
        self.serve_at_with("127.0.0.1:0", arguments).await
    }

    async fn serve_at_with(&self, address: &str, arguments: &[&str]) -> Host {
        let components = self.lend(arguments);
        let free = ["--listen", address, "--admin", "127.0.0.1:0"];
        let mut child = self
            .command(&[&["serve"], arguments, &free].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the host starts; was it built?");
        let log = Arc::new(Mutex::new(Log { text: String::new(), lines: 0, keeps: usize::MAX }));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (reads, mut is_read) = tokio::sync::watch::channel(Reading::Reads);
        let (sender, ready) = tokio::sync::oneshot::channel();
        let mut sender = Some(sender);
        let reader = tokio::spawn({
            let log = log.clone();
            let mut admin = String::new();
            async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let is_read = is_read.wait_for(|read| *read != Reading::Paused).await;
                    if is_read.is_ok_and(|read| *read == Reading::Closed) {
                        return;
                    }
                    // With `--log-format json` it is in an object.
                    let object: Option<serde_json::Value> = serde_json::from_str(&line).ok();
                    let said = object.as_ref().and_then(|line| line["message"].as_str());
                    let said = said.unwrap_or(&line);
                    if let Some(address) = said.strip_prefix("Control plane on http://") {
                        admin = address.trim_end_matches('/').to_string();
                    }
                    let served = said.strip_prefix("Serving HTTP on ");
                    if let Some((_, address)) = served.and_then(|url| url.split_once("://")) {
                        let address = address.trim_end_matches('/').to_string();
                        sender.take().map(|sender| sender.send((address, admin.clone())));
                    }
                    log.lock().unwrap().push(&line);
                }
            }
        });
        match within("the host to serve", ready).await {
            Ok((address, admin)) => {
                compiled::keep(&self.state(), &components);
                Host { address, admin, child, log, reads, reader, folder: self.folder.clone() }
            }
            Err(_) => panic!("the host ended while it started:\n{}", log.lock().unwrap().text),
        }
    }

    /// Begin a command.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().expect("the command starts")
    }

    /// Begin a command whose output is read.
    pub fn start_to_read(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        command.spawn().expect("the command starts")
    }

    /// Run a command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_within(PATIENCE, arguments).await
    }

    /// The same for what takes longer on a busy machine, such as compiling an interpreter.
    pub async fn run_within(&self, patience: Duration, arguments: &[&str]) -> Output {
        let output = self.command(arguments).kill_on_drop(true).output();
        let ended = tokio::time::timeout(patience, output).await;
        ended.expect("the command ends in time").expect("the command starts")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = heeding_signals();
        if let Some(before) = &self.before {
            let script = format!("{before}\nexec \"$@\"");
            command.args(["sh", "-c", &script, "sh"]);
        }
        command.arg(self.binary());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("OLLAMA_HOST")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }
}

/// What becomes of a host's log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Reads,
    Paused,
    Closed,
}

/// What a host has written to standard error.
struct Log {
    text: String,
    lines: u64,
    /// Bytes of it that are kept at least.
    keeps: usize,
}

impl Log {
    fn push(&mut self, line: &str) {
        self.lines += 1;
        self.text.push_str(line);
        self.text.push('\n');
        if self.text.len() / 2 > self.keeps {
            let from = self.text.ceil_char_boundary(self.text.len() - self.keeps);
            self.text.drain(..from);
        }
    }
}

/// A host that serves.
pub struct Host {
    /// `ip:port` of the public port.
    pub address: String,
    /// `ip:port` of the control plane.
    pub admin: String,
    child: Child,
    log: Arc<Mutex<Log>>,
    /// Whether its log is read.
    reads: tokio::sync::watch::Sender<Reading>,
    /// Reads its log to the end.
    reader: tokio::task::JoinHandle<()>,
    /// The host lives in it: it outlives the [`App`] where that was made in passing.
    folder: Arc<TempDir>,
}

impl Host {
    pub async fn get(&self, path: &str) -> Reply {
        client::send(&self.address, "GET", path, &[], "").await
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        client::send(&self.address, method, path, &[], body).await
    }

    /// One service as the control plane shows it.
    pub async fn service(&self, name: &str) -> serde_json::Value {
        let services = self.ask("GET", "/services", &[], "").await.json();
        let mut services = services.as_array().expect("a list").iter();
        services.find(|service| service["service"] == name).cloned().expect("the service")
    }

    /// Where it keeps its state, unless it was told otherwise.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join(".wasm-host")
    }

    /// What it tells commands about itself.
    pub fn control(&self) -> serde_json::Value {
        let text = std::fs::read(self.state().join("control.json")).expect("a control file");
        serde_json::from_slice(&text).expect("it is JSON")
    }

    /// The value of the header that its control plane wants.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.control()["token"].as_str().expect("a token"))
    }

    /// Ask its control plane, with the token.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Reply {
        let token = self.authorization();
        let headers = [headers, &[("authorization", &*token)]].concat();
        client::send(&self.admin, method, path, &headers, body).await
    }

    /// Upload a component for a service. `query` may be empty.
    pub async fn swap(&self, service: &str, query: &str, component: impl AsRef<[u8]>) -> Reply {
        let path = format!("/services/{service}/swap?{query}");
        self.ask("POST", &path, &[("content-type", "application/wasm")], component).await
    }

    /// What happened to the versions of a service, oldest first.
    pub async fn history(&self, service: &str) -> Vec<serde_json::Value> {
        let reply = self.ask("GET", &format!("/services/{service}/history"), &[], "").await;
        reply.json().as_array().expect("a list").clone()
    }

    /// All that the host has written to standard error so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().text.clone()
    }

    /// Keep no more than so many bytes at its end from now on, or twice as many.
    pub fn keep_log(&self, bytes: usize) {
        self.log.lock().unwrap().keeps = bytes;
    }

    /// How many lines it has written.
    pub fn log_lines(&self) -> u64 {
        self.log.lock().unwrap().lines
    }

    /// How it ended, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own process")
    }

    /// Read its log no more, or again: whoever writes a log must not wait for its reader.
    pub fn read_log(&self, reads: bool) {
        self.reads.send_replace(if reads { Reading::Reads } else { Reading::Paused });
    }

    /// Close the reading end of its log with the next line: writing it is an error from then on.
    pub fn close_log(&self) {
        self.reads.send_replace(Reading::Closed);
    }

    /// Calls that run on a backend, such as `ollama.local`, as the control plane shows them.
    pub async fn calls(&self, backend: &str) -> u64 {
        let backends = self.ask("GET", "/backends", &[], "").await.json();
        let mut backends = backends.as_array().expect("a list").iter();
        let found = backends.find(|shown| shown["backend"] == backend).expect("the backend");
        found["calls"].as_u64().expect("a number")
    }

    /// Memory that it occupies, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.kib("VmRSS:").expect("its memory")
    }

    /// The same, unless it has ended.
    pub fn resident_kib_if_it_runs(&self) -> Option<u64> {
        self.kib("VmRSS:")
    }

    /// The most that it has occupied since the peak was forgotten, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.kib("VmHWM:").expect("its memory")
    }

    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("our own process");
    }

    /// A process that has ended has none.
    fn kib(&self, name: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().trim_end_matches("kB").trim().parse().expect("a number"))
    }

    /// Ticks of a processor that those of its threads have had whose names begin so.
    pub fn processor_time(&self, name: &str) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a process");
        let stats =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let mut sum = 0;
        for stat in stats {
            // `NUMBER (NAME) STATE ...`: user time and system time are the 14th and 15th field.
            let (before, after) = stat.rsplit_once(") ").expect("a name");
            if before.split_once(" (").is_some_and(|(_, comm)| comm.starts_with(name)) {
                let times = after.split(' ').skip(11).take(2);
                sum += times.map(|time| time.parse::<u64>().expect("a number")).sum::<u64>();
            }
        }
        sum
    }

    /// From now on no file of it may grow. It must ignore the signal that comes with that.
    pub fn forbid_writing(&self) {
        let nothing = Rlimit { current: Some(0), maximum: Some(0) };
        let pid = Pid::from_raw(self.pid().cast_signed());
        prlimit(pid, Resource::Fsize, nothing).expect("the limit is taken");
    }

    /// Wait until it has a component compiled. Returns the process that does it.
    pub async fn compiler(&self) -> u32 {
        compiler(self.pid()).await
    }

    /// The processes in which it has components compiled.
    pub fn compilers(&self) -> Vec<u32> {
        compilers(self.pid())
    }

    /// Files and sockets that it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a process").count()
    }

    /// Wait until it has written this: it writes apart from what it does.
    pub async fn logs(&self, text: &str) {
        crate::eventually(text, async || self.log().contains(text).then_some(())).await;
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ask it to stop.
    pub fn terminate(&self) {
        kill_process(Pid::from_raw(self.pid().cast_signed()).unwrap(), Signal::TERM).unwrap();
    }

    /// End it as a power failure would.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Ask it to stop and wait until it has. Returns how it ended and its whole log.
    pub async fn stop(self) -> (ExitStatus, String) {
        self.terminate();
        self.stop_after_signal().await
    }

    /// Wait until a host that was asked to stop has done so.
    pub async fn stop_after_signal(mut self) -> (ExitStatus, String) {
        let status = within("the host to stop", self.child.wait()).await.unwrap();
        let paused = *self.reads.borrow() == Reading::Paused;
        if paused {
            self.reads.send_replace(Reading::Reads);
        }
        // The pipe ends with the host; what it starts has pipes of its own.
        within("the end of the log", self.reader).await.unwrap();
        let log = self.log.lock().unwrap().text.clone();
        (status, log)
    }
}

/// Built by `cargo xtask build`, beside this test's own binary.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("wasm-host")
}

/// A component built by `cargo xtask build`.
pub fn component(name: &str) -> PathBuf {
    root().join("target/components").join(format!("{name}.wasm"))
}

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
