//! A share of the processors for a process and all that it starts, as a container has one, or a machine of its own.
//!
//! Without it, a system that groups processes by their sessions (`sched_autogroup`) gives each process of a Postgres server,
//! which all begin sessions of their own, as much as a whole host. It is a control group of version 1; on systems without
//! these there is none, and `Display` says so.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::memory_bound::own_group;

/// What a container has unless something else is said.
pub const USUAL: u32 = 1024;

/// The time that processes of a group may take to be gone.
const REMOVAL: Duration = Duration::from_secs(10);

/// A share, for as long as this is kept.
pub struct Share {
    weight: u32,
    group: Result<PathBuf, String>,
}

impl Share {
    /// Of what is wanted at the same time, beside others of [`USUAL`].
    pub fn new(weight: u32) -> Self {
        Self { weight, group: group(weight) }
    }

    /// What a shell does to get it, before it becomes something else.
    pub fn commands(&self) -> String {
        self.group.as_ref().map_or_else(
            |_| String::new(),
            |folder| format!("echo $$ > '{}' || exit 1", folder.join("cgroup.procs").display()),
        )
    }

    /// Have a process get it, and what that starts from then on.
    pub fn take(&self, process: u32) {
        if let Ok(folder) = &self.group {
            std::fs::write(folder.join("cgroup.procs"), process.to_string()).unwrap();
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Ok(_) => write!(formatter, "a share of {} of the processors", self.weight),
            Err(why) => write!(formatter, "no share of the processors: {why}"),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Ok(folder) = &self.group else { return };
        let begun = Instant::now();
        // A group goes when no process is in it any more.
        while std::fs::remove_dir(folder).is_err() && begun.elapsed() < REMOVAL {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn group(weight: u32) -> Result<PathBuf, String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let own = own_group("cpu")?;
    let folder = own.join(format!("wasm-host-test-{}-{number}", std::process::id()));
    let made = std::fs::create_dir(&folder)
        .and_then(|()| std::fs::write(folder.join("cpu.shares"), weight.to_string()));
    made.map(|()| folder.clone()).map_err(|error| {
        let _ = std::fs::remove_dir(&folder);
        format!("{}: {error}", folder.display())
    })
}
