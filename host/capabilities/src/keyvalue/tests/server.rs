//! A Redis server that goes away, is silent, or says no.

mod replica;

use std::time::{Duration, Instant};

use super::*;
use crate::keyvalue::backend::Error;
use wasm_host_tests::redis::PASSWORD;

async fn get(bucket: &RedisBucket) -> Result<Option<Value>, Error> {
    bucket.get("a".into(), request()).await
}

/// Call until it is answered.
async fn healed(bucket: &RedisBucket) -> Option<Value> {
    let began = Instant::now();
    loop {
        match get(bucket).await {
            Ok(value) => return value,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn calls_of_a_server_that_is_gone_fail_at_once_and_are_answered_when_it_is_back() {
    let mut server = Redis::start();
    let bucket = redis(&server.url());
    bucket.set("a".into(), value("x"), request()).await.unwrap();
    server.stop();
    let mut failures = Vec::new();
    while !bucket.breaker().is_open {
        let error = get(&bucket).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        failures.push(error.to_string());
        assert!(failures.len() < 10, "{failures:?}");
    }
    assert!(bucket.check().await.is_err());
    server.resume();
    assert_eq!(healed(&bucket).await, Some(value("x")));
    assert!(!bucket.breaker().is_open);
    assert_eq!(bucket.breaker().openings, 1);
    bucket.check().await.unwrap();
}

#[tokio::test]
async fn a_restart_between_two_calls_is_not_noticed_when_the_connection_was_idle() {
    let mut server = Redis::start();
    let bucket = redis(&server.url());
    bucket.set("a".into(), value("x"), request()).await.unwrap();
    server.stop();
    server.resume();
    // After this a connection is asked for a sign of life.
    tokio::time::sleep(wasm_host_limits::keyvalue::REDIS_CHECK_AFTER).await;
    assert_eq!(get(&bucket).await, Ok(Some(value("x"))));
}

#[tokio::test]
async fn a_server_that_is_silent_is_waited_for_as_long_as_its_table_says() {
    let server = Redis::start();
    let short = Duration::from_millis(100);
    let limits =
        RedisLimits { connect_timeout: short, acquire_timeout: short, ..RedisLimits::default() };
    let bucket = redis_with(&server.url(), limits);
    server.freeze();
    // Its system accepts the connection, and nothing logs in.
    let error = get(&bucket).await.unwrap_err();
    assert!(error.to_string().contains("has not answered in 100ms ('connect-timeout')"), "{error}");
    server.thaw();
    healed(&bucket).await;
}

#[tokio::test]
async fn a_call_that_finds_no_connection_free_is_told_so() {
    let server = Redis::start();
    let short = Duration::from_millis(100);
    let limits = RedisLimits { connections: 1, acquire_timeout: short, ..RedisLimits::default() };
    let bucket = redis_with(&server.url(), limits);
    bucket.set("a".into(), value("x"), request()).await.unwrap();
    server.freeze();
    let first = request();
    let mut waits = Box::pin(bucket.get("a".into(), first.clone()));
    assert!(futures_util::poll!(&mut waits).is_pending());
    let error = get(&bucket).await.unwrap_err();
    assert!(matches!(&error, Error::Busy(why) if why.contains("'pool'")), "{error:?}");
    first.cancel().cancel();
    assert_eq!(waits.await, Err(Error::Cancelled));
    server.thaw();
    assert_eq!(get(&bucket).await, Ok(Some(value("x"))));
}

/// Commands that the document says an account must be allowed.
const ALLOWED: [&str; 13] = [
    "+get",
    "+set",
    "+mset",
    "+mget",
    "+strlen",
    "+exists",
    "+incrby",
    "+unlink",
    "+scan",
    "+ping",
    "+select",
    "+evalsha",
    "+script|load",
];

#[tokio::test]
async fn an_account_needs_no_more_than_the_document_says() {
    let server = Redis::start();
    let account = ["acl", "setuser", "app", "on", ">pa55", "~*"];
    assert_eq!(server.ask(&[&account[..], &ALLOWED].concat()), "OK");
    let bucket = redis(&format!("redis://app:pa55@{}/3", server.address()));
    bucket.check().await.unwrap();
    bucket.set("a".into(), value("1"), request()).await.unwrap();
    bucket.set_many(vec![("b".into(), value("2"))], request()).await.unwrap();
    assert_eq!(bucket.increment("a".into(), 1, request()).await, Ok(2));
    assert_eq!(bucket.exists("a".into(), request()).await, Ok(true));
    assert_eq!(get(&bucket).await, Ok(Some(value("2"))));
    let both = vec!["a".to_owned(), "b".to_owned()];
    assert_eq!(bucket.get_many(both.clone(), request()).await.unwrap().len(), 2);
    assert_eq!(bucket.list_keys(None, request()).await.unwrap().keys.len(), 2);
    assert_eq!(bucket.swap("a".into(), Some(value("2")), value("3"), request()).await, Ok(true));
    bucket.delete_many(both, request()).await.unwrap();
    bucket.delete("a".into(), request()).await.unwrap();
    let document = include_str!("../../../../../docs/keyvalue.md");
    for allowed in ALLOWED {
        let name = allowed.trim_start_matches('+').replace('|', " ").to_uppercase();
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_password_is_given_it() {
    let server = Redis::with_password();
    let url = |password: &str| format!("redis://:{password}@{}/3", server.address());
    let bucket = redis(&url(PASSWORD));
    bucket.set("a".into(), value("x"), request()).await.unwrap();
    assert_eq!(server.ask(&["-n", "3", "get", "b*[:a"]), "x");
    // A server that says no is there: nothing opens.
    let wrong = redis(&url("wrong-pa55w0rd"));
    for _ in 0..3 {
        let error = get(&wrong).await.unwrap_err().to_string();
        assert!(error.contains("refuses the connection"), "{error}");
        assert!(!error.contains("wrong-pa55w0rd"), "{error}");
    }
    assert!(!wrong.breaker().is_open);
}

#[tokio::test]
async fn what_others_keep_on_the_server_stays_theirs() {
    let server = Redis::start();
    let bucket = redis(&server.url());
    for other in ["a", "bX:a", "b*[;a"] {
        server.ask(&["set", other, "another's"]);
    }
    server.ask(&["rpush", "b*[:list", "one"]);
    server.ask(&["set", "b*[:a", "ours"]);
    let page = bucket.list_keys(None, request()).await.unwrap();
    assert_eq!((page.keys, page.cursor), (vec!["a".to_owned()], None));
    let error = bucket.get("list".into(), request()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(why) if why.contains("WRONGTYPE")), "{error:?}");
    // More than a component is given is not read at all.
    server.ask(&["setrange", "b*[:large", "20000000", "x"]);
    let error = bucket.get("large".into(), request()).await.unwrap_err();
    assert!(matches!(&error, Error::Invalid(why) if why.contains("20000001 bytes")), "{error:?}");
}
