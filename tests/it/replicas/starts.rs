//! What a replica serves that starts, and what a rollback goes to.

use std::time::{Duration, Instant};

use wasm_host_tests::postgres::pooler::Pooler;
use wasm_host_tests::tls::Authority;

use super::*;

fn rewrite(app: &App, from: &str, to: &str) {
    let path = app.path().join("wasm-host.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // The file names components by where they are.
    let (from, to) = (component(from), component(to));
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn what_was_swapped_in_serves_after_all_have_stopped_unless_the_file_was_built_since() {
    let server = Postgres::start();
    let apps = [app(&server.url()), app(&server.url())];
    let hosts = [apps[0].serve().await, apps[1].serve().await];
    for host in &hosts {
        is_ready(host).await;
    }
    let reply = hosts[0].swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    comes_to_answer(&hosts[1], "two").await;
    for host in hosts {
        host.stop().await;
    }
    // One without any memory of its own.
    let fresh = app(&server.url()).serve().await;
    is_ready(&fresh).await;
    assert!(fresh.get("/").await.text().contains("two"));
    fresh.stop().await;

    rewrite(&apps[0], "version-one", "version-slow");
    let built = apps[0].serve().await;
    is_ready(&built).await;
    assert!(built.get("/").await.text().contains("slow"));
    // The other one has what was there before, and takes what serves.
    let other = apps[1].serve().await;
    is_ready(&other).await;
    assert!(other.get("/").await.text().contains("slow"));
    all_serve(&other, 2, 3).await;
}

#[tokio::test]
async fn what_was_built_since_is_told_of_where_others_serve_and_serves_when_it_is_swapped_in() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    is_ready(&first).await;
    let built = app_with(&server.url(), "serve", "version-two", "").serve().await;
    is_ready(&built).await;
    assert!(built.get("/").await.text().contains("one"));
    built.logs("it serves when it is swapped in, as with `wasm-host swap app FILE`").await;
    let reply = built.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    comes_to_answer(&first, "two").await;
}

#[tokio::test]
async fn a_rollback_is_known_to_a_replica_that_came_later() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    is_ready(&first).await;
    let reply = first.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    // Itself it would go back to its own file.
    let late = app_with(&server.url(), "serve", "version-slow", "").serve().await;
    is_ready(&late).await;
    let by = name(&first).await;
    let history = late.history("app").await;
    let cause = history.last().unwrap()["cause"].as_str().unwrap();
    assert!(cause.ends_with(&format!(", by {by} (generation 2)")), "{cause}");
    let reply = late.ask("POST", "/services/app/rollback", &[], "").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for host in [&first, &late] {
        comes_to_answer(host, "one").await;
    }
    let history = first.history("app").await;
    let cause = history.last().unwrap()["cause"].as_str().unwrap();
    assert!(cause.ends_with(&format!("by {}", name(&late).await)), "{cause}");
}

// Fault (Replicas): a host starts while their database is away | is `joining` in `/ready`, with the reason, until it is back | 503 | nothing
#[tokio::test]
async fn a_host_that_finds_no_database_is_joining_and_says_why() {
    let mut server = Postgres::start();
    let url = server.url();
    server.crash();
    let host = app(&url).serve().await;
    let reply = host.get("/").await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    eventually("the reason", async || {
        let reply = host.ask("GET", "/ready", &[], "").await;
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert_eq!(reply.json()["status"], "joining");
        let reason = reply.json()["reason"].as_str().unwrap_or_default().to_owned();
        reason.contains("the database of [replicas] cannot be reached").then_some(())
    })
    .await;
    server.resume();
    is_ready(&host).await;
    assert_eq!(host.ask("GET", "/ready", &[], "").await.status, 200);
}

// Fault (Replicas): a replica that came later is asked to go back, and all have served one version only | says that there is none | their version | nothing
#[tokio::test]
async fn a_replica_that_came_later_does_not_go_back_to_what_no_other_served() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    is_ready(&first).await;
    let late = app_with(&server.url(), "serve", "version-slow", "").serve().await;
    is_ready(&late).await;
    let reply = late.ask("POST", "/services/app/rollback", &[], "").await;
    assert_eq!(reply.status, 409, "{}", reply.text());
    for host in [&first, &late] {
        assert!(host.get("/").await.text().contains("one"));
    }
}

// Fault (Replicas): a version that has served for long fails on a replica that came later | serves on: it is not on trial again | its answers | nothing
#[tokio::test]
async fn a_replica_that_came_later_does_not_take_back_what_serves() {
    let server = Postgres::start();
    let first = app(&server.url()).serve().await;
    is_ready(&first).await;
    let reply = first.swap("app", "", version("trapping")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let late = app(&server.url()).serve().await;
    eventually("it is ready", async || {
        (late.ask("GET", "/ready", &[], "").await.status == 200).then_some(())
    })
    .await;
    // For longer than it takes to see that answers are errors.
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        late.get("/").await;
    }
    let history = late.history("app").await;
    assert!(history.iter().all(|it| it["verdict"] != "taken-back"), "{history:?}");
    all_serve(&first, 2, 2).await;
}

// Fault (Replicas): their database is behind a pooler that keeps transactions only | is `joining` in `/ready`, and says so | 503 | nothing
#[tokio::test]
async fn a_host_whose_decisions_go_by_a_pooler_says_so() {
    let server = Postgres::start();
    let pooler = Pooler::start(&server, "pool_mode = transaction");
    let host = app(&pooler.url()).serve().await;
    eventually("the reason", async || {
        let reply = host.ask("GET", "/ready", &[], "").await;
        assert_eq!(reply.status, 503, "{}", reply.text());
        let reason = reply.json()["reason"].as_str().unwrap_or_default().to_owned();
        reason.contains("name the database itself in 'url', not a pooler").then_some(())
    })
    .await;
}

// Fault (Replicas): their database proves another name | is `joining` in `/ready`, with the reason | 503 | nothing
#[tokio::test]
async fn a_database_that_cannot_prove_who_it_is_decides_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mut server = Postgres::start();
    let identity = authority.sign(&["127.0.0.1"]);
    server.encrypt(&identity.certificate, &identity.key);
    let url = format!("{}\"\nca = \"ca.pem", server.url());
    let with = |pem: &str| {
        let app = app(&url);
        std::fs::write(app.path().join("ca.pem"), pem).unwrap();
        app
    };
    let host = with(&other.pem).serve().await;
    eventually("the reason", async || {
        let ready = host.ask("GET", "/ready", &[], "").await;
        ready.text().contains("its certificate is not trusted").then_some(())
    })
    .await;
    assert_eq!(host.get("/").await.status, 503);

    let host = with(&authority.pem).serve().await;
    is_ready(&host).await;
    let reply = host.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let plain = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) \
                 where not ssl and client_addr is not null and pid <> pg_backend_pid()";
    assert_eq!(server.sql(plain), "0");
}
