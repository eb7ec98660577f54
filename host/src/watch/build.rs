//! One run of the build command: in a process group of its own, with a deadline, its output kept
//! until it is known whether it has to be shown.

use std::io::IsTerminal as _;
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

use wasm_host_limits as limits;

/// Tells the command which crates changed, with commas in between.
const CHANGED_VARIABLE: &str = "WASM_HOST_CHANGED";

/// The build command of an application.
#[derive(Clone, Debug)]
pub(super) struct Build {
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// Where it runs.
    pub(super) folder: PathBuf,
    pub(super) timeout: Duration,
}

/// Why there is nothing new.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// As the command wrote it.
    pub(super) output: Vec<u8>,
}

/// The process and all that it started, which end with this.
struct Group(Child);

/// The end of an output.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    left_out: usize,
}

// === impl Build ===

impl Build {
    /// Run it to its end, or to `stop`.
    pub(super) async fn run(&self, crates: &str, stop: &CancellationToken) -> Result<(), Failure> {
        let mut tail = Tail::default();
        let ended = match self.spawn(crates) {
            Ok((mut group, mut output)) => {
                let ended = self.attend(&mut group, &mut output, &mut tail, stop).await;
                // What is still in the pipe. There may be nothing, for as long as we wait.
                let last_words = async { while tail.read(&mut output).await {} };
                let _ = timeout(limits::WATCH_LAST_WORDS, last_words).await;
                ended
            }
            Err(error) => Err(format!("{} cannot be started: {error}", self.name())),
        };
        ended.map_err(|reason| Failure { reason, output: tail.into_bytes() })
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
                status = group.0.wait() => return match status {
                    Ok(status) if status.success() => Ok(()),
                    Ok(status) => Err(format!("{} ended with {status}", self.name())),
                    Err(error) => Err(format!("{} cannot be waited for: {error}", self.name())),
                },
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
        if std::io::stderr().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
            // It writes to a pipe, but what it writes ends on this terminal.
            command.env("CARGO_TERM_COLOR", "always");
        }
        let output = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        Ok((Group(command.spawn()?), output))
    }

    /// A path is relative to the folder that the program runs in.
    fn program(&self) -> PathBuf {
        let program = self.words.first().map(String::as_str).unwrap_or_default();
        if program.contains('/') {
            let path = self.folder.join(program);
            std::path::absolute(&path).unwrap_or(path)
        } else {
            PathBuf::from(program)
        }
    }

    fn name(&self) -> String {
        format!("`{}`", self.words.join(" "))
    }
}

// === impl Group ===

impl Group {
    /// Ask everything in it to end, then end it.
    async fn end(&mut self) {
        let Some(pid) = self.pid() else { return };
        // What has ended by itself cannot be signalled.
        let _ = kill_process_group(pid, Signal::TERM);
        let _ = timeout(limits::WATCH_BUILD_GRACE, self.0.wait()).await;
        // Also what the first process left behind when it ended.
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = self.0.wait().await;
    }

    /// `None` once it has ended.
    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.0.id()?).ok()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // As above.
            let _ = kill_process_group(pid, Signal::KILL);
        }
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
            timeout: Duration::from_secs(60),
        }
    }

    async fn failure(build: &Build) -> (String, String) {
        let failure = build.run("one,two", &CancellationToken::new()).await.unwrap_err();
        (failure.reason, String::from_utf8(failure.output).unwrap())
    }

    #[tokio::test]
    async fn a_failed_build_tells_what_it_wrote_in_its_order() {
        let stop = CancellationToken::new();
        shell("echo nobody sees this").run("", &stop).await.unwrap();
        let build = shell("echo $WASM_HOST_CHANGED; echo err >&2; echo out; exit 3");
        let (reason, output) = failure(&build).await;
        assert!(reason.ends_with("ended with exit status: 3"), "{reason}");
        assert_eq!(output, "one,two\nerr\nout\n");
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_told() {
        let build = Build { words: vec!["./no-such-program".to_string()], ..shell("") };
        let (reason, _) = failure(&build).await;
        assert!(reason.starts_with("`./no-such-program` cannot be started: "), "{reason}");
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
    async fn a_build_ends_with_the_host() {
        let stop = CancellationToken::new();
        let build = shell("trap '' TERM; sleep 50; echo never");
        let ended = async {
            sleep(Duration::from_millis(200)).await;
            stop.cancel();
        };
        let (ended, ()) = tokio::join!(build.run("", &stop), ended);
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
