//! Replicas against a real server, with versions that are only names: swaps, refusals, crashes and cut connections.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::proxy::{Plan, Proxy};
use wasm_host_tests::seed::Seeded;
use wasm_host_tests::{eventually, within};

mod pasts;

const SERVICE: &str = "weather";
/// Where none is to end: longer than a busy machine does nothing for a replica.
const LEASE: Duration = Duration::from_secs(60);
/// Where one ends.
const SHORT: Duration = Duration::from_secs(4);

/// What a replica serves, for the test to look at.
#[derive(Default)]
struct Fake {
    serves: Mutex<Arc<str>>,
    /// The component of its application file. None: as of all others.
    own: Option<&'static str>,
    /// All that it has served, in this order.
    served: Mutex<Vec<Arc<str>>>,
    refuses: Mutex<Option<&'static str>>,
    /// Why it cannot catch up.
    misses: Mutex<Option<&'static str>>,
    /// It has the next version of an attempt ready when it hears of this.
    holds: Mutex<Option<oneshot::Receiver<()>>>,
    /// It catches up for the first time when it hears of this.
    waits: Mutex<Option<oneshot::Receiver<()>>>,
}

/// For this it does not refuse a version but fails.
const FAILS: &str = "it fails";

impl Fake {
    fn serve(&self, digest: Arc<str>) {
        self.served.lock().push(digest.clone());
        *self.serves.lock() = digest;
    }
}

struct FakeVersions(Arc<Fake>);

impl Versions for FakeVersions {
    fn offered(&self) -> Vec<Offer> {
        let own = self.0.own.unwrap_or("own");
        vec![Offer {
            service: SERVICE.into(),
            version: version(own),
            own: own.into(),
            misses: None,
        }]
    }

    fn prepare(
        &self,
        _service: Arc<str>,
        attempt: Attempt,
    ) -> Boxed<Result<Box<dyn Prepared>, String>> {
        let (fake, refuses) = (self.0.clone(), *self.0.refuses.lock());
        let holds = fake.holds.lock().take();
        Box::pin(async move {
            if let Some(holds) = holds {
                let _ = holds.await;
            }
            match refuses {
                Some(FAILS) => panic!("{FAILS}"),
                Some(reason) => Err(reason.to_owned()),
                None => Ok(FakePrepared::boxed(&fake, &attempt.version.digest).0),
            }
        })
    }

    fn catch_up(
        &self,
        _service: Arc<str>,
        line: Line,
        overtaken: Overtaken,
    ) -> Boxed<Result<(), String>> {
        let fake = self.0.clone();
        Box::pin(async move {
            if let Some(reason) = *fake.misses.lock() {
                return Err(reason.to_owned());
            }
            let waits = fake.waits.lock().take();
            if let Some(waits) = waits {
                let _ = waits.await;
            }
            if overtaken.is_so() {
                return Err("another version came first".to_owned());
            }
            fake.serve(line.current.version.digest);
            Ok(())
        })
    }
}

struct FakePrepared {
    fake: Arc<Fake>,
    digest: Arc<str>,
    told: oneshot::Sender<Result<Decision, String>>,
}

type DecisionReceiver = oneshot::Receiver<Result<Decision, String>>;

impl FakePrepared {
    fn boxed(fake: &Arc<Fake>, digest: &Arc<str>) -> (Box<dyn Prepared>, DecisionReceiver) {
        let (told, heard) = oneshot::channel();
        let prepared = Self { fake: fake.clone(), digest: digest.clone(), told };
        (Box::new(prepared), heard)
    }
}

impl Prepared for FakePrepared {
    fn serve(self: Box<Self>, decision: Decision) -> Boxed<Result<(), String>> {
        Box::pin(async move {
            self.fake.serve(self.digest);
            let _ = self.told.send(Ok(decision));
            Ok(())
        })
    }

    fn drop_for(self: Box<Self>, reason: &str) {
        let _ = self.told.send(Err(reason.to_owned()));
    }
}

fn version(digest: &str) -> Version {
    Version { digest: digest.into(), source: digest.into() }
}

struct Host {
    fake: Arc<Fake>,
    replica: Arc<Replica>,
}

/// Each has another name, as each process does.
static NAMES: AtomicU64 = AtomicU64::new(0);

fn start(url: &str, fences: bool) -> Host {
    start_with(url, fences, Fake::default())
}

fn start_short(url: &str, fences: bool) -> Host {
    start_leased(SHORT, url, fences, Fake::default())
}

fn start_with(url: &str, fences: bool, fake: Fake) -> Host {
    start_leased(LEASE, url, fences, fake)
}

fn start_leased(lease: Duration, url: &str, fences: bool, fake: Fake) -> Host {
    let name = format!("replica-{}", NAMES.fetch_add(1, Ordering::Relaxed));
    let terms = Terms {
        application: "shop".into(),
        name: name.into(),
        lease,
        attempt_timeout: Duration::from_secs(20),
        fences,
    };
    let fake = Arc::new(fake);
    *fake.serves.lock() = fake.own.unwrap_or("own").into();
    let versions: Arc<dyn Versions> = Arc::new(FakeVersions(fake.clone()));
    let replica = Replica::start(url.parse().unwrap(), terms, |_| versions);
    Host { fake, replica }
}

impl Host {
    async fn is_there(&self) {
        eventually("it is a member", async || self.replica.is_member().then_some(())).await;
    }

    /// What became of a swap.
    async fn swap(&self, digest: &str) -> Result<Decision, String> {
        let version = version(digest);
        let (prepared, heard) = FakePrepared::boxed(&self.fake, &version.digest);
        let wanted = SwapProposal {
            service: SERVICE.into(),
            version,
            cause: "test".into(),
            takes_back: false,
        };
        self.replica.propose(wanted, prepared).await?;
        within("the decision", heard).await.unwrap_or(Err("it was killed".to_owned()))
    }

    async fn comes_to_serve(&self, digest: &str) {
        eventually(&format!("{} serves {digest}", self.replica.name()), async || {
            (&**self.fake.serves.lock() == digest).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_reaches_all_or_none_and_a_refusal_names_the_replica() {
    let server = Postgres::start();
    let hosts: Vec<Host> = (0..3).map(|_| start(&server.url(), false)).collect();
    for host in &hosts {
        host.is_there().await;
    }
    let decision = hosts[0].swap("v1").await.unwrap();
    assert_eq!(decision, Decision::Committed { generation: 2, without: Vec::new() });
    for host in &hosts {
        host.comes_to_serve("v1").await;
    }
    *hosts[2].fake.refuses.lock() = Some("it imports what is not granted");
    let reason = hosts[1].swap("v2").await.unwrap_err();
    let name = hosts[2].replica.name();
    assert_eq!(reason, format!("{name} refused it: it imports what is not granted"));
    *hosts[2].fake.refuses.lock() = None;
    hosts[2].swap("v3").await.unwrap();
    for host in &hosts {
        host.comes_to_serve("v3").await;
        assert_eq!(*host.fake.served.lock(), [Arc::from("v1"), "v3".into()]);
    }
    // Late, and not open before it serves what the others serve.
    let late = start(&server.url(), false);
    eventually("it is open", async || late.replica.is_open().then_some(())).await;
    assert_eq!(&**late.fake.serves.lock(), "v3");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_catch_up_says_why_and_comes_in_when_it_can() {
    let server = Postgres::start();
    let first = start(&server.url(), false);
    first.is_there().await;
    first.swap("v1").await.unwrap();
    let misses = Mutex::new(Some("its bytes are gone"));
    let late = start_with(&server.url(), false, Fake { misses, ..Fake::default() });
    let why = eventually("the reason", async || late.replica.behind()).await;
    assert_eq!(why, "weather: it cannot serve what the others serve: its bytes are gone");
    assert!(!late.replica.is_open());
    // Another version is tried at once.
    *late.fake.misses.lock() = None;
    first.swap("v2").await.unwrap();
    late.is_there().await;
    assert_eq!(late.replica.behind(), None);
    assert_eq!(*late.fake.served.lock(), [Arc::from("v2")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_catches_up_slowly_serves_nothing_that_was_overtaken() {
    let server = Postgres::start();
    let first = start(&server.url(), false);
    first.is_there().await;
    first.swap("v1").await.unwrap();
    let (go_on, waits) = oneshot::channel();
    let waits = Mutex::new(Some(waits));
    let late = start_with(&server.url(), false, Fake { waits, ..Fake::default() });
    eventually("it catches up", async || late.fake.waits.lock().is_none().then_some(())).await;
    first.swap("v2").await.unwrap();
    eventually("it has seen that", async || {
        let line = late.replica.line(SERVICE)?;
        (line.current.number == 3).then_some(())
    })
    .await;
    go_on.send(()).unwrap();
    late.is_there().await;
    assert_eq!(*late.fake.served.lock(), [Arc::from("v2")]);
    assert_eq!(late.replica.behind(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_while_it_loads_a_version_refuses_it() {
    let server = Postgres::start();
    let hosts: Vec<Host> = (0..2).map(|_| start(&server.url(), false)).collect();
    for host in &hosts {
        host.is_there().await;
    }
    *hosts[1].fake.refuses.lock() = Some(FAILS);
    let reason = hosts[0].swap("v1").await.unwrap_err();
    assert!(reason.ends_with("the host failed while it loaded the component"), "{reason}");
    *hosts[1].fake.refuses.lock() = None;
    hosts[0].swap("v2").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_is_not_waited_for_and_what_is_killed_until_its_lease_ends() {
    let server = Postgres::start();
    let hosts: Vec<Host> = (0..3).map(|_| start_short(&server.url(), false)).collect();
    for host in &hosts {
        host.is_there().await;
    }
    hosts[1].replica.stop().await;
    let decision = hosts[0].swap("v1").await.unwrap();
    assert_eq!(decision, Decision::Committed { generation: 2, without: Vec::new() });
    hosts[2].replica.kill();
    let decision = hosts[0].swap("v2").await.unwrap();
    let without = vec![hosts[2].replica.name().clone()];
    assert_eq!(decision, Decision::Committed { generation: 3, without });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cut_off_serves_on_or_is_shut_before_the_others_go_on_without_it() {
    for fences in [false, true] {
        let server = Postgres::start();
        let proxy = Proxy::start(&server.address()).await;
        let (near, far) = (start_short(&server.url(), fences), {
            let url = server.url().replace(&server.address(), &proxy.address.to_string());
            start_short(&url, fences)
        });
        near.is_there().await;
        far.is_there().await;
        let mut cut = Plan { refuse: true, ..Plan::default() };
        (cut.up.stalled, cut.down.stalled) = (true, true);
        proxy.set(cut);
        let decision = near.swap("v1").await.unwrap();
        // At the very moment of the decision.
        assert_eq!(far.replica.is_open(), !fences);
        let without = vec![far.replica.name().clone()];
        assert_eq!(decision, Decision::Committed { generation: 2, without });
        let refused = far.swap("v2").await.unwrap_err();
        assert!(refused.contains("the database of [replicas]"), "{refused}");
        proxy.reset_all();
        proxy.heal();
        far.comes_to_serve("v1").await;
        eventually("it is open", async || far.replica.is_open().then_some(())).await;
        let decision = far.swap("v3").await.unwrap();
        assert_eq!(decision, Decision::Committed { generation: 3, without: Vec::new() });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_away_what_serves_goes_on_and_swaps_are_refused() {
    let mut server = Postgres::start();
    let hosts: Vec<Host> = (0..2).map(|_| start(&server.url(), false)).collect();
    for host in &hosts {
        host.is_there().await;
    }
    server.crash();
    let refused = hosts[0].swap("v1").await.unwrap_err();
    assert!(refused.contains("the database of [replicas]"), "{refused}");
    assert!(hosts.iter().all(|host| host.replica.is_open()));
    server.resume();
    eventually("swaps are possible", async || hosts[1].swap("v2").await.ok()).await;
    for host in &hosts {
        host.comes_to_serve("v2").await;
    }
}

/// What is committed is what the database has of it, heard or not.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_all_end_on_one_version() {
    let mut seed = Seeded::or(|| 20_261_130);
    let server = Postgres::start();
    let proxy = Proxy::start(&server.address()).await;
    let far = server.url().replace(&server.address(), &proxy.address.to_string());
    let urls = [server.url(), server.url(), far.clone(), far];
    let mut hosts: Vec<Host> = urls.iter().map(|url| start_short(url, true)).collect();
    let (mut committed, mut aborted) = (BTreeMap::new(), Vec::new());
    let swaps = 30;
    for round in 0..swaps {
        let at = seed.between(0, hosts.len() - 1);
        for host in &hosts {
            let is_broken = seed.between(0, 9) == 0;
            *host.fake.refuses.lock() = is_broken.then_some("it is broken");
        }
        let (digest, another) = (format!("v{round}"), format!("other{round}"));
        let (killed, other) = (seed.between(0, hosts.len() - 1), seed.between(0, hosts.len() - 1));
        let fault = seed.between(0, 11);
        let swap = hosts[at].swap(&digest);
        let outcome = match fault {
            // In the middle of it.
            0 => tokio::join!(swap, async { hosts[killed].replica.kill() }).0,
            1 => tokio::join!(swap, async { proxy.reset_all() }).0,
            2 => tokio::join!(swap, hosts[other].swap(&another)).0,
            _ => swap.await,
        };
        match outcome {
            Ok(Decision::Committed { generation, .. }) => {
                assert_eq!(committed.insert(generation, digest), None);
            }
            Err(reason) => aborted.push((digest, reason)),
            Ok(other) => panic!("{other:?}"),
        }
        if fault == 0 {
            hosts[killed] = start_short(&urls[killed], true);
        }
    }
    hosts.iter().for_each(|host| *host.fake.refuses.lock() = None);
    eventually("one more is possible", async || hosts[0].swap("last").await.ok()).await;
    for host in &hosts {
        host.comes_to_serve("last").await;
        let served = host.fake.served.lock().clone();
        // A verdict that says no is true, unless it says that it is not known.
        for (digest, reason) in aborted.iter().filter(|(_, reason)| !reason.contains("history")) {
            let is_known = reason != "it was killed";
            assert!(!is_known || !served.contains(&Arc::from(&**digest)), "{digest}: {reason}");
        }
    }
    assert!(committed.len() > swaps / 6, "{committed:?} {aborted:?}");
    assert!(!aborted.is_empty());
}
