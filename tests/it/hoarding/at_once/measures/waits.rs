//! How long threads and processes had a processor, and how long they waited for one, by what they are called. So what a
//! neighbour waited for can be told from what the machine was short of.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// What the system says of one thread.
#[derive(Clone, Copy, Default)]
struct Times {
    ran_ns: u64,
    waited_ns: u64,
    turns: u64,
}

/// Readings of all threads of a process and of all that it has started, taken again and again.
#[derive(Default)]
pub(super) struct Waits {
    /// By the number of a thread, as it was last seen.
    last: BTreeMap<u32, Times>,
    /// By what threads are called, since this was begun.
    sums: BTreeMap<String, Times>,
}

impl Waits {
    /// Look at a process, and at those below it. What is between two looks counts if it `counts`. Of a thread that is new,
    /// all of it does.
    pub(super) fn look(&mut self, process: u32, counts: bool) {
        let tasks = Path::new("/proc").join(process.to_string()).join("task");
        for task in fs::read_dir(&tasks).into_iter().flatten().flatten() {
            let Some(number) = task.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let times = times(&read("schedstat")).unwrap_or_default();
            let before = self.last.insert(number, times).unwrap_or_default();
            if counts {
                let sum = self.sums.entry(kind(&read("comm"))).or_default();
                sum.ran_ns += times.ran_ns.saturating_sub(before.ran_ns);
                sum.waited_ns += times.waited_ns.saturating_sub(before.waited_ns);
                sum.turns += times.turns.saturating_sub(before.turns);
            }
            for child in read("children").split_whitespace().filter_map(|child| child.parse().ok())
            {
                self.look(child, counts);
            }
        }
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<18}{:>10}{:>12}{:>10}{:>16}\n",
            "threads", "ran", "waited", "turns", "wait of a turn"
        );
        for (name, Times { ran_ns, waited_ns, turns }) in &self.sums {
            let _ = writeln!(
                table,
                "{name:<18}{:>7} ms{:>9} ms{turns:>10}{:>13} us",
                ran_ns / 1_000_000,
                waited_ns / 1_000_000,
                waited_ns / 1000 / turns.max(&1),
            );
        }
        table
    }
}

fn times(text: &str) -> Option<Times> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Times { ran_ns: next()?, waited_ns: next()?, turns: next()? })
}

/// Threads that are alike are called alike but for a number.
fn kind(name: &str) -> String {
    name.trim()
        .trim_end_matches(|character: char| character.is_ascii_digit() || character == '-')
        .to_owned()
}
