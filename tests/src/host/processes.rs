//! Hosts as the system sees them: how one is started, and the processes in which it has components compiled.

use tokio::process::Command;

/// Wait until a process has a component compiled. Returns the process that does it.
pub async fn compiler(parent: u32) -> u32 {
    crate::eventually("a compiler", async || compilers(parent).first().copied()).await
}

/// The processes in which this one has components compiled.
pub fn compilers(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("processes");
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|number| parent_of(*number) == Some(parent) && is_compiler(*number)).collect()
}

/// None: it has ended, though it may not have been waited for.
fn parent_of(process: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if value("State:")?.starts_with(['Z', 'X']) {
        return None;
    }
    value("PPid:")?.parse().ok()
}

fn is_compiler(process: u32) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{process}/cmdline"));
    line.is_ok_and(|line| line.contains("compile-component"))
}

/// Wait until a process has ended.
pub async fn has_ended(process: u32) {
    let what = format!("the end of process {process}");
    crate::eventually(&what, async || parent_of(process).is_none().then_some(())).await;
}

/// What starts a program that ignores no signal, also where the tests themselves were started to ignore some: in the
/// background of a script, or below `nohup`. It becomes the program.
pub(super) fn heeding_signals() -> Command {
    let mut command = Command::new("env");
    if cfg!(target_os = "linux") {
        command.arg("--default-signal=HUP,INT,QUIT,USR1,USR2");
    }
    command
}
