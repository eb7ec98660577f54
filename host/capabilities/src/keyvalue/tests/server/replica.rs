//! A Redis server that another one has taken the place of, that cannot write, or that is one of a cluster.

use super::*;
use wasm_host_limits::keyvalue::{REDIS_AGE, REDIS_IDLE};
use wasm_host_tests::eventually;
use wasm_host_tests::proxy::{Damage, Plan, Proxy};

async fn set(bucket: &RedisBucket, text: &str) -> Result<(), Error> {
    bucket.set("a".into(), value(text), request()).await
}

fn unavailable(result: Result<(), Error>) -> String {
    let error = result.unwrap_err();
    let Error::Unavailable(why) = error else { panic!("{error:?}") };
    why
}

#[tokio::test]
async fn a_name_that_is_moved_to_another_server_is_followed() {
    let (first, second) = (Redis::start(), Redis::start());
    let name = Proxy::start(&first.address()).await;
    let bucket = redis(&format!("redis://{}", name.address));
    set(&bucket, "x").await.unwrap();
    first.ask(&["replicaof", "127.0.0.1", second.address().rsplit_once(':').unwrap().1]);
    // The connection is open, and reads are answered.
    let told = bucket.check().await.unwrap_err();
    assert!(told.to_string().contains("is a replica of another one"), "{told}");
    name.set(Plan { moved_to: Some(second.address()), ..Plan::default() });
    bucket.check().await.unwrap();
    set(&bucket, "y").await.unwrap();
    assert_eq!(second.ask(&["get", "b*[:a"]), "y");
}

/// A name may have been moved while what it stood for goes on answering.
#[tokio::test]
async fn a_connection_that_is_old_is_made_anew_also_where_it_is_never_idle() {
    let server = Redis::start();
    let name = Proxy::start(&server.address()).await;
    let bucket = redis(&format!("redis://{}", name.address));
    let mut age = Duration::ZERO;
    let step = REDIS_IDLE - Duration::from_secs(1);
    while age < REDIS_AGE {
        set(&bucket, "x").await.unwrap();
        assert_eq!(name.accepted(), 1, "after {age:?}");
        tokio::time::pause();
        tokio::time::advance(step).await;
        tokio::time::resume();
        age += step;
    }
    set(&bucket, "x").await.unwrap();
    assert_eq!(name.accepted(), 2);
}

#[tokio::test]
async fn a_write_that_a_replica_refuses_ends_all_connections_to_it() {
    let (first, second) = (Redis::start(), Redis::start());
    let name = Proxy::start(&first.address()).await;
    let bucket = redis(&format!("redis://{}", name.address));
    // Two connections, of which one is in a call when the other is told.
    let slow = Damage { delay: Duration::from_millis(50), ..Damage::default() };
    name.set(Plan { down: slow, ..Plan::default() });
    let (one, two) = tokio::join!(set(&bucket, "x"), set(&bucket, "x"));
    one.unwrap();
    two.unwrap();
    assert_eq!(name.accepted(), 2);
    first.ask(&["replicaof", "127.0.0.1", second.address().rsplit_once(':').unwrap().1]);
    let (write, read) = tokio::join!(set(&bucket, "y"), get(&bucket));
    assert!(unavailable(write).contains("is a replica of another one"));
    drop(read);
    let closed = async || (name.open() == 0).then_some(());
    eventually("the end of the connections to the replica", closed).await;
    name.set(Plan { moved_to: Some(second.address()), ..Plan::default() });
    set(&bucket, "y").await.unwrap();
    assert!(!bucket.breaker().is_open);
}

#[tokio::test]
async fn a_script_that_a_replica_refuses_is_told_as_a_write_is() {
    let (first, second) = (Redis::start(), Redis::start());
    let bucket = redis(&first.url());
    set(&bucket, "x").await.unwrap();
    first.ask(&["replicaof", "127.0.0.1", second.address().rsplit_once(':').unwrap().1]);
    let swap = bucket.swap("b".into(), None, value("y"), request()).await;
    assert!(unavailable(swap.map(drop)).contains("is a replica of another one"));
    // It is the first one again.
    first.ask(&["replicaof", "no", "one"]);
    assert_eq!(bucket.swap("b".into(), None, value("y"), request()).await, Ok(true));
}

#[tokio::test]
async fn a_server_that_cannot_write_says_so_also_where_it_is_asked_how_it_is() {
    let server = Redis::start();
    let bucket = redis(&server.url());
    set(&bucket, "x").await.unwrap();
    server.ask(&["config", "set", "min-replicas-to-write", "1"]);
    assert!(unavailable(set(&bucket, "y").await).contains("is not ready: "));
    assert!(unavailable(bucket.check().await).contains("is not ready: "));
    server.ask(&["config", "set", "min-replicas-to-write", "0"]);
    bucket.check().await.unwrap();
    server.ask(&["config", "set", "maxmemory", "1"]);
    let full = set(&bucket, "y").await.unwrap_err();
    assert!(matches!(&full, Error::Full(why) if why.contains("'maxmemory'")), "{full:?}");
    server.ask(&["config", "set", "maxmemory", "0"]);
    set(&bucket, "y").await.unwrap();
}

#[tokio::test]
async fn a_server_of_a_cluster_is_told_as_one() {
    let server = Redis::in_a_cluster();
    let bucket = redis(&server.url());
    assert!(unavailable(bucket.check().await).contains("is one of a cluster"));
    // It has all keys, so that one by one they can be had.
    eventually("its own view of the cluster", async || set(&bucket, "x").await.ok()).await;
    let many = bucket.get_many(["a", "b", "c"].map(str::to_owned).to_vec(), request()).await;
    assert!(unavailable(many.map(drop)).contains("is one of a cluster"));
}

#[tokio::test]
async fn connections_that_take_longer_than_their_calls_are_told_to_the_breaker() {
    let server = Redis::start();
    let proxy = Proxy::start(&server.address()).await;
    let limits =
        RedisLimits { connect_timeout: Duration::from_millis(200), ..RedisLimits::default() };
    let short = Runs::new(BucketAddress::on_redis("b", "server", 1), Duration::from_millis(20));
    let bucket = redis_within(short, &format!("redis://{}", proxy.address), limits);
    let stalled = Damage { stalled: true, ..Damage::default() };
    proxy.set(Plan { up: stalled, ..Plan::default() });
    let error = set(&bucket, "x").await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error:?}");
    eventually("the breaker", async || {
        let error = set(&bucket, "x").await.unwrap_err().to_string();
        error.contains("calls fail at once").then_some(())
    })
    .await;
    proxy.heal();
    eventually("the server", async || set(&bucket, "x").await.ok()).await;
}
