//! One run of a build command: in a process group of its own, with a deadline, its output shown as it comes, or kept
//! until it is known whether it has to be shown.

use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::toolchain;
use wasm_host_limits as limits;

/// Tells the command which crates changed, with commas in between.
const CHANGED_VARIABLE: &str = "WASM_HOST_CHANGED";

/// A build command.
#[derive(Clone, Debug)]
pub(crate) struct Build {
    /// The program and its arguments.
    pub(crate) words: Vec<String>,
    /// Where it runs.
    pub(crate) folder: PathBuf,
    /// Folders in which programs are looked for before those of the PATH.
    pub(crate) programs: Vec<PathBuf>,
    /// The files that it makes, whose folders are made for them, the service's own component first. None: it is the
    /// builder's business.
    pub(crate) makes: Vec<PathBuf>,
    pub(crate) timeout: Duration,
}

/// What becomes of what a build writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Its end is kept for the failure.
    Kept,
    /// It goes to standard error as it comes.
    Shown,
}

/// Why there is nothing new.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// As the command wrote it.
    pub(crate) output: Vec<u8>,
}

/// A process and all that it started, which end with it.
struct Group {
    first: Child,
    /// Of the first process, and so of all. `Child` forgets it when that one has ended, and others may go on.
    id: Option<Pid>,
}

/// The end of an output.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    left_out: usize,
    /// All of it is shown as it comes, and nothing is kept.
    is_shown: bool,
}

// === impl Build ===

impl Build {
    /// Run it to its end, or to `stop`.
    pub(crate) async fn run(
        &self,
        crates: &str,
        output: Output,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut tail = Tail { is_shown: output == Output::Shown, ..Tail::default() };
        if let Err(reason) = self.make_folders() {
            return Err(Failure { reason, output: Vec::new() });
        }
        let ended = match self.spawn(crates) {
            Ok((mut group, mut output)) => {
                let ended = self.attend(&mut group, &mut output, &mut tail, stop).await;
                // What is still in the pipe. There may be nothing, for as long as we wait.
                let last_words = async { while tail.read(&mut output).await {} };
                let _ = timeout(limits::WATCH_LAST_WORDS, last_words).await;
                ended
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(self.not_found()),
            Err(error) => Err(format!("{} cannot be started: {error}", self.name())),
        };
        let ended = ended.and_then(|()| self.made());
        ended.map_err(|reason| Failure { reason, output: tail.into_bytes() })
    }

    /// Not every tool makes the folder that its file goes to.
    fn make_folders(&self) -> Result<(), String> {
        let folders = self.makes.iter().filter_map(|file| file.parent());
        for folder in folders.filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| {
                format!("the folder {} cannot be made: {error}", folder.display())
            })?;
        }
        Ok(())
    }

    fn made(&self) -> Result<(), String> {
        match self.makes.iter().find(|file| !file.is_file()) {
            Some(file) => Err(format!(
                "{} has not made {}, which the application file names",
                self.name(),
                file.display()
            )),
            None => Ok(()),
        }
    }

    async fn attend(
        &self,
        group: &mut Group,
        output: &mut Receiver,
        tail: &mut Tail,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let mut deadline = std::pin::pin!(sleep(self.timeout));
        let mut open = true;
        loop {
            tokio::select! {
                more = tail.read(output), if open => open = more,
                status = group.first.wait() => {
                    group.end_rest();
                    return match status {
                        Ok(status) if status.success() => Ok(()),
                        Ok(status) => Err(match self.missing().await {
                            Some(missing) => missing,
                            None => format!("{} ended with {status}", self.name()),
                        }),
                        Err(error) => Err(format!("{} cannot be waited for: {error}", self.name())),
                    };
                }
                () = &mut deadline => {
                    group.end().await;
                    return Err(format!("{} was ended after {:?}", self.name(), self.timeout));
                }
                () = stop.cancelled() => {
                    group.end().await;
                    return Err("the host is stopping".to_string());
                }
            }
        }
    }

    fn spawn(&self, crates: &str) -> std::io::Result<(Group, Receiver)> {
        // One pipe for both, so that the lines keep their order.
        let (reader, writer) = std::io::pipe()?;
        let mut command = Command::new(self.program());
        command
            .args(self.words.iter().skip(1))
            .current_dir(&self.folder)
            .env(CHANGED_VARIABLE, crates)
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            // Ctrl-C is for the host, which ends the build, and everything that the build started.
            .process_group(0)
            .kill_on_drop(true);
        if let Some(path) = self.path() {
            command.env("PATH", path);
        }
        if std::io::stderr().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
            // It writes to a pipe, but what it writes ends on this terminal.
            command.env("CARGO_TERM_COLOR", "always");
        }
        let output = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((Group::of(command.spawn()?), output))
    }

    /// A path is relative to the folder that the program runs in. A name is one of the build's own programs, if there is
    /// one that is called so.
    fn program(&self) -> PathBuf {
        let program = self.words.first().map(String::as_str).unwrap_or_default();
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        if program.contains('/') {
            return absolute(self.folder.join(program));
        }
        let own = self.programs.iter().map(|folder| folder.join(program));
        own.into_iter().find(|path| path.is_file()).map_or_else(|| PathBuf::from(program), absolute)
    }

    /// Where programs are looked for. `None`: where the host's own are.
    fn path(&self) -> Option<OsString> {
        if self.programs.is_empty() {
            return None;
        }
        let own = self.programs.iter().filter_map(|folder| std::path::absolute(folder).ok());
        // A PATH has no way to write the name of such a folder down. What is called first is found without it.
        let own = own.filter(|folder| !folder.as_os_str().as_encoded_bytes().contains(&b':'));
        std::env::join_paths(own.chain(toolchain::path())).ok()
    }

    /// What it needs and is not there, after it failed.
    async fn missing(&self) -> Option<String> {
        let program = self.program();
        toolchain::missing(&self.words, &program, &self.folder, &self.programs).await
    }

    fn not_found(&self) -> String {
        let program = self.words.first().map(String::as_str).unwrap_or_default();
        if !self.folder.is_dir() {
            let folder = self.folder.display();
            return format!("{} cannot be started: there is no folder {folder}", self.name());
        }
        match toolchain::install(program, &self.folder, &self.folder) {
            Some(install) => {
                format!("{} needs `{program}`, which is not installed; {install}", self.name())
            }
            None => format!("{} cannot be started: there is no program `{program}`", self.name()),
        }
    }

    fn name(&self) -> String {
        format!("`{}`", self.words.join(" "))
    }
}

// === impl Group ===

impl Group {
    fn of(first: Child) -> Self {
        let id = first.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Self { first, id }
    }

    /// Ask everything in it to end, then end it.
    async fn end(&mut self) {
        self.signal(Signal::TERM);
        let _ = timeout(limits::WATCH_BUILD_GRACE, self.first.wait()).await;
        self.end_rest();
        let _ = self.first.wait().await;
    }

    /// End what the first process left behind, at once after its own end: as long as one of them is there, nothing else
    /// gets their number, and if none is, it is too soon for another one.
    fn end_rest(&mut self) {
        self.signal(Signal::KILL);
        self.id = None;
    }

    fn signal(&self, signal: Signal) {
        // What has ended by itself cannot be signalled.
        let _ = self.id.map(|id| kill_process_group(id, signal));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end_rest();
    }
}

// === impl Tail ===

impl Tail {
    /// Take what comes next; `false` at the end.
    async fn read(&mut self, output: &mut Receiver) -> bool {
        let mut chunk = [0; 8192];
        let Ok(length @ 1..) = output.read(&mut chunk).await else { return false };
        self.push(chunk.get(..length).unwrap_or_default());
        true
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.is_shown {
            // A screen that is gone shows nothing.
            let _ = std::io::stderr().lock().write_all(bytes);
            return;
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * limits::WATCH_BUILD_OUTPUT_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let most = limits::WATCH_BUILD_OUTPUT_BYTES;
        let surplus = self.bytes.len().saturating_sub(most);
        self.bytes.drain(..surplus);
        self.left_out += surplus;
    }

    fn into_bytes(mut self) -> Vec<u8> {
        self.cut();
        if self.left_out == 0 {
            return self.bytes;
        }
        let head = format!("[{} bytes before this are left out]\n", self.left_out);
        [head.as_bytes(), &self.bytes].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Build {
        Build {
            words: ["sh", "-c", script].map(str::to_string).to_vec(),
            folder: std::env::temp_dir(),
            programs: Vec::new(),
            makes: Vec::new(),
            timeout: Duration::from_secs(60),
        }
    }

    async fn failure(build: &Build) -> (String, String) {
        let failure =
            build.run("one,two", Output::Kept, &CancellationToken::new()).await.unwrap_err();
        (failure.reason, String::from_utf8(failure.output).unwrap())
    }

    #[tokio::test]
    async fn a_failed_build_tells_what_it_wrote_in_its_order() {
        let stop = CancellationToken::new();
        shell("echo nobody sees this").run("", Output::Kept, &stop).await.unwrap();
        let build = shell("echo $WASM_HOST_CHANGED; echo err >&2; echo out; exit 3");
        let (reason, output) = failure(&build).await;
        assert!(reason.ends_with("ended with exit status: 3"), "{reason}");
        assert_eq!(output, "one,two\nerr\nout\n");
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_told() {
        let build = Build { words: vec!["./no-such-program".to_string()], ..shell("") };
        let (reason, _) = failure(&build).await;
        assert_eq!(
            reason,
            "`./no-such-program` cannot be started: there is no program `./no-such-program`"
        );
        let build = Build { words: vec!["componentize-js".to_string()], ..shell("") };
        let (reason, _) = failure(&build).await;
        assert!(reason.contains("is no program `componentize-js`"), "{reason}");
    }

    #[tokio::test]
    async fn the_folder_of_the_file_is_made_and_then_the_file_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let makes = vec![folder.path().join("target/components/a.wasm")];
        let build = Build { folder: folder.path().to_owned(), makes, ..shell("true") };
        let (reason, _) = failure(&build).await;
        assert!(reason.contains("has not made ") && reason.contains("a.wasm"), "{reason}");
        let words = ["touch", "target/components/a.wasm"].map(str::to_owned).to_vec();
        let build = Build { words, ..build };
        build.run("", Output::Kept, &CancellationToken::new()).await.unwrap();
    }

    #[tokio::test]
    async fn programs_of_the_application_come_before_those_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ls");
        std::fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, executable).unwrap();
        let programs = vec![folder.path().to_owned()];
        let (reason, _) = failure(&Build { programs, ..shell("ls") }).await;
        assert!(reason.ends_with("ended with exit status: 7"), "{reason}");
    }

    #[tokio::test]
    async fn a_build_over_its_deadline_ends_with_all_that_it_started() {
        let script = "echo begun; sleep 50 & sleep 50; echo never";
        let build = Build { timeout: Duration::from_secs(3), ..shell(script) };
        let started = Instant::now();
        let (reason, output) = failure(&build).await;
        assert!(reason.ends_with("was ended after 3s"), "{reason}");
        assert_eq!(output, "begun\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn what_a_build_leaves_running_does_not_hold_it_up() {
        let started = Instant::now();
        let mut build = shell("(sleep 50 &) ; exit 1");
        build.words.push("it".to_string());
        failure(&build).await;
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn what_a_build_leaves_running_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sleep 50 & echo $! > left; exit 0";
        let build = Build { folder: folder.path().to_owned(), ..shell(script) };
        build.run("", Output::Kept, &CancellationToken::new()).await.unwrap();
        let left = std::fs::read_to_string(folder.path().join("left")).unwrap();
        let is_running = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", left.trim()));
            state.is_ok_and(|state| !state.contains(") Z "))
        };
        let ended = async {
            while is_running() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(timeout(Duration::from_secs(20), ended).await.is_ok(), "it still runs");
    }

    #[tokio::test]
    async fn programs_in_a_folder_that_no_path_can_name_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("a:b");
        std::fs::create_dir(&programs).unwrap();
        std::os::unix::fs::symlink("/bin/sh", programs.join("own-shell")).unwrap();
        let words = ["own-shell", "-c", "ls / > /dev/null && exit 7"].map(str::to_owned).to_vec();
        let (reason, _) = failure(&Build { words, programs: vec![programs], ..shell("") }).await;
        assert!(reason.ends_with("ended with exit status: 7"), "{reason}");
    }

    #[tokio::test]
    async fn a_build_ends_with_the_host() {
        let stop = CancellationToken::new();
        let build = shell("trap '' TERM; sleep 50; echo never");
        let ended = async {
            sleep(Duration::from_millis(200)).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(build.run("", Output::Kept, &stop), ended);
        assert_eq!(ended.unwrap_err().reason, "the host is stopping");
    }

    #[test]
    fn of_a_long_output_the_end_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..300 {
            tail.push(&[b'x'; 4096]);
        }
        tail.push(b"error");
        let bytes = tail.into_bytes();
        assert!(bytes.starts_with(b"[966661 bytes before this are left out]\nx"));
        assert!(bytes.ends_with(b"xerror"));
    }
}
