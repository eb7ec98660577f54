//! Four hosts, each in a network namespace of its own, under load, with links that are cut: the long form of promise 13.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::time::sleep;
use wasm_host_tests::client::Attempt;
use wasm_host_tests::seed::Seeded;

use super::*;

const HOSTS: usize = 4;
const SWAPS: usize = 200;
/// Of each host, asking one after the other.
const CLIENTS: usize = 4;
/// A network that is of no one's: of documentation.
const NETWORK: &str = "198.51.100";
/// Shorter than the longest fault, and longer than a busy machine does nothing for a host.
const LEASE: &str = "4s";
/// Between two requests of one client.
const PAUSE: Duration = Duration::from_millis(5);
/// An answer that takes longer than a swap.
const PIECES: &str = "/slow?pieces=3&ms=20";
/// Until all have come to the same after a fault: less than tests wait for anything.
const QUIET: Duration = Duration::from_secs(45);
const PATIENCE: Duration = Duration::from_secs(40);

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

/// Namespaces on one bridge.
struct Network {
    prefix: String,
}

impl Network {
    fn new() -> Self {
        let network = Self { prefix: format!("wh{}", std::process::id() % 100_000) };
        let bridge = network.bridge();
        ip(&format!("link add {bridge} type bridge"));
        ip(&format!("addr add {NETWORK}.1/24 dev {bridge}"));
        ip(&format!("link set {bridge} up"));
        for at in 0..HOSTS {
            let (space, link) = (network.space(at), network.link(at));
            ip(&format!("netns add {space}"));
            ip(&format!("link add {link} type veth peer name eth0 netns {space}"));
            ip(&format!("link set {link} master {bridge} up"));
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} addr add {NETWORK}.{}/24 dev eth0", at + 11));
            ip(&format!("-n {space} link set eth0 up"));
        }
        network
    }

    fn bridge(&self) -> String {
        format!("{}b", self.prefix)
    }

    fn space(&self, at: usize) -> String {
        format!("{}n{at}", self.prefix)
    }

    fn link(&self, at: usize) -> String {
        format!("{}v{at}", self.prefix)
    }

    /// All that is done there, sockets and processes.
    fn runtime(&self, at: usize) -> Runtime {
        let space = Arc::new(File::open(format!("/run/netns/{}", self.space(at))).unwrap());
        let enter = move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        };
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1).enable_all().on_thread_start(enter).build().unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let remove = |arguments: &[&str]| {
            let _ = Command::new("ip").args(arguments).output();
        };
        for at in 0..HOSTS {
            remove(&["link", "del", &self.link(at)]);
            remove(&["netns", "del", &self.space(at)]);
        }
        remove(&["link", "del", &self.bridge()]);
    }
}

/// A way to the server from the bridge.
async fn forward(server: String) -> String {
    let listener = TcpListener::bind((format!("{NETWORK}.1"), 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(server).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

/// One host, which may be killed and start again.
struct Place {
    app: App,
    runtime: Runtime,
    host: Mutex<Option<Arc<Host>>>,
    /// Counts kills.
    lives: AtomicU64,
    answered: AtomicU64,
    /// Requests that failed because the host was killed.
    killed: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

type Answer = Result<(u16, String), String>;

impl Place {
    async fn start(self: &Arc<Self>) {
        let place = self.clone();
        let started = self.runtime.spawn(async move { place.app.serve().await }).await.unwrap();
        *self.host.lock().unwrap() = Some(Arc::new(started));
    }

    async fn kill(self: &Arc<Self>) {
        let host = self.host.lock().unwrap().take().unwrap();
        self.lives.fetch_add(1, Ordering::SeqCst);
        signal(&host, Signal::KILL);
        // Whoever asks it still holds it; what is left of it goes with the last one.
        wasm_host_tests::host::has_ended(host.pid()).await;
    }

    fn signal(&self, signalled: Signal) {
        signal(self.host.lock().unwrap().as_ref().unwrap(), signalled);
    }

    /// Ask from within its namespace.
    async fn ask(
        self: &Arc<Self>,
        is_control: bool,
        method: &'static str,
        path: &'static str,
        body: Vec<u8>,
    ) -> Answer {
        let Some(host) = self.host.lock().unwrap().clone() else {
            return Err("it is not there".into());
        };
        let asking = async move {
            let authorization = host.authorization();
            let headers =
                [("authorization", &*authorization), ("content-type", "application/wasm")];
            let attempt = Attempt {
                from: [127, 0, 0, 1].into(),
                method,
                path,
                headers: if is_control { &headers } else { &[] },
                body: Bytes::from(body),
                patience: PATIENCE,
            };
            let address = if is_control { &host.admin } else { &host.address };
            let (status, body) = attempt.send(address).await?;
            Ok((status, String::from_utf8_lossy(&body).into_owned()))
        };
        self.runtime.spawn(asking).await.map_err(|error| error.to_string())?
    }

    /// What it serves, and what it says of all.
    async fn service(self: &Arc<Self>) -> Option<serde_json::Value> {
        let (_, text) = self.ask(true, "GET", "/services", Vec::new()).await.ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()?.get(0).cloned()
    }

    /// Ask again and again, and hold each answer against what is promised.
    async fn load(self: Arc<Self>, ends: Arc<AtomicBool>) {
        let (mut life, mut was_open) = (u64::MAX, false);
        while !ends.load(Ordering::SeqCst) {
            sleep(PAUSE).await;
            let now = self.lives.load(Ordering::SeqCst);
            if self.host.lock().unwrap().is_none() {
                continue;
            }
            if now != life {
                (life, was_open) = (now, false);
            }
            let answer = self.ask(false, "GET", PIECES, Vec::new()).await;
            let is_killed = self.lives.load(Ordering::SeqCst) != life;
            let wrong = match answer {
                Ok((200, text)) => {
                    was_open = true;
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    (!is_whole(&text)).then(|| format!("a mixed answer: {text}"))
                }
                _ if is_killed => {
                    self.killed.fetch_add(1, Ordering::Relaxed);
                    None
                }
                // It joins.
                Ok((503, _)) if !was_open => None,
                other => Some(format!("{other:?}")),
            };
            self.wrong.lock().unwrap().extend(wrong);
        }
    }
}

/// From one version that may serve, from the first line to the last one.
fn is_whole(text: &str) -> bool {
    ["one", "two"].iter().any(|name| {
        text.starts_with(&format!("begin {name}\n")) && text.ends_with(&format!("end {name}\n"))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Happens {
    Nothing,
    Kill,
    Cut,
    Stop,
}

#[test]
#[ignore = "needs root and minutes: cargo test -p wasm-host-tests --test it -- --ignored --nocapture replicas::namespaces"]
fn four_hosts_whose_links_are_cut_come_to_one_version() {
    let runtime = Runtime::new().unwrap();
    let network = Network::new();
    let server = Postgres::start();
    let address = runtime.block_on(forward(server.address()));
    let url = format!("postgres://app@{address}/postgres");
    let places: Vec<Arc<Place>> = (0..HOSTS)
        .map(|at| {
            // Two of them find out what is sick, whichever is lost.
            let health = if at >= HOSTS - 2 { "health = \"/health\"" } else { "" };
            Arc::new(Place {
                app: app_leased(LEASE, &url, "serve", "version-one", health),
                runtime: network.runtime(at),
                host: Mutex::new(None),
                lives: AtomicU64::new(0),
                answered: AtomicU64::new(0),
                killed: AtomicU64::new(0),
                wrong: Mutex::new(Vec::new()),
            })
        })
        .collect();
    runtime.block_on(run(&network, &places));
    for place in places {
        place.host.lock().unwrap().take();
        if let Ok(place) = Arc::try_unwrap(place).map_err(|_| ()) {
            place.runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn run(network: &Network, places: &[Arc<Place>]) {
    let mut seed = Seeded::new();
    println!("the seed is {}", seed.seed());
    for place in places {
        place.start().await;
    }
    let mut serving = quiet(places).await;
    let ends = Arc::new(AtomicBool::new(false));
    let clients = places.iter().flat_map(|place| [place; CLIENTS]);
    let loads: Vec<_> =
        clients.map(|place| tokio::spawn(place.clone().load(ends.clone()))).collect();
    let (mut committed, mut rejected, mut unknown) = (0, 0, 0);
    let mut happened = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..SWAPS {
        if round % 20 == 0 {
            println!("{round} swaps");
        }
        let is_bad = round % 10 == 9;
        let wanted = match (&*serving, is_bad) {
            (_, true) => "sick",
            ("one", _) => "two",
            _ => "one",
        };
        let (at, victim) = (seed.between(0, HOSTS - 1), seed.between(0, HOSTS - 1));
        let happens = match seed.between(0, 7) {
            0 => Happens::Kill,
            1 => Happens::Cut,
            2 => Happens::Stop,
            _ => Happens::Nothing,
        };
        *happened.entry(format!("{happens:?}")).or_default() += 1;
        let begins = Duration::from_millis(seed.between(0, 150) as u64);
        let lasts = Duration::from_millis(seed.between(0, 5000) as u64);
        let swap = places[at].ask(true, "POST", "/services/app/swap", version(wanted));
        let fault = make_happen(network, &places[victim], victim, happens, begins, lasts);
        let (answer, ()) = tokio::join!(swap, fault);
        let told = format!("round {round}: {wanted} at {at}, {happens:?} of {victim}: {answer:?}");
        let before = serving;
        serving = quiet(places).await;
        match &answer {
            Ok((200, _)) => {
                assert!(!is_bad, "{told}");
                assert_eq!(serving, wanted, "{told}");
                committed += 1;
            }
            Ok((422, text)) => {
                // A machine that is busy may outlast a lease, and that is said.
                let has_lapsed = text.contains("lease of this replica has ended");
                assert!(is_bad || happens != Happens::Nothing || has_lapsed, "{told}");
                // Whether it is known is said.
                let is_known = !text.contains("history") && !text.contains("went away");
                assert!(!is_known || serving == before, "{told}, then {serving}");
                rejected += 1;
            }
            _ => {
                assert!(happens == Happens::Kill && victim == at, "{told}");
                unknown += 1;
            }
        }
        for (number, place) in places.iter().enumerate() {
            assert_eq!(*place.wrong.lock().unwrap(), Vec::<String>::new(), "host {number}, {told}");
        }
    }
    ends.store(true, Ordering::SeqCst);
    for load in loads {
        load.await.unwrap();
    }
    let sum = |count: fn(&Place) -> &AtomicU64| -> u64 {
        places.iter().map(|place| count(place).load(Ordering::SeqCst)).sum()
    };
    println!(
        "{SWAPS} swaps: {committed} on all, {rejected} on none, {unknown} asked of a host that was killed; {happened:?}"
    );
    println!(
        "{} requests were answered, {} failed with a host that was killed",
        sum(|place| &place.answered),
        sum(|place| &place.killed)
    );
    assert!(committed > SWAPS / 2 && rejected >= SWAPS / 10 - unknown);
}

async fn make_happen(
    network: &Network,
    place: &Arc<Place>,
    at: usize,
    happens: Happens,
    begins: Duration,
    lasts: Duration,
) {
    sleep(begins).await;
    match happens {
        Happens::Nothing => {}
        Happens::Kill => {
            place.kill().await;
            sleep(lasts).await;
            place.start().await;
        }
        Happens::Cut => {
            ip(&format!("link set {} down", network.link(at)));
            sleep(lasts).await;
            ip(&format!("link set {} up", network.link(at)));
        }
        Happens::Stop => {
            place.signal(Signal::STOP);
            sleep(lasts).await;
            place.signal(Signal::CONT);
        }
    }
}

/// Wait until all serve the same, as each of them says of all. Returns which version that is.
async fn quiet(places: &[Arc<Place>]) -> String {
    let said = std::sync::Mutex::new(Vec::new());
    let all = eventually("all on one generation", async || {
        let mut now = Vec::new();
        for place in places {
            now.push(place.service().await);
        }
        said.lock().unwrap().clone_from(&now);
        agreed(&now)
    });
    // It says what it saw, where it waits in vain.
    let ended = tokio::time::timeout(QUIET, all).await;
    if ended.is_err() {
        for place in places {
            let host = place.host.lock().unwrap().clone();
            eprintln!("{}", host.map_or_else(String::new, |host| host.log()));
        }
    }
    assert!(ended.is_ok(), "not on one generation: {:#?}", said.lock().unwrap());
    let (_, text) = places[0].ask(false, "GET", "/", Vec::new()).await.unwrap();
    let first = text.lines().next().and_then(|line| line.strip_prefix("begin "));
    first.expect("a version answers").to_owned()
}

/// Whether all have the same version and generation, and each sees all of them serve it.
fn agreed(said: &[Option<serde_json::Value>]) -> Option<()> {
    let mut all = std::collections::BTreeSet::new();
    for service in said {
        let service = service.as_ref()?;
        // One that was killed a moment ago has its lease still.
        let has_lease = |it: &&serde_json::Value| it["state"] != "lost";
        let replicas: Vec<_> = service["replicas"].as_array()?.iter().filter(has_lease).collect();
        if replicas.len() != HOSTS || replicas.iter().any(|it| it["state"] != "serving") {
            return None;
        }
        let version = service["version"].to_string();
        all.extend(replicas.iter().map(|it| (version.clone(), it["generation"].to_string())));
    }
    (all.len() == 1).then_some(())
}
