//! A Redis server that goes away, that encrypts, or that is another one than it should be.

use super::*;
use wasm_host_tests::proxy::{Plan, Proxy};
use wasm_host_tests::redis::PASSWORD;
use wasm_host_tests::tls::Authority;
use wasm_host_tests::{client, eventually};

async fn ready(host: &Host) -> (u16, String) {
    let reply = client::send(&host.admin, "GET", "/ready", &[], "").await;
    (reply.status.as_u16(), reply.text().to_owned())
}

// Fault (Databases): a Redis server that is stopped and comes back | fails calls at once while it is away, and tells it at `/ready` | an error | nothing of what was answered
#[tokio::test]
async fn a_server_that_is_stopped_and_comes_back_is_used_again() {
    let mut server = Redis::start();
    // Calls themselves do not try it again in the time of this test.
    let keys = format!(
        "{}\nbreaker-failures = 2\nbreaker-wait = \"5m\"\nbreaker-wait-max = \"5m\"",
        of_redis(&server)
    );
    let host = app(&keys).serve().await;
    assert_eq!(put(&host, "a", "tea").await.status, 200);
    server.stop();
    let told = eventually("the breaker", async || {
        let (status, told) = text(&host, "GET", "/carts/a", "").await;
        assert_eq!(status, 503, "{told}");
        told.contains("calls fail at once until it can").then_some(told)
    })
    .await;
    assert!(told.contains("the Redis server of the bucket carts cannot be reached"), "{told}");
    let (_, told) = ready(&host).await;
    assert!(told.contains("the Redis server of the bucket carts cannot be reached"), "{told}");
    // One that is open lets no call try.
    for _ in 0..20 {
        let (status, told) = text(&host, "GET", "/carts/a", "").await;
        assert_eq!(status, 503);
        assert!(told.contains("calls fail at once until it can"), "{told}");
    }
    server.resume();
    // It is asked whenever the host is asked how it is.
    eventually("the server's return", async || {
        let (_, told) = ready(&host).await;
        (!told.contains("carts")).then_some(())
    })
    .await;
    assert_eq!(text(&host, "GET", "/carts/a", "").await, ok("tea"));
    let (_, log) = host.stop().await;
    assert!(log.contains("the Redis server of the bucket carts can be reached again"), "{log}");
}

// Fault (Databases): a Redis server that becomes the replica of another one | closes its connections, and follows the name to the other one | an error | nothing of what was answered
#[tokio::test]
async fn a_server_that_becomes_a_replica_is_left_for_the_one_that_its_name_stands_for() {
    let (first, second) = (Redis::start(), Redis::start());
    let name = Proxy::start(&first.address()).await;
    let host = app(&format!("url = \"redis://{}\"", name.address)).serve().await;
    assert_eq!(put(&host, "a", "tea").await.status, 200);
    first.ask(&["replicaof", "127.0.0.1", second.address().rsplit_once(':').unwrap().1]);
    let reply = put(&host, "a", "lost").await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("is a replica of another one"), "{}", reply.text());
    let (_, told) = ready(&host).await;
    assert!(told.contains("is a replica of another one"), "{told}");
    name.set(Plan { moved_to: Some(second.address()), ..Plan::default() });
    assert_eq!(put(&host, "a", "coffee").await.status, 200);
    assert_eq!(second.ask(&["get", "buckets:carts:a"]), "coffee");
    let (_, told) = ready(&host).await;
    assert!(!told.contains("carts"), "{told}");
}

fn with_ca(keys: &str, pem: &str) -> App {
    let app = app(&format!("{keys}\nca = \"ca.pem\""));
    std::fs::write(app.path().join("ca.pem"), pem).unwrap();
    app
}

// Fault (Hosts outside): a Redis server that proves another name | sends nothing | an error | nothing
#[tokio::test]
async fn a_server_that_proves_another_name_is_sent_nothing() {
    let authority = Authority::new();
    let server = Redis::with_tls(&authority.sign(&["cache.example"]));
    let host = with_ca(&format!("url = \"{}\"", server.url()), &authority.pem).serve().await;
    let (status, told) = text(&host, "PUT", "/carts/a", "earl-grey").await;
    assert_eq!(status, 503);
    assert!(told.contains("cannot be reached: invalid peer certificate"), "{told}");
    assert!(told.contains("not valid for name"), "{told}");
    assert_eq!(server.ask(&["dbsize"]), "0");
}

#[tokio::test]
async fn a_server_is_used_on_the_word_of_an_authority_that_the_file_names() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Redis::with_tls(&authority.sign(&["127.0.0.1"]));
    let proxy = Proxy::start(&server.address()).await;
    let keys = format!("url = \"rediss://{}\"", proxy.address);
    let host = with_ca(&keys, &authority.pem).serve().await;
    assert_eq!(put(&host, "a", "earl-grey").await.status, 200);
    assert_eq!(text(&host, "GET", "/carts/a", "").await, ok("earl-grey"));
    assert_eq!(server.ask(&["get", "buckets:carts:a"]), "earl-grey");
    for sent in [proxy.sent_up(), proxy.sent_down()] {
        assert!(!String::from_utf8_lossy(&sent).contains("earl-grey"));
    }
    // Another authority's word, and none at all.
    for app in [with_ca(&keys, &other.pem), app(&keys)] {
        let host = app.serve().await;
        let (status, told) = text(&host, "GET", "/carts/a", "").await;
        assert_eq!(status, 503);
        assert!(told.contains("cannot be reached: invalid peer certificate"), "{told}");
    }
}

#[tokio::test]
async fn a_password_is_sent_to_the_server_and_shown_nowhere() {
    let server = Redis::with_password();
    let keys = format!("url = \"redis://:${{REDIS_PASSWORD}}@{}/2\"", server.address());
    for (password, status) in [(PASSWORD, 200), ("wr0ng-of-nobody", 503)] {
        let app = app(&keys).env("REDIS_PASSWORD", password);
        let host = app.serve().await;
        let reply = put(&host, "a", "tea").await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(!reply.text().contains("of-nobody"), "{}", reply.text());
        let (_, log) = host.stop().await;
        assert!(!log.contains("of-nobody"), "{log}");
    }
    assert_eq!(server.ask(&["-n", "2", "get", "buckets:carts:a"]), "tea");
}
