//! Services that do nothing wrong, asked at a constant rate, and how long each answer took.
//!
//! Where that is what counts, it is whatever becomes of the answers before; otherwise one answer is waited for before
//! the next is asked for, so that a busy machine is not made busier.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval};
use wasm_host_tests::client::Attempt;
use wasm_host_tests::is_long;

use super::NEIGHBOUR;

/// Between two requests for the same neighbour.
const PERIOD: Duration = Duration::from_millis(50);

/// Of the thread that asks, in the steps of `nice`: before everything of the host.
const URGENT: i32 = -10;

/// A little more than the host has for them, which is to say so itself.
const PATIENCE: Duration = Duration::from_secs(330);

/// Answers that were wrong, of which so many are kept to be shown.
const SHOWN: usize = 5;

/// What is asked, and what its answer has in it.
struct Neighbour {
    name: &'static str,
    path: &'static str,
    answer: &'static str,
}

const NEIGHBOURS: [Neighbour; 4] = [
    Neighbour { name: "hello of 0.3", path: "/hello/", answer: "Hello from 0.3" },
    Neighbour { name: "hello of 0.2", path: "/hello-p2/", answer: "Hello from 0.2" },
    Neighbour { name: "rows", path: "/weather/forecast", answer: "temperatureC" },
    Neighbour { name: "file", path: "/pages/", answer: "<title>" },
];

/// What is going on while neighbours are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Neither, such as between the two: what is measured then counts for nothing.
    Between,
    Calm,
    Attack,
}

/// Of one phase, the times of each neighbour's answers.
type Times = [Vec<Duration>; NEIGHBOURS.len()];

#[derive(Default)]
struct ServiceFigures {
    calm: Times,
    attack: Times,
    asked: u64,
    wrong: Vec<String>,
}

/// They are asked, by a thread of their own, until this is told to end.
pub(super) struct Neighbours {
    state: Arc<RunState>,
    thread: JoinHandle<()>,
}

struct RunState {
    address: String,
    phase: AtomicU8,
    ends: AtomicBool,
    /// Requests of each that have no answer yet.
    open: [AtomicUsize; NEIGHBOURS.len()],
    seen: Mutex<ServiceFigures>,
}

impl Neighbours {
    pub(super) fn of(address: &str) -> Self {
        let state = Arc::new(RunState {
            address: address.to_owned(),
            phase: AtomicU8::new(Phase::Between as u8),
            ends: AtomicBool::new(false),
            open: Default::default(),
            seen: Mutex::default(),
        });
        let asking = state.clone();
        // What attackers do to their own runtime must not look like what the host does to neighbours, nor must what this
        // thread itself waits for a processor: real clients have machines of their own.
        let thread = std::thread::spawn(move || {
            let thread = Some(rustix::thread::gettid());
            if let Err(error) = rustix::process::setpriority_process(thread, URGENT) {
                println!("neighbours are asked by a thread that may wait for a processor: {error}");
            }
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(ask_all(asking));
        });
        Self { state, thread }
    }

    /// From now on, what is asked counts for this.
    pub(super) fn begin(&self, phase: Phase) {
        self.state.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Answers that were not what they should be.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.state.seen.lock().unwrap().wrong.clone()
    }

    /// When the last answer is there.
    pub(super) fn end(self) -> Measured {
        self.state.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let mut seen = std::mem::take(&mut *self.state.seen.lock().unwrap());
        for times in seen.calm.iter_mut().chain(&mut seen.attack) {
            times.sort();
        }
        Measured { calm: seen.calm, attack: seen.attack, asked: seen.asked, wrong: seen.wrong }
    }
}

async fn ask_all(state: Arc<RunState>) {
    let mut clock = interval(PERIOD);
    // The rate is kept whatever happens: a late turn asks several at once.
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = tokio::task::JoinSet::new();
    while !state.ends.load(Ordering::Relaxed) {
        let due = clock.tick().await.into_std();
        for (number, open) in state.open.iter().enumerate() {
            if !is_long() && open.load(Ordering::Relaxed) > 0 {
                continue;
            }
            open.fetch_add(1, Ordering::Relaxed);
            asked.spawn(ask(state.clone(), number, due));
        }
        while let Some(ended) = asked.try_join_next() {
            ended.unwrap();
        }
    }
    asked.join_all().await;
}

async fn ask(state: Arc<RunState>, number: usize, due: Instant) {
    let phase = state.phase.load(Ordering::Relaxed);
    let neighbour = &NEIGHBOURS[number];
    let attempt = Attempt {
        from: NEIGHBOUR,
        method: "GET",
        path: neighbour.path,
        headers: &[],
        body: Bytes::new(),
        patience: PATIENCE,
    };
    let answer = attempt.send(&state.address).await;
    let took = due.elapsed();
    state.open[number].fetch_sub(1, Ordering::Relaxed);
    let wrong = match answer {
        Ok((200, body)) if String::from_utf8_lossy(&body).contains(neighbour.answer) => None,
        Ok((status, body)) => Some(format!("{status} {}", String::from_utf8_lossy(&body))),
        Err(error) => Some(error),
    };
    let mut seen = state.seen.lock().unwrap();
    seen.asked += 1;
    if let Some(wrong) = wrong
        && seen.wrong.len() < SHOWN
    {
        seen.wrong.push(format!("{} after {took:?}: {wrong}", neighbour.name));
    }
    if phase == Phase::Calm as u8 {
        seen.calm[number].push(took);
    } else if phase == Phase::Attack as u8 {
        seen.attack[number].push(took);
    }
}

/// What was seen of all of them.
pub(super) struct Measured {
    calm: Times,
    attack: Times,
    pub(super) asked: u64,
    pub(super) wrong: Vec<String>,
}

impl Measured {
    /// How many times as long as in calm one in a hundred answers took, of the neighbour for which it is most.
    pub(super) fn worst_ratio(&self) -> f64 {
        let pairs = self.calm.iter().zip(&self.attack);
        pairs.map(|(calm, attack)| ratio(calm, attack)).fold(0.0, f64::max)
    }

    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<16}{:>8}{:>12}{:>12}{:>8}{:>12}{:>12}{:>12}{:>8}\n",
            "neighbour", "calm", "p50", "p99", "attack", "p50", "p99", "longest", "ratio"
        );
        for (neighbour, (calm, attack)) in NEIGHBOURS.iter().zip(self.calm.iter().zip(&self.attack))
        {
            let _ = writeln!(
                table,
                "{:<16}{:>8}{:>12}{:>12}{:>8}{:>12}{:>12}{:>12}{:>7.1}x",
                neighbour.name,
                calm.len(),
                shown(calm, 50),
                shown(calm, 99),
                attack.len(),
                shown(attack, 50),
                shown(attack, 99),
                shown(attack, 100),
                ratio(calm, attack),
            );
        }
        table
    }
}

fn ratio(calm: &[Duration], attack: &[Duration]) -> f64 {
    percentile(attack, 99).as_secs_f64() / percentile(calm, 99).as_secs_f64()
}

fn shown(sorted: &[Duration], percent: usize) -> String {
    format!("{:.1} ms", percentile(sorted, percent).as_secs_f64() * 1000.0)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().checked_sub(1).expect("it was asked");
    sorted[(sorted.len() * percent / 100).min(last)]
}
