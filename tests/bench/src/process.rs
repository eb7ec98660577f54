//! The programs under measurement: started, found ready by what they print, read, ended.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a program may take to be ready. The first start compiles; below valgrind that takes minutes.
const READY: Duration = Duration::from_secs(300);

/// How long it may take to end.
const END: Duration = Duration::from_secs(40);

/// Descriptors: two sockets for each of 10,000 streams, and some.
const FILES: u64 = 65_536;

/// What the kernel shows times in, whatever it counts in itself.
const TICKS_PER_SECOND: u64 = 100;

/// A running program that serves HTTP.
pub(crate) struct Server {
    child: Child,
    /// `ip:port`
    pub(crate) address: String,
}

impl Server {
    /// Start `command` and wait until it prints a line with `mark`; the address is what follows it.
    pub(crate) async fn start(command: &mut Command, mark: &str) -> Result<Self> {
        let name = format!("{:?}", command.as_std().get_program());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let (sender, mut lines) = mpsc::unbounded_channel();
        pass_on(child.stdout.take(), sender.clone());
        pass_on(child.stderr.take(), sender);
        let mut said = Vec::new();
        let ready = timeout(READY, async {
            while let Some(line) = lines.recv().await {
                let address = line.split_once(mark).map(|(_, rest)| {
                    rest.trim_start_matches("http://").trim_end_matches('/').trim().to_string()
                });
                said.push(line);
                if address.is_some() {
                    return address;
                }
            }
            None
        });
        match ready.await {
            Ok(Some(address)) => {
                // What it says later is nobody's, but it must not be stopped by a full pipe.
                tokio::spawn(async move { while lines.recv().await.is_some() {} });
                Ok(Self { child, address })
            }
            Ok(None) => bail!("{name} ended while it started:\n{}", said.join("\n")),
            Err(_) => bail!("{name} was not ready after {READY:?}:\n{}", said.join("\n")),
        }
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().context("the program has ended")
    }

    /// Bytes of memory that are its own: proportional share of what is resident.
    pub(crate) fn memory(&self) -> Result<f64> {
        let pid = self.pid()?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no Pss")?;
        Ok(kilobytes.trim().parse::<f64>()? * 1024.0)
    }

    /// Ask it to end, and wait until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.pid()?.cast_signed()).context("no process")?;
        kill_process(pid, Signal::TERM)?;
        if timeout(END, self.child.wait()).await.is_err() {
            self.child.kill().await?;
        }
        Ok(())
    }
}

/// Processor time that a process has taken so far, and, where they are asked for, its children.
pub(crate) struct Times(Duration);

impl Times {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = Stat::of(pid).with_context(|| format!("the process {pid} has ended"))?;
        Ok(Self(ticks(stat.own)))
    }

    /// With all that it waited for, and all that it has now: a server that has a process for each connection.
    pub(crate) fn with_children(pid: u32) -> Result<Self> {
        let stat = Stat::of(pid).with_context(|| format!("the process {pid} has ended"))?;
        let all = std::fs::read_dir("/proc")?.filter_map(|entry| {
            let other: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Stat::of(other).filter(|stat| stat.parent == pid)
        });
        let children: u64 = all.map(|stat| stat.own).sum();
        Ok(Self(ticks(stat.own + stat.ended + children)))
    }

    pub(crate) fn since(&self, before: &Self) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

/// What `/proc/PID/stat` says: times in ticks.
struct Stat {
    parent: u32,
    own: u64,
    ended: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::read(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        // The name may have anything in it.
        let (_, rest) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let parent = fields.get(1)?.parse().ok()?;
        Some(Self { parent, own: ticks(11)? + ticks(12)?, ended: ticks(13)? + ticks(14)? })
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

fn pass_on(
    output: Option<impl AsyncRead + Unpin + Send + 'static>,
    sender: mpsc::UnboundedSender<String>,
) {
    let Some(output) = output else { return };
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
}

/// Allow this process and those it starts as many descriptors as may be.
pub(crate) fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.map_or(FILES, |maximum| maximum.min(FILES));
    for (soft, hard) in [(FILES, maximum.unwrap_or(FILES).max(FILES)), (most, most)] {
        let limit = Rlimit { current: Some(soft), maximum: Some(hard) };
        // Only root may raise the second number; everybody may raise the first one up to it.
        if current.is_none_or(|current| current < soft)
            && setrlimit(Resource::Nofile, limit).is_ok()
        {
            return;
        }
    }
}

/// This program as one of its twins.
pub(crate) fn twin(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("twin").args(arguments);
    Ok(command)
}

/// A program in its own folder.
pub(crate) fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.env_remove("OLLAMA_HOST").env_remove("WASM_HOST_LOG");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_whatever_a_process_is_called() {
        let text = "7 (a ) b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7";
        let stat = Stat::read(text).unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended), (3, 30, 70));
        assert!(Stat::read("7 (a) S 3").is_none());
    }
}
