//! Load: what must stay bounded is asserted, what was measured is printed (`-- --nocapture`).
//!
//! Times are asserted generously, because machines that run tests are busy. [`LONG`](wasm_host_tests::LONG) in the
//! environment makes each load last a minute, and asserts what is promised on a quiet machine of two processors, of the
//! host as it is shipped (`cargo xtask build --release` first).

mod busy;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, JoinSet};
use wasm_host_tests::client::{self, KeepAlive};
use wasm_host_tests::host::App;
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::models::{CHAT, one_word};
use wasm_host_tests::upstream::Upstream;
use wasm_host_tests::{descriptors, eventually, is_long};

fn lasting(short: u64) -> Duration {
    Duration::from_secs(if is_long() { 60 } else { short })
}

/// The bound that is promised, or one for busy machines.
fn bound<T>(promised: T, generous: T) -> T {
    if is_long() { promised } else { generous }
}

/// An application for thousands of clients.
fn app(tables: &str) -> App {
    let head = "name = \"load\"\n[http]\nconnections = 4000\nconnections-per-client = 4000\n";
    let app = App::new(&format!("{head}{tables}"));
    if is_long() { app.optimised() } else { app }
}

/// Something that is done again and again until it is told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    fn new() -> Self {
        Self { stop: Arc::default(), tasks: Vec::new() }
    }

    /// Ask on one connection, with a pause in between. `accepts` says which statuses may come.
    fn ask(&mut self, address: &str, path: &'static str, pause: Duration, accepts: &'static [u16]) {
        let (stop, address) = (self.stop.clone(), address.to_string());
        self.tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            let mut connection = KeepAlive::connect(&address).await;
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let (status, body) = match connection.get(path).await {
                    Ok(answer) => answer,
                    Err(error) => {
                        // An instance that traps takes its own requests with it, also those half answered.
                        assert!(accepts.contains(&502), "{path}: {error}");
                        connection = KeepAlive::connect(&address).await;
                        continue;
                    }
                };
                times.push(began.elapsed());
                assert!(accepts.contains(&status.as_u16()), "{path}: {status} {body:?}");
                tokio::time::sleep(pause).await;
            }
            times
        }));
    }

    /// The times of all answers, shortest first.
    async fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.expect("no answer that was not expected"));
        }
        all.sort();
        all
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

// Fault (Guests): a service that loops beside one that leaks | shares the processor, bounds the memory | the third service's clients: 200 | the requests of those two
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_looping_and_a_leaking_service_leave_the_third_alone() {
    let app = app(r#"
[service.looper]
component = "$(hostile)"
first-byte-timeout = "1s"

[service.leaker]
component = "$(greedy)"
memory = "64MiB"
instances = 4
reuse = 1000000

[service.good]
component = "$(hello-p3)"
"#);
    let host = app.serve().await;
    let good = async |time: Duration| {
        let mut load = Load::new();
        for _ in 0..4 {
            load.ask(&host.address, "/good/", Duration::from_millis(10), &[200]);
        }
        tokio::time::sleep(time).await;
        load.end().await
    };
    good(Duration::from_secs(1)).await;
    let calm = good(lasting(4)).await;
    let before = host.resident_kib() / 1024;

    let mut trouble = Load::new();
    for _ in 0..8 {
        trouble.ask(&host.address, "/looper/loop", Duration::ZERO, &[504]);
    }
    for _ in 0..4 {
        trouble.ask(&host.address, "/leaker/leak?1024", Duration::ZERO, &[200, 502, 503]);
    }
    eventually("the first loop to be ended", async || {
        (host.service("looper").await["failed"] != 0).then_some(())
    })
    .await;
    let troubled = good(lasting(5)).await;
    let during = host.resident_kib() / 1024;
    let asked = trouble.end().await.len();

    let (calm99, troubled99) = (percentile(&calm, 99), percentile(&troubled, 99));
    println!(
        "p50/p99 calm {:?}/{calm99:?} of {}, beside {asked} loops and leaks {:?}/{troubled99:?} of {} ({:.1}x); \
         memory {before} MiB, then {during} MiB",
        percentile(&calm, 50),
        calm.len(),
        percentile(&troubled, 50),
        troubled.len(),
        troubled99.as_secs_f64() / calm99.as_secs_f64(),
    );
    assert!(troubled.len() > 20, "the third service hardly answered: {}", troubled.len());
    // All connections are hit when the machine itself stands still for a while, and there are so few that this can be
    // more than one answer in a hundred.
    let bound = bound(calm99 * 3, Duration::from_secs(5));
    assert!(troubled99 < bound, "one in a hundred waited {troubled99:?}");
    // Four instances of 64 MiB, those that end at the same time, and some room.
    assert!(during < before + 700, "{during} MiB");
}

// Fault (Too much at once): twice the load that can be sustained | serves what it can, refuses the rest | 200, or 503 with `Retry-After` | nothing
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_the_load_is_200_or_503_and_over_when_it_is_over() {
    let app = app(r#"
[service.slow]
component = "$(greedy)"
route = "/"
concurrent = 8
queue = 16
queue-timeout = "1s"
"#);
    let host = app.serve().await;
    // And how many of these all places together can serve in a second: a busy machine must be able to ask for more.
    let (path, ceiling) = if is_long() { ("/slow?50", 160.0) } else { ("/slow?200", 40.0) };
    // As many clients as there are places: what they get is what can be sustained.
    let mut sustained = Load::new();
    for _ in 0..8 {
        sustained.ask(&host.address, path, Duration::ZERO, &[200]);
    }
    let measured = Duration::from_secs(2);
    tokio::time::sleep(measured).await;
    let rate = sustained.end().await.len() as f64 / measured.as_secs_f64();
    let before = host.resident_kib() / 1024;

    let time = lasting(10);
    // A machine that was busy while the rate was measured may be free from now on.
    let offered = 2.0 * rate.max(ceiling);
    let mut answers = JoinSet::new();
    let began = Instant::now();
    let mut sent = 0_u32;
    while began.elapsed() < time {
        // By the clock, whatever became of the requests before.
        let due = (began.elapsed().as_secs_f64() * offered) as u32;
        while sent < due {
            sent += 1;
            let address = host.address.clone();
            answers.spawn(async move {
                let asked = Instant::now();
                let reply = client::send(&address, "GET", path, &[], "").await;
                let status = reply.status.as_u16();
                assert!(matches!(status, 200 | 503), "{status} {}", reply.text());
                assert!(status == 200 || reply.header("retry-after") == "1");
                (status, asked.elapsed())
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let during = host.resident_kib() / 1024;
    let over = Instant::now();
    let last = answers.join_all().await;
    // Normal again: as many as there are places are served without one refusal.
    eventually("normal service", async || {
        let mut burst = JoinSet::new();
        for _ in 0..8 {
            let address = host.address.clone();
            burst.spawn(async move { client::send(&address, "GET", path, &[], "").await.status });
        }
        burst.join_all().await.iter().all(|status| *status == 200).then_some(())
    })
    .await;
    let normal = over.elapsed();

    let times = |wanted: u16| {
        let those = last.iter().filter(|(status, _)| *status == wanted);
        let mut times: Vec<Duration> = those.map(|(_, time)| *time).collect();
        times.sort();
        times
    };
    let (served, refused) = (times(200), times(503));
    assert!(!refused.is_empty(), "it was no overload");
    assert!(
        served.len() as f64 > rate * time.as_secs_f64() / 4.0,
        "it served {} only",
        served.len()
    );
    let of = |times: &[Duration]| [50, 99, 100].map(|percent| percentile(times, percent));
    println!(
        "sustained {rate:.0}/s; offered {sent} in {time:?}; p50, p99 and longest wait: {:?} of {} served, \
         {:?} of {} refused; memory {before} MiB, then {during} MiB; normal {normal:?} after the end",
        of(&served),
        served.len(),
        of(&refused),
        refused.len(),
    );
    let longest = percentile(&served, 100).max(percentile(&refused, 100));
    // A second in the queue, and then what the request itself takes.
    let patience = bound(Duration::from_secs(2), Duration::from_secs(10));
    assert!(longest < patience, "somebody waited {longest:?}");
    assert!(during < before + 100, "{before} MiB became {during} MiB");
    let soon = bound(Duration::from_secs(1), Duration::from_secs(10));
    assert!(normal < soon, "it took {normal:?}");
}

// Fault (Clients): a thousand clients that hang up in their chats | closes a thousand calls | - | nothing
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_that_hang_up_mid_chat_leave_nothing_behind() {
    const CLIENTS: usize = 1000;
    // Two in this process for each: the client's end, and that of the model server.
    descriptors(4 * CLIENTS);
    let upstream = Upstream::start(|_| one_word()).await;
    let app = app(r#"
[ollama.local]
concurrent = 2000

[service.chat]
component = "$(ollama)"
ollama = "local"
route = "/"
concurrent = 2000
"#)
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    let mut opening = JoinSet::new();
    for _ in 0..CLIENTS {
        let address = host.address.clone();
        opening.spawn(async move {
            let mut raw = Raw::connect(&address).await;
            raw.send(request("POST", "/api/chat", CHAT)).await.unwrap();
            raw.read_until("\"one\"").await;
            raw
        });
    }
    let chats = opening.join_all().await;
    assert_eq!(host.calls("ollama.local").await, CLIENTS as u64);
    assert_eq!(upstream.hung_up(), 0);
    let with = host.resident_kib() / 1024;

    let left = Instant::now();
    drop(chats);
    let closes = async {
        eventually("the model server to see every close", async || {
            (upstream.hung_up() == CLIENTS).then_some(())
        })
        .await;
        left.elapsed()
    };
    let calls = async {
        eventually("no call to be left", async || {
            (host.calls("ollama.local").await == 0).then_some(())
        })
        .await;
        left.elapsed()
    };
    let (closes, calls) = tokio::join!(closes, calls);
    println!(
        "{CLIENTS} clients hung up ({with} MiB with them): all closes seen after {closes:?}, no live call after {calls:?}"
    );
    let soon = bound(Duration::from_secs(2), Duration::from_secs(20));
    assert!(closes.max(calls) < soon, "{closes:?} and {calls:?}");
    eventually("the requests to end", async || {
        (host.service("chat").await["in_flight"] == 0).then_some(())
    })
    .await;
}
