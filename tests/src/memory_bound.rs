//! A bound on what a process has in memory together with all that it starts, as a container has one.
//!
//! It is a control group of its own, of either version. Where none can be made, which needs root or a group that was
//! handed over, it is a limit of the same size on the data of each process: it ends no process, but refuses.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The time that processes of a group may take to be gone when they were killed.
const REMOVAL: Duration = Duration::from_secs(10);

/// A bound of so many bytes, for as long as this is kept.
pub struct MemoryBound {
    bytes: u64,
    kind: Kind,
}

enum Kind {
    Group(Group),
    /// And why there is no group.
    Data(String),
}

/// What is in memory of a group at a moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// All that counts against the bound, files that could be dropped included.
    pub all: u64,
    /// What no file has as well.
    pub anonymous: u64,
}

impl MemoryBound {
    pub fn new(bytes: u64) -> Self {
        let kind = match Group::new(bytes) {
            Ok(group) => Kind::Group(group),
            Err(why) => Kind::Data(why),
        };
        Self { bytes, kind }
    }

    /// What a shell does to come under it, before it becomes something else.
    pub fn commands(&self) -> String {
        match &self.kind {
            Kind::Group(group) => group.commands(),
            Kind::Data(_) => format!("ulimit -d {} || exit 1", self.bytes / 1024),
        }
    }

    /// Panics unless a process is under it.
    pub fn must_hold(&self, process: u32) {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{process}/{name}")).unwrap();
        let holds = match &self.kind {
            Kind::Group(group) => read("cgroup").contains(&group.name()),
            Kind::Data(_) => read("limits").lines().any(|line| {
                let bytes = line.strip_prefix("Max data size");
                bytes.is_some_and(|line| line.trim().starts_with(&format!("{} ", self.bytes)))
            }),
        };
        assert!(
            holds,
            "the process {process} is not under its bound, {self}: run this as root, or in a control group that is \
             yours (`systemd-run --user --scope -p Delegate=yes`)"
        );
    }

    /// How many processes the system has ended for want of memory below it. None are ever counted without a group.
    pub fn kills(&self) -> u64 {
        match &self.kind {
            Kind::Group(group) => group.kills(),
            Kind::Data(_) => 0,
        }
    }

    /// Nothing without a group.
    pub fn used(&self) -> Option<Used> {
        match &self.kind {
            Kind::Group(group) => Some(group.used()),
            Kind::Data(_) => None,
        }
    }
}

impl fmt::Display for MemoryBound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = self.bytes / (1024 * 1024);
        match &self.kind {
            Kind::Group(group) => write!(
                formatter,
                "a control group ({}) of {mebibytes} MiB",
                match group.version {
                    Version::One => "version 1",
                    Version::Two => "version 2",
                }
            ),
            Kind::Data(why) => write!(
                formatter,
                "{mebibytes} MiB of data for each process, because no control group could be made: {why}"
            ),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn bound(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }
}

struct Group {
    folder: PathBuf,
    version: Version,
}

impl Group {
    /// Below the group of this process, or where that has room for none, below the nearest that has: one of version 2
    /// has either processes or groups.
    fn new(bytes: u64) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wasm-host-test-{}-{number}", std::process::id());
        let (version, top, own) = place_of("memory")?;
        let mut refused = Vec::new();
        for above in own.ancestors().take_while(|folder| folder.starts_with(&top)) {
            match Self::below(&above.join(&name), version, bytes) {
                Ok(group) => return Ok(group),
                Err(error) => refused.push(format!("{}: {error}", above.display())),
            }
        }
        Err(refused.join("; "))
    }

    fn below(folder: &Path, version: Version, bytes: u64) -> io::Result<Self> {
        std::fs::create_dir(folder)?;
        // Removed again whatever fails from here on.
        let group = Self { folder: folder.to_path_buf(), version };
        group.write(version.bound(), bytes)?;
        // Where there is swap: the bound is to be felt.
        let (file, swap) = match version {
            Version::One => ("memory.memsw.limit_in_bytes", bytes),
            Version::Two => ("memory.swap.max", 0),
        };
        if folder.join(file).exists() {
            group.write(file, swap)?;
        }
        // Whether processes may go there is another question.
        let trial = Command::new("sh").args(["-c", &group.commands()]).output()?;
        if trial.status.success() {
            return Ok(group);
        }
        Err(io::Error::other(String::from_utf8_lossy(&trial.stderr).trim().to_string()))
    }

    fn write(&self, file: &str, number: u64) -> io::Result<()> {
        std::fs::write(self.folder.join(file), number.to_string())
    }

    fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    fn commands(&self) -> String {
        format!("echo $$ > '{}' || exit 1", self.folder.join("cgroup.procs").display())
    }

    fn kills(&self) -> u64 {
        match self.version {
            Version::One => self.number("memory.oom_control", "oom_kill"),
            Version::Two => self.number("memory.events", "oom_kill"),
        }
    }

    fn used(&self) -> Used {
        let (all, anonymous) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_rss"),
            Version::Two => ("memory.current", "anon"),
        };
        let all = self.read(all).trim().parse().expect("a number");
        Used { all, anonymous: self.number("memory.stat", anonymous) }
    }

    /// Of a file with a name and a number on each line.
    fn number(&self, file: &str, name: &str) -> u64 {
        let text = self.read(file);
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let (_, number) = lines.find(|(key, _)| *key == name).expect("the kernel tells");
        number.trim().parse().expect("a number")
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).expect("the group is there")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begun = Instant::now();
        // A group goes when no process is in it any more.
        while std::fs::remove_dir(&self.folder).is_err() && begun.elapsed() < REMOVAL {
            let left = std::fs::read_to_string(self.folder.join("cgroup.procs"));
            for process in left.unwrap_or_default().lines() {
                if let Some(pid) = process.parse().ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The folder of our own group of version 1 with this controller.
pub(crate) fn own_group(controller: &str) -> Result<PathBuf, String> {
    match place_of(controller)? {
        (Version::One, _, own) => Ok(own),
        (Version::Two, ..) => Err(format!("there are no groups of version 1 with '{controller}'")),
    }
}

/// The version that has this controller on this machine, the folder of its uppermost group, and that of our own.
fn place_of(controller: &str) -> Result<(Version, PathBuf, PathBuf), String> {
    let read =
        |file: &str| std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let mounts = read("/proc/self/mountinfo")?;
    let groups = read("/proc/self/cgroup")?;
    find(controller, &mounts, &groups)
        .ok_or_else(|| format!("no file system of groups with '{controller}' is mounted"))
}

fn find(controller: &str, mounts: &str, groups: &str) -> Option<(Version, PathBuf, PathBuf)> {
    // `NUMBER:CONTROLLERS:/PATH`
    let groups: Vec<Vec<&str>> = groups.lines().map(|line| line.splitn(3, ':').collect()).collect();
    let path_of = |is: &dyn Fn(&str) -> bool| {
        let found = groups.iter().find(|fields| is(fields[1]))?;
        found.get(2).copied()
    };
    let has_it = |list: &str| list.split(',').any(|one| one == controller);
    let mut second = None;
    for line in mounts.lines() {
        // `ID PARENT DEVICE ROOT MOUNTED-AT OPTIONS ... - TYPE SOURCE OPTIONS`
        let (place, kind) = line.split_once(" - ")?;
        let place: Vec<&str> = place.split(' ').collect();
        let kind: Vec<&str> = kind.split(' ').collect();
        let (root, top) = (place[3], PathBuf::from(place[4]));
        let own = |path: &str| {
            let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
            top.join(below)
        };
        match kind[0] {
            "cgroup" if has_it(kind.get(2)?) => {
                let own = own(path_of(&has_it)?);
                return Some((Version::One, top, own));
            }
            "cgroup2" => {
                let own = own(path_of(&str::is_empty)?);
                second = Some((Version::Two, top, own));
            }
            _ => {}
        }
    }
    second
}
