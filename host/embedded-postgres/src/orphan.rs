//! A server that outlived its host, because the host was killed: found by the note in its data
//! folder, and stopped.
//!
//! Stopped, not taken over: its log leads nowhere, and its settings may be another version's.

use std::path::Path;

use anyhow::bail;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

use super::folder::Folder;
use wasm_host_limits::embedded_postgres as limits;

/// Stop a server whose host was killed. Called with the folder's lock held, so its host is gone.
pub(super) async fn stop(folder: &Folder) -> anyhow::Result<()> {
    let data = folder.data();
    let pid = match noted(&data) {
        Some(pid) if works_in(pid, &data) => pid,
        Some(pid) if test_kill_process(pid).is_ok() => {
            // The number of a server that is gone, and another program's by now. The new server
            // could not tell and would refuse to start. As long as any process of the old one is
            // left, that is right, and the note stays.
            if nobody_works_in(&data) {
                std::fs::remove_file(data.join("postmaster.pid"))?;
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    tracing::warn!(pid = pid.as_raw_nonzero(), "stopping a Postgres that outlived its host");
    for (signal, limit) in
        [(Signal::INT, limits::STOP_TIMEOUT), (Signal::QUIT, limits::QUIT_TIMEOUT)]
    {
        let _ = kill_process(pid, signal);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !works_in(pid, &data) {
                return Ok(());
            }
            sleep(limits::POLL).await;
        }
    }
    bail!(
        "a Postgres of an earlier run (process {}) does not stop; end it and start again",
        pid.as_raw_nonzero()
    )
}

/// The process that the data folder's own note names. It may be long gone.
fn noted(data: &Path) -> Option<Pid> {
    let note = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    Pid::from_raw(note.lines().next()?.trim().parse().ok()?)
}

/// Whether a process is a server on this data folder: servers work in it. On a system without
/// `/proc` that cannot be known, so nothing is stopped; the new server notices the old one and says
/// so.
fn works_in(pid: Pid, data: &Path) -> bool {
    std::fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero())).is_ok_and(|cwd| cwd == data)
}

fn nobody_works_in(data: &Path) -> bool {
    std::fs::read_dir("/proc").is_ok_and(|processes| {
        processes.flatten().all(|process| {
            std::fs::read_link(process.path().join("cwd")).ok().as_deref() != Some(data)
        })
    })
}
