//! Running other programs: each with a deadline, each failure naming the program and the reason.
//!
//! Children stay in our process group, so that Ctrl-C at a terminal stops all of it. A deadline
//! therefore asks the child itself to end, and kills it when it does not.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::project;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How long a child may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Reports numbered steps: a head line when one starts, a closing line with its time.
pub(crate) struct Steps {
    total: usize,
    current: usize,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, current: 0 }
    }

    /// Runs one step; `work` returns a value and a remark for the closing line.
    pub(crate) fn run<T>(
        &mut self,
        title: &str,
        work: impl FnOnce() -> Result<(T, String)>,
    ) -> Result<T> {
        self.current += 1;
        let place = format!("[{}/{}] {title}", self.current, self.total);
        eprintln!("{place} ...");
        let start = Instant::now();
        let (value, remark) = work().with_context(|| format!("{place} failed"))?;
        eprintln!("{place}: {remark}, {}", seconds(start.elapsed()));
        Ok(value)
    }
}

pub(crate) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        whole @ 10..120 => format!("{whole} s"),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

/// Runs a set-up step: its output is kept in a file, and shown only when it fails.
pub(crate) fn quiet(title: &str, command: &mut Command, limit: Duration) -> Result<()> {
    eprint!("      {title} ... ");
    let start = Instant::now();
    let result = captured(command, limit);
    match &result {
        Ok(()) => eprintln!("{}", seconds(start.elapsed())),
        Err(_) => eprintln!("failed after {}", seconds(start.elapsed())),
    }
    result
}

/// A file and not a pipe takes the output: grandchildren that outlive the child cannot block us.
fn captured(command: &mut Command, limit: Duration) -> Result<()> {
    fs::create_dir_all(project::notes())?;
    let path = project::notes().join("last-step.log");
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let status = wait(&mut spawn(command)?, limit);
    match status {
        Ok(status) if status.success() => Ok(()),
        other => {
            let output = fs::read_to_string(&path).unwrap_or_default();
            let reason = match other {
                Ok(status) => format!("{} ended with {status}", name(command)),
                Err(error) => format!("{} {error:#}", name(command)),
            };
            bail!("{reason}{}", tail(&output))
        }
    }
}

/// Runs a program whose output belongs on the screen.
pub(crate) fn shown(command: &mut Command, limit: Duration) -> Result<()> {
    let status = wait(&mut spawn(command.stdin(Stdio::null()))?, limit);
    match status.with_context(|| format!("cannot finish {}", name(command)))? {
        status if status.success() => Ok(()),
        status => bail!("{} ended with {status}", name(command)),
    }
}

/// Runs a program whose standard output is both shown as it comes and handed over line by line.
/// Standard error is not touched: that keeps cargo's progress display.
pub(crate) fn overheard(
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut child = spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut output = child.stdout.take().context("no standard output")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let (mut chunk, mut pending) = ([0; 8192], Vec::new());
        while let Ok(length @ 1..) = output.read(&mut chunk) {
            let bytes = chunk.get(..length).unwrap_or_default();
            let mut screen = std::io::stdout().lock();
            // A closed screen is no reason to stop the tests.
            let _ = screen.write_all(bytes).and_then(|()| screen.flush());
            pending.extend_from_slice(bytes);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let rest = pending.split_off(end + 1);
                let whole = std::mem::replace(&mut pending, rest);
                if sender.send(String::from_utf8_lossy(&whole).trim_end().to_owned()).is_err() {
                    return;
                }
            }
        }
    });
    let status = wait(&mut child, limit)?;
    // The pipe ends with its last writer. A leftover process of a test must not hang us.
    let end = Instant::now() + GRACE;
    while let Ok(text) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        line(&text);
    }
    Ok(status)
}

/// What a program prints, or nothing if it cannot run or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where a program is on the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Waits for a child up to `limit`, then ends it.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    if let Some(status) = ended_within(child, limit)? {
        return Ok(status);
    }
    terminate(child)?;
    if ended_within(child, GRACE)?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    bail!("took longer than {} and was stopped", seconds(limit))
}

pub(crate) fn ended_within(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Some(status)),
            None if start.elapsed() >= limit => return Ok(None),
            None => thread::sleep(pause),
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// SIGTERM to exactly this child. The standard library only knows SIGKILL, and the shell's own
/// `kill` is there even where the program of that name is not.
pub(crate) fn terminate(child: &Child) -> Result<()> {
    let pid = child.id().to_string();
    let status = Command::new("sh").args(["-c", "kill -s TERM \"$1\"", "sh", &pid]).status()?;
    if !status.success() {
        bail!("cannot send SIGTERM to process {pid}");
    }
    Ok(())
}

pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start {}", name(command)))
}

/// The command as a person would type it.
pub(crate) fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    format!("`{}`", words.join(" "))
}

/// The end of a log, indented below the sentence that reports the failure.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let skipped = lines.len().saturating_sub(30);
    lines.iter().skip(skipped).map(|line| format!("\n        {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_over_its_deadline_is_stopped() {
        let start = Instant::now();
        let error = shown(Command::new("sleep").arg("60"), Duration::from_millis(50));
        assert!(format!("{:#}", error.unwrap_err()).contains("took longer than 0.1 s"));
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn output_is_handed_over_in_lines() {
        let mut lines = Vec::new();
        let mut command = Command::new("printf");
        command.arg("(printed by a test)\\nand its second line\\n");
        let status = overheard(&mut command, MINUTE, |line| lines.push(line.to_owned()));
        assert!(status.unwrap().success());
        assert_eq!(lines, ["(printed by a test)", "and its second line"]);
    }

    #[test]
    fn times_read_like_times() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(34)), "34 s");
        assert_eq!(seconds(Duration::from_secs(185)), "3 min 5 s");
    }
}
