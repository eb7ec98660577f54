//! What runs against a real server is what was checked: the same steps lead to the same.

use std::collections::BTreeMap;

use sqlx::postgres::PgListener;
use sqlx::raw_sql;

use super::*;
use crate::protocol::{AttemptId, MemberId, Offer, Proposal, Version, Vote};
use wasm_host_tests::eventually;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::postgres::pooler::Pooler;
use wasm_host_tests::proxy::{Plan, Proxy};
use wasm_host_tests::seed::Seeded;

const SERVICES: [&str; 2] = ["weather", "shop"];
const NAMES: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Change {
    Join(Arc<str>),
    Renew(MemberId),
    Report(MemberId, BTreeMap<Arc<str>, u64>),
    Propose(MemberId, Proposal),
    Vote(MemberId, AttemptId, Vote),
    Leave(Arc<str>),
    Tick,
}

/// The same for a value and for the database. Returns what came of it in words.
fn apply(change: &Change, shared: &mut Shared, now: Time) -> String {
    match change.clone() {
        Change::Join(name) => {
            // What is built anew begins a generation where nothing serves.
            let own: Arc<str> = format!("own{}", now % 3).into();
            let offer = |service: &&str| Offer {
                service: Arc::from(*service),
                version: version(&own),
                own: own.clone(),
                misses: None,
            };
            let offered: Vec<_> = SERVICES.iter().map(offer).collect();
            format!("{:?}", shared.join(&name, &offered, 1000, now))
        }
        Change::Renew(id) => format!("{:?}", shared.renew(id, 1000, now)),
        Change::Report(id, serves) => format!("{:?}", shared.report(id, &serves, now)),
        Change::Propose(id, proposal) => format!("{:?}", shared.propose(id, &proposal, 700, now)),
        Change::Vote(id, attempt, vote) => format!("{:?}", shared.vote(id, attempt, vote, now)),
        Change::Leave(name) => format!("{:?}", shared.leave(&name, now)),
        Change::Tick => format!("{:?}", shared.tick(now)),
    }
}

fn version(digest: &str) -> Version {
    Version { digest: digest.into(), source: "it's \"quoted\" \u{e9}".into() }
}

/// Mostly what a replica would do.
fn random(seed: &mut Seeded, shared: &Shared, step: usize) -> Change {
    let members: Vec<MemberId> = shared.members.keys().copied().collect();
    let lines: Vec<_> = shared.lines.iter().collect();
    let (false, false) = (members.is_empty(), lines.is_empty()) else {
        return Change::Join((*seed.pick(&NAMES)).into());
    };
    // One that is gone is tried, too.
    let id = if seed.between(0, 19) == 0 { MemberId(1) } else { *seed.pick(&members) };
    let (service, line) = *seed.pick(&lines);
    match seed.between(0, 11) {
        0 => Change::Join((*seed.pick(&NAMES)).into()),
        1 | 2 => Change::Renew(id),
        3..=5 => {
            let serves =
                lines.iter().map(|(service, line)| ((*service).clone(), line.current.number));
            Change::Report(id, serves.collect())
        }
        6 | 7 => {
            let (service, base) = (service.clone(), line.current.number);
            let base = base - u64::from(seed.between(0, 9) == 0);
            let version = version(&format!("v{}", step % 7));
            let takes_back = seed.between(0, 3) == 0;
            Change::Propose(
                id,
                Proposal { service, base, version, cause: "test".into(), takes_back },
            )
        }
        8..=10 => {
            let attempt = line.attempt.as_ref().map_or(AttemptId(1), |attempt| attempt.id);
            let vote = match seed.between(0, 9) {
                0 => Vote::Refused("it does not start".into()),
                _ => Vote::Ready,
            };
            Change::Vote(id, attempt, vote)
        }
        _ if seed.between(0, 3) == 0 => Change::Leave((*seed.pick(&NAMES)).into()),
        _ => Change::Tick,
    }
}

async fn clock(connection: &mut PgConnection, now: Time) {
    let set = format!("truncate wasm_host.clock; insert into wasm_host.clock values ({now})");
    raw_sql(sqlx::AssertSqlSafe(set)).execute(connection).await.unwrap();
}

#[tokio::test]
async fn the_database_does_what_was_checked() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let mut seed = Seeded::or(|| 20_261_130);
    let mut by_hand = connect(&options).await.unwrap();
    let override_clock = "create table wasm_host.clock (value bigint); \
        create or replace function wasm_host.now_ms() returns bigint language sql volatile as \
        'select value from wasm_host.clock'";
    raw_sql(override_clock).execute(&mut by_hand).await.unwrap();
    let mut ledgers = [(), ()].map(|()| Ledger::new(options.clone(), "shop".into()));
    let (mut shared, mut now) = (Shared::default(), 1);
    let (mut committed, mut aborted) = (0, 0);
    for step in 0..1500 {
        now += seed.between(0, 120) as Time;
        clock(&mut by_hand, now).await;
        let change = random(&mut seed, &shared, step);
        let expected = apply(&change, &mut shared, now);
        let ledger = &mut ledgers[step % 2];
        let (came, after) = ledger.change(|it, at| apply(&change, it, at)).await.unwrap();
        assert_eq!((came, &after), (expected, &shared), "step {step}: {change:?}");
        let decided = shared.lines.values().flat_map(|line| line.decided.back());
        for attempt in decided {
            match attempt.decision {
                Some(crate::protocol::Decision::Committed { .. }) => committed += 1,
                _ => aborted += 1,
            }
        }
        assert_eq!(ledgers[(step + 1) % 2].read().await.unwrap(), (shared.clone(), now));
    }
    // It was worth comparing.
    assert!(committed > 0 && aborted > 0, "{committed} {aborted}");
}

#[tokio::test]
async fn replicas_that_start_together_make_one_schema() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let starts = (0..8).map(|number| {
        let mut ledger = Ledger::new(options.clone(), "shop".into());
        tokio::spawn(async move {
            let name = Arc::from(format!("replica-{number}"));
            ledger.change(|shared, now| shared.join(&name, &[], 60_000, now)).await.unwrap().0
        })
    });
    let mut ids = Vec::new();
    for start in starts.collect::<Vec<_>>() {
        ids.push(start.await.unwrap().unwrap());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    assert_eq!(server.sql("select count(*) from wasm_host.schema_version"), "1");
}

#[tokio::test]
async fn a_schema_of_another_version_is_not_touched() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    connect(&options).await.unwrap();
    server.sql("update wasm_host.schema_version set version = 2");
    let error = connect(&options).await.unwrap_err().to_string();
    assert!(error.contains("version 2") && error.contains("run hosts of one version"), "{error}");
}

#[tokio::test]
async fn a_schema_that_another_host_has_changed_meanwhile_is_not_touched() {
    let server = Postgres::start();
    let mut ledger = Ledger::new(server.url().parse().unwrap(), "shop".into());
    ledger
        .change(|shared, now| shared.join(&"a".into(), &[], 60_000, now))
        .await
        .unwrap()
        .0
        .unwrap();
    server.sql("update wasm_host.schema_version set version = 2");
    server.sql("update wasm_host.applications set state = jsonb_set(state, '{more}', '1')");
    let state = server.sql("select state from wasm_host.applications");
    let changed = ledger.change(|shared, now| shared.join(&"b".into(), &[], 60_000, now)).await;
    let mut said = vec![changed.unwrap_err().to_string()];
    // By the connection that it has, and by a new one.
    let mut other = Ledger::new(server.url().parse().unwrap(), "shop".into());
    said.push(other.read().await.unwrap_err().to_string());
    for said in said {
        assert!(said.contains("version 2") && said.contains("run hosts of one version"), "{said}");
    }
    assert_eq!(server.sql("select state from wasm_host.applications"), state);
}

#[tokio::test]
async fn a_connection_that_is_lost_silently_costs_as_long_as_was_said_and_another_is_opened() {
    let server = Postgres::start();
    let proxy = Proxy::start(&server.address()).await;
    let url = server.url().replace(&server.address(), &proxy.address.to_string());
    let patience = Duration::from_millis(500);
    let ledger = Ledger::new(url.parse().unwrap(), "shop".into());
    let mut ledger = ledger.within_at_most(patience).within_at_most(limits::TRANSACTION);
    // A busy machine may need longer than that to connect.
    eventually("it is there", async || ledger.read().await.ok()).await;
    let mut cut = Plan::default();
    (cut.up.stalled, cut.down.stalled) = (true, true);
    proxy.set(cut);
    let error = ledger.change(|shared, now| shared.tick(now)).await.unwrap_err().to_string();
    assert!(error.ends_with("does not answer within 500ms"), "{error}");
    proxy.heal();
    eventually("it is there again", async || ledger.read().await.ok()).await;
}

#[tokio::test]
async fn a_lease_is_renewed_without_writing_all_else_anew() {
    let server = Postgres::start();
    let mut ledger = Ledger::new(server.url().parse().unwrap(), "shop".into());
    let own =
        Offer { service: "shop".into(), version: version("own"), own: "own".into(), misses: None };
    let joined = ledger.change(|shared, now| shared.join(&"a".into(), &[own], 60_000, now)).await;
    let id = joined.unwrap().0.unwrap();
    let state = "select state, leases from wasm_host.applications";
    let before = server.sql(state);
    let renewed = ledger.change(|shared, now| shared.renew(id, 90_000, now)).await.unwrap();
    renewed.0.unwrap();
    let after = server.sql(state);
    let of = |row: &str| row.rsplit_once('|').map(|(state, _)| state.to_owned());
    assert_ne!(before, after);
    assert_eq!(of(&before), of(&after));
    assert_eq!(ledger.read().await.unwrap().0, renewed.1);
}

#[tokio::test]
async fn a_replica_that_stops_in_the_middle_does_not_keep_the_others() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let mut ledger = Ledger::new(options.clone(), "shop".into());
    ledger.change(|shared, now| shared.tick(now)).await.unwrap();
    let mut stopped = connect(&options).await.unwrap();
    raw_sql(BEGIN).execute(&mut stopped).await.unwrap();
    locked(&mut stopped, "shop", None).await.unwrap();
    // It waits for the lock until the server ends the session that stands still.
    let joined = ledger.change(|shared, now| shared.join(&"a".into(), &[], 60_000, now)).await;
    joined.unwrap().0.unwrap();
    assert!(raw_sql("commit").execute(&mut stopped).await.is_err());
}

#[tokio::test]
async fn the_newest_uploads_that_are_wanted_by_no_swap_yet_are_there_and_what_serves() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let mut ledger = Ledger::new(options.clone(), "shop".into());
    let own = Offer {
        service: "shop".into(),
        version: version("current"),
        own: "own".into(),
        misses: None,
    };
    let joined = ledger.change(|shared, now| shared.join(&"a".into(), &[own], 60_000, now)).await;
    joined.unwrap().0.unwrap();
    let uploads = Uploads::new(options, "shop".into());
    uploads.put("current", b"it").await.unwrap();
    let count = usize::try_from(limits::COMPONENTS_WAITING).unwrap() + 3;
    for number in 0..count {
        // Each is older than the one after it.
        server.sql("update wasm_host.components set put_ms = put_ms - 1000");
        uploads.put(&format!("upload-{number}"), b"it").await.unwrap();
    }
    // Nothing is removed where the row is locked.
    ledger.change(|shared, now| shared.leave(&"a".into(), now)).await.unwrap();
    let there = "select count(*) from wasm_host.components";
    assert_eq!(server.sql(there), (count + 1).to_string());
    uploads.tidy().await.unwrap();
    let left = server.sql("select digest from wasm_host.components order by put_ms");
    let newest = (3..count).map(|number| format!("upload-{number}"));
    let expected: Vec<String> = ["current".to_owned()].into_iter().chain(newest).collect();
    assert_eq!(left.split_whitespace().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn replicas_are_called_when_an_attempt_begins_and_when_it_is_decided_and_by_no_vote_before() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let mut ledger = Ledger::new(options.clone(), "shop".into());
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        let own = Offer {
            service: "shop".into(),
            version: version("own"),
            own: "own".into(),
            misses: None,
        };
        let joined = ledger.change(|it, now| it.join(&name.into(), &[own], 60_000, now)).await;
        let id = joined.unwrap().0.unwrap();
        let serves = BTreeMap::from([(Arc::from("shop"), 1)]);
        ledger.change(|it, now| it.report(id, &serves, now)).await.unwrap().0.unwrap();
        members.push(id);
    }
    let mut listener = PgListener::connect(&server.url()).await.unwrap();
    listener.listen(CHANNEL).await.unwrap();
    let wanted = Proposal {
        service: "shop".into(),
        base: 1,
        version: version("v1"),
        cause: "test".into(),
        takes_back: false,
    };
    let asked = ledger.change(|it, now| it.propose(members[0], &wanted, 60_000, now)).await;
    let attempt = asked.unwrap().0.unwrap();
    for id in &members {
        let voted = ledger.change(|it, now| it.vote(*id, attempt, Vote::Ready, now)).await;
        voted.unwrap().0.unwrap();
        let serves = BTreeMap::from([(Arc::from("shop"), 1)]);
        ledger.change(|it, now| it.report(*id, &serves, now)).await.unwrap().0.unwrap();
    }
    assert_eq!(ledger.read().await.unwrap().0.lines["shop"].current.number, 2);
    // What comes last tells that there is no more.
    sqlx::query("select pg_notify($1, 'last')")
        .bind(CHANNEL)
        .execute(&mut connect(&options).await.unwrap())
        .await
        .unwrap();
    let mut heard = Vec::new();
    while heard.last().is_none_or(|it| it != "last") {
        heard.push(listener.recv().await.unwrap().payload().to_owned());
    }
    assert_eq!(heard, ["shop", "shop", "last"]);
}

#[tokio::test]
async fn a_pooler_is_told_from_the_database() {
    let server = Postgres::start();
    // One that refuses what it does not know, and one that drops it.
    for more in ["", "ignore_startup_parameters = options"] {
        let pooler = Pooler::start(&server, &format!("pool_mode = transaction\n{more}"));
        let options: PgConnectOptions = pooler.url().parse().unwrap();
        // As a host connects.
        let error = connect(&options.extra_float_digits(None)).await.unwrap_err().to_string();
        assert!(error.contains("name the database itself in 'url'"), "{error}");
        assert!(error.contains("pooler"), "{error}");
    }
}

#[tokio::test]
async fn a_component_is_what_its_digest_says_or_is_not_there() {
    let server = Postgres::start();
    let options: PgConnectOptions = server.url().parse().unwrap();
    let components = Uploads::new(options, "shop".into());
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    components.put(digest, b"hello").await.unwrap();
    assert_eq!(components.get(digest).await.unwrap().unwrap(), b"hello");
    server.sql("update wasm_host.components set bytes = 'other'");
    assert_eq!(components.get(digest).await.unwrap(), None);
    assert_eq!(components.get("unknown").await.unwrap(), None);
    let large = vec![0; limits::COMPONENT_BYTES as usize + 1];
    let error = components.put("large", &large).await.unwrap_err().to_string();
    assert!(error.contains("64 MiB") && error.contains("push it to a registry"), "{error}");
}
