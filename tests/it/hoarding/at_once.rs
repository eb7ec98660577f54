//! Everything that is known to be done to a host, at once: in a container of 2 GiB it lives, its neighbours are
//! answered, and when it is over, its memory is as it was.
//!
//! In its short form, each attack comes once, some at a time; `WASM_HOST_TEST_ATTACKS` chooses those whose names have
//! one of its words in them, with commas in between. With `WASM_HOST_TEST_LONG` in the environment, the host
//! as it is shipped is attacked for an hour, or as many minutes as `WASM_HOST_TEST_MINUTES` says: as many attackers as
//! there are attacks choose by chance what they do next, for half a minute, and then it is calm for a quarter. So what
//! the machine itself does meanwhile slows both, and their ratio is worth something.

mod attacks;
mod measures;
mod neighbours;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use wasm_host_tests::host::{App, COMPILATION, Host, root};
use wasm_host_tests::memory_bound::{MemoryBound, Used};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::seed::Seeded;
use wasm_host_tests::shares::{Share, USUAL};
use wasm_host_tests::{PATIENCE, descriptors, handmade, is_long};

use attacks::{Attack, Outcomes, Target};
use measures::Measures;
use neighbours::{Neighbours, Phase};

/// What the host may have, with the processes that it starts.
const BOUND: u64 = 2 * 1024 * 1024 * 1024;

/// Minutes of the long form.
const MINUTES: &str = "WASM_HOST_TEST_MINUTES";

/// Each is a client of its own: one asks neighbours, one attacks, one opens connections in crowds.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CROWD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Attacks at a time in the short form.
const AT_ONCE: usize = 8;

/// How long it is calm and under attack, and how long it may take to become calm.
const CALM: Duration = Duration::from_secs(15);
const ATTACKED: Duration = Duration::from_secs(30);
const SETTLING: Duration = Duration::from_secs(3);

/// Between two looks at the host.
const LOOK: Duration = Duration::from_millis(100);

/// What may be left when all is over: what an allocator keeps, and buffers of connections to backends. Some 90 MiB were
/// seen after minutes; the guests have had a gibibyte.
const KEPT_KIB: u64 = 256 * 1024;

/// Bytes of the log that are kept to be shown.
const LOG_END: usize = 16 * 1024;

/// The bound of compilers.
const COMPILED_WITHIN: &str = "compile-cpu-timeout = \"3s\"";

/// The same chances in every run.
const SEED: u64 = 20_261_129;

/// The hostile ones have less than the host together: where they have more, no bound of a service keeps anything for
/// the others.
fn app(databases: [&str; 2], models: &str) -> App {
    let [mine, theirs] = databases;
    let busy = "first-byte-timeout = \"10s\"\nqueue-timeout = \"2s\"\nlog-lines = 50";
    let small = "memory = \"64MiB\"\nmemory-total = \"96MiB\"\ncpu-timeout = \"200ms\"";
    let tiny = "memory = \"8MiB\"\nmemory-total = \"8MiB\"\ncpu-timeout = \"200ms\"";
    let init = root().join("components/weather/sql/init.sql").display().to_string();
    let patient = "first-byte-timeout = \"5m\"\nqueue-timeout = \"5m\"\ncpu-timeout = \"5m\"";
    let app = App::new(&format!(
        r#"
name = "at-once"

[limits]
memory = "1GiB"
instances = 200
compile-memory = "384MiB"
{COMPILED_WITHIN}

[postgres.mine]
{mine}
init = ["{init}"]
acquire-timeout = "5m"
statement-timeout = "5m"

[postgres.theirs]
{theirs}
pool = 4
statement-timeout = "1s"

[ollama.local]
url = "{models}"

[service.hello]
component = "$(hello-p3)"
{patient}

[service.hello-p2]
component = "$(hello-p2)"
{patient}

[service.weather]
component = "$(weather)"
postgres = "mine"
{patient}

[service.pages]
static = "pages"

[service.hoarder]
component = "$(hoarder)"
postgres = "theirs"
ollama = "local"
memory-total = "512MiB"
log-lines = 50
{patient}

[service.querier]
component = "$(querier)"
postgres = "theirs"
{busy}
{small}

[service.hostile]
component = "$(hostile)"
services = ["hostile"]
max-body = "1MiB"
{busy}
{small}

[service.greedy]
component = "$(greedy)"
{busy}
{small}

[service.old]
component = "$(hostile-p2)"
{busy}
{small}

[service.tables]
component = "tables.wasm"
{busy}
{tiny}

[service.starter]
component = "starter.wasm"
{busy}
{tiny}

[service.swapped]
component = "$(version-one)"
memory = "16MiB"
memory-total = "16MiB"
"#
    ));
    let write = |name: &str, bytes: &[u8]| std::fs::write(app.path().join(name), bytes).unwrap();
    write("tables.wasm", &handmade::grows_tables(60_000));
    write("starter.wasm", &handmade::computes_when_it_starts());
    std::fs::create_dir(app.path().join("pages")).unwrap();
    write("pages/index.html", b"<!doctype html><title>A page</title>\n");
    // A server of the host's own has an account of its own, which gets there.
    std::fs::set_permissions(app.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    if is_long() { app.optimised() } else { app }
}

/// Have the components compiled that are served, for which the bound that attackers meet could be too short.
async fn compile(app: &App) {
    let file = std::fs::read_to_string(app.path().join("wasm-host.toml")).unwrap();
    let patient = file.replace(COMPILED_WITHIN, "");
    std::fs::write(app.path().join("patient.toml"), patient).unwrap();
    let checked = app.run_within(COMPILATION, &["check", "patient.toml"]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// A host under its bound, and what is seen of it.
struct Scene {
    host: Host,
    // Given up after the host.
    bound: MemoryBound,
    share: Share,
    neighbours: Option<Neighbours>,
    phase: Phase,
    measures: Measures,
    target: Arc<Target>,
    /// Where attacks run, with less priority than the host: real attackers have machines of their own.
    attackers: Runtime,
    told: Arc<Mutex<BTreeMap<&'static str, (u64, Outcomes)>>>,
    most: Used,
    most_kib: u64,
    /// What the host had in each calm, at its end.
    calm_mib: Vec<u64>,
}

impl Scene {
    async fn of(databases: [&str; 2], models: &str) -> Self {
        descriptors(8000);
        let (bound, share) = (MemoryBound::new(BOUND), Share::new(USUAL));
        let app = app(databases, models);
        compile(&app).await;
        let commands = format!("{}\n{}", bound.commands(), share.commands());
        let host = app.before(&commands).serve().await;
        bound.must_hold(host.pid());
        host.keep_log(LOG_END);
        let target = Target {
            address: host.address.clone(),
            admin: host.admin.clone(),
            authorization: host.authorization(),
        };
        let attackers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .on_thread_start(|| {
                let _ = rustix::process::nice(10);
            })
            .build()
            .unwrap();
        let neighbours = Some(Neighbours::of(&host.address));
        Self {
            host,
            bound,
            share,
            neighbours,
            phase: Phase::Between,
            measures: Measures::default(),
            target: Arc::new(target),
            attackers,
            told: Arc::default(),
            most: Used::default(),
            most_kib: 0,
            calm_mib: Vec::new(),
        }
    }

    async fn begin(&mut self, phase: Phase) {
        let said = self.host.ask("GET", "/metrics", &[], "").await;
        self.measures.read(said.text(), self.phase);
        self.measures.look(self.host.pid(), self.phase);
        self.phase = phase;
        self.neighbours.as_ref().expect("they are asked").begin(phase);
    }

    /// Look at everything until something is so.
    async fn watch_until(&mut self, so: impl Fn() -> bool) {
        while !so() {
            self.look().await;
            sleep(LOOK).await;
        }
    }

    async fn watch_for(&mut self, time: Duration) {
        let begun = Instant::now();
        self.watch_until(|| begun.elapsed() >= time).await;
    }

    /// Panics unless the host lives and its neighbours were answered.
    async fn look(&mut self) {
        self.must_live();
        self.measures.look(self.host.pid(), self.phase);
        let wrong = self.neighbours.as_ref().expect("they are asked").wrong();
        let resident = self.host.resident_kib_if_it_runs();
        let is_well = wrong.is_empty() && resident.is_some();
        if !is_well {
            // The memory and the connections of a host that is killed are gone before it is.
            for _ in 0..50 {
                sleep(LOOK).await;
                self.must_live();
            }
        }
        assert!(
            is_well,
            "other answers of neighbours than theirs: {wrong:#?}\n{}",
            self.host.log()
        );
        self.most_kib = self.most_kib.max(resident.unwrap_or_default());
        if let Some(used) = self.bound.used() {
            self.most.all = self.most.all.max(used.all);
            self.most.anonymous = self.most.anonymous.max(used.anonymous);
        }
    }

    fn must_live(&mut self) {
        let ended = self.host.ended();
        let how = ended.map(|status| status.to_string()).unwrap_or_default();
        assert!(
            ended.is_none(),
            "the host ended by itself, {how}: {} processes below {} were ended for want of memory; it had {} MiB, all \
             together {:?}; the end of its log:\n{}{}",
            self.bound.kills(),
            self.bound,
            self.most_kib / 1024,
            self.most,
            self.host.log(),
            self.table()
        );
    }

    /// Begin an attack; what comes of it is told.
    fn attack(&self, attack: Arc<Attack>) -> JoinHandle<()> {
        let (target, told) = (self.target.clone(), self.told.clone());
        self.attackers.spawn(async move { note(&attack, &target, &told).await })
    }

    fn table(&self) -> String {
        let mut table = String::new();
        for (name, (times, outcomes)) in self.told.lock().unwrap().iter() {
            let ways: Vec<String> =
                outcomes.iter().map(|(way, count)| format!("{way}: {count}")).collect();
            let _ = writeln!(table, "{name:<36}{times:>6}  {}", ways.join("; "));
        }
        table
    }

    /// Wait until all is as it was before, and tell everything. Returns the worst ratio.
    async fn end(mut self, before_kib: u64) -> f64 {
        self.begin(Phase::Between).await;
        self.watch_for(SETTLING).await;
        let begun = Instant::now();
        let host = &self.host;
        let kept = || host.resident_kib();
        while kept() > before_kib + KEPT_KIB && begun.elapsed() < PATIENCE {
            sleep(LOOK).await;
        }
        let kept = kept();
        let measured = self.neighbours.take().expect("they are asked").end();
        let kills = self.bound.kills();
        println!("{}{}{}", self.table(), measured.table(), self.measures.table());
        println!(
            "below {}, with {}: at most {} MiB, {} MiB of it anonymous; the host had {} MiB before, {} MiB at most, {} MiB at \
             the end, and in calm {:?}; {kills} processes were ended for want of memory; {} answers of neighbours; {} \
             lines of log",
            self.bound,
            self.share,
            self.most.all >> 20,
            self.most.anonymous >> 20,
            before_kib / 1024,
            self.most_kib / 1024,
            kept / 1024,
            self.calm_mib,
            measured.asked,
            self.host.log_lines(),
        );
        assert_eq!(measured.wrong, Vec::<String>::new(), "{}", self.host.log());
        assert_eq!(kills, 0, "the bound was met");
        assert!(kept < before_kib + KEPT_KIB, "memory is not given back: {kept} KiB");
        let ratio = measured.worst_ratio();
        self.attackers.shutdown_background();
        let (status, log) = self.host.stop().await;
        assert_eq!(status.code(), Some(0), "{log}");
        ratio
    }
}

async fn note(
    attack: &Attack,
    target: &Arc<Target>,
    told: &Mutex<BTreeMap<&'static str, (u64, Outcomes)>>,
) {
    let outcomes = attack.run(target).await;
    let mut told = told.lock().unwrap();
    let (times, ways) = told.entry(attack.name).or_default();
    *times += 1;
    for outcome in outcomes {
        *ways.entry(outcome).or_default() += 1;
    }
}

/// Each attack once, some at a time.
async fn in_turn(scene: &mut Scene, attacks: Vec<Attack>) {
    scene.begin(Phase::Calm).await;
    scene.watch_for(Duration::from_secs(2)).await;
    scene.begin(Phase::Attack).await;
    let attacks: Vec<_> = attacks.into_iter().map(Arc::new).collect();
    let strides = attacks.len().div_ceil(AT_ONCE);
    let mut running: Vec<JoinHandle<()>> = Vec::new();
    // Those of one kind are beside each other in the list.
    for attack in (0..strides).flat_map(|from| attacks.iter().skip(from).step_by(strides)) {
        running.push(scene.attack(attack.clone()));
        if running.len() == AT_ONCE {
            scene.watch_until(|| running.iter().any(JoinHandle::is_finished)).await;
            running.retain(|attack| !attack.is_finished());
        }
    }
    scene.watch_until(|| running.iter().all(JoinHandle::is_finished)).await;
}

/// All attacks by chance, again and again, with calm in between.
async fn again_and_again(scene: &mut Scene, attacks: Vec<Attack>, time: Duration) {
    let attacks: Arc<[Attack]> = attacks.into();
    let chance = Arc::new(Mutex::new(Seeded::or(|| SEED)));
    let (goes_on, running) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut attackers = Vec::new();
    for _ in 0..attacks.len() {
        let (attacks, chance) = (attacks.clone(), chance.clone());
        let (goes_on, running) = (goes_on.clone(), running.clone());
        let (target, told) = (scene.target.clone(), scene.told.clone());
        attackers.push(scene.attackers.spawn(async move {
            loop {
                sleep(LOOK).await;
                running.fetch_add(1, Ordering::SeqCst);
                while goes_on.load(Ordering::SeqCst) {
                    let chosen = chance.lock().unwrap().between(0, attacks.len() - 1);
                    note(&attacks[chosen], &target, &told).await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
            }
        }));
    }
    let begun = Instant::now();
    while begun.elapsed() < time {
        scene.begin(Phase::Calm).await;
        scene.watch_for(CALM).await;
        scene.calm_mib.push(scene.host.resident_kib() / 1024);
        scene.begin(Phase::Attack).await;
        goes_on.store(true, Ordering::SeqCst);
        scene.watch_for(ATTACKED).await;
        scene.begin(Phase::Between).await;
        goes_on.store(false, Ordering::SeqCst);
        scene.watch_until(|| running.load(Ordering::SeqCst) == 0).await;
        scene.watch_for(SETTLING).await;
    }
    attackers.iter().for_each(JoinHandle::abort);
}

/// With all attacks where it is long, otherwise with `attacks`.
async fn all_at_once(databases: [&str; 2], attacks: Vec<Attack>) {
    let models = super::models().await;
    let mut scene = Scene::of(databases, &models).await;
    // Instances, connections and caches that a host has when it has been asked for a while.
    scene.watch_for(SETTLING).await;
    let before_kib = scene.host.resident_kib();
    if !is_long() {
        in_turn(&mut scene, attacks).await;
        scene.end(before_kib).await;
        return;
    }
    let minutes = std::env::var(MINUTES).map_or(60, |minutes| minutes.parse().expect("a number"));
    again_and_again(&mut scene, attacks::all(), Duration::from_secs(60 * minutes)).await;
    let ratio = scene.end(before_kib).await;
    assert!(ratio <= 3.0, "one in a hundred answers took {ratio:.1} times as long as in calm");
}

// Fault (Guests): all that is in these tables at once, in a container of 2 GiB | lives, serves, and gives the memory back | neighbours: their answers | what the attackers asked for
/// The host alone, with its compilers: the server is another machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_of_2_gib_outlives_everything_at_once_and_its_neighbours_are_answered() {
    // That of the attacked is a machine of its own, which takes as little as can be from the host's.
    let (usual, little) = (Share::new(USUAL), Share::new(USUAL / 100));
    let (mine, theirs) = (Postgres::start(), Postgres::start());
    usual.take(mine.pid());
    little.take(theirs.pid());
    let url = |server: &Postgres| format!("url = \"{}\"", server.url());
    all_at_once([&url(&mine), &url(&theirs)], attacks::all()).await;
}

// Fault (Guests): the same, with databases of the host's own in the container | the same | the same | the same
/// A container that has the host has what it starts as well, and so the server of its own databases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_of_2_gib_outlives_everything_with_databases_of_its_own() {
    all_at_once(["", ""], attacks::of_databases()).await;
}

/// The bound itself: without it, nothing of this would be worth anything.
#[tokio::test]
async fn a_process_with_more_than_the_bound_is_ended_or_refused() {
    let bound = MemoryBound::new(64 * 1024 * 1024);
    // A line without an end is held whole.
    let script = format!("{}\nexec tail -n 1 /dev/zero", bound.commands());
    let mut shell = tokio::process::Command::new("sh");
    let output = shell.args(["-c", &script]).kill_on_drop(true).output();
    let output = wasm_host_tests::within("the end of it", output).await.unwrap();
    assert!(!output.status.success());
    println!("{bound}: {}, {} ended", output.status, bound.kills());
    assert!(bound.used().is_none() || bound.kills() > 0, "{}", output.status);
}
