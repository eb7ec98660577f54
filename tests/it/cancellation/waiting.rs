//! Promise 4 in its details: whatever a request was waiting for when its client left, nothing of it is left.

use std::time::{Duration, Instant};

use wasm_host_tests::guests::{neighbour_is_well, nothing_in_flight, patient_guests};
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::hostile::{Raw, request};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::proxy::{Damage, Plan, Proxy};
use wasm_host_tests::upstream::{Step, Upstream, chunk, ndjson_head};
use wasm_host_tests::{client, eventually};

/// The promise is a second; the rest is for busy machines. Far below the time after which work without a
/// client would be ended anyway.
const SOON: Duration = Duration::from_secs(10);

/// Ask, and leave when the request has begun. Answers with when that was.
async fn ask_and_leave(
    host: &Host,
    service: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Instant {
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request(method, path, body)).await.unwrap();
    eventually("the request to run", async || {
        (host.service(service).await["in_flight"].as_u64() >= Some(1)).then_some(())
    })
    .await;
    raw.reset();
    Instant::now()
}

fn was_soon(left: Instant) {
    let took = left.elapsed();
    println!("everything had ended {took:?} after the client left");
    assert!(took < SOON, "it took {took:?}");
}

async fn queued(host: &Host, count: u64) {
    eventually("the queue", async || {
        (host.service("greedy").await["queued"] == count).then_some(())
    })
    .await;
}

// Fault (Clients): a client that leaves the queue | gives its place to the next | - | nothing
#[tokio::test]
async fn a_client_that_leaves_the_queue_gives_up_its_place() {
    let host = patient_guests("concurrent = 1\nqueue = 1").serve().await;
    let mut holder = client::open(&host.address, "GET", "/greedy/endless", &[], "").await;
    assert!(holder.next().await.unwrap().is_some());
    // The one place in the queue is taken and left again and again.
    for _ in 0..20 {
        let mut raw = Raw::connect(&host.address).await;
        raw.send(request("GET", "/greedy/", "")).await.unwrap();
        queued(&host, 1).await;
        raw.reset();
        queued(&host, 0).await;
    }
    // Once the last of them is noticed, somebody can wait in it again.
    let waiting = eventually("a place in the queue", async || {
        let address = host.address.clone();
        let asked = async move { client::send(&address, "GET", "/greedy/", &[], "").await };
        let mut waiting = tokio::spawn(asked);
        let queued = eventually("the queue to have it", async || {
            (host.service("greedy").await["queued"] == 1).then_some(())
        });
        tokio::select! {
            biased;
            _ = &mut waiting => None,
            () = queued => Some(waiting),
        }
    })
    .await;
    drop(holder);
    let reply = waiting.await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

// Fault (Clients): a client that leaves a loop | ends the instance | - | nothing
#[tokio::test]
async fn a_client_that_leaves_a_loop_ends_it() {
    // Its client's leaving ends it and nothing else.
    let host = patient_guests("cpu-timeout = \"10m\"").serve().await;
    let left = ask_and_leave(&host, "greedy", "GET", "/greedy/work?100000000", "").await;
    nothing_in_flight(&host, "greedy").await;
    eventually("the instance's end", async || {
        (host.service("greedy").await["instances"] == 0).then_some(())
    })
    .await;
    was_soon(left);
    neighbour_is_well(&host).await;
}

/// Leave a chat whose model server got so far, and see that its call is closed.
async fn a_call_is_closed(script: Vec<Step>) {
    let upstream = Upstream::start(move |_| script.clone()).await;
    let host = backends(&upstream.url, "postgres://app@127.0.0.1:1/none").serve().await;
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", "/chat", "")).await.unwrap();
    eventually("the call", async || (upstream.requests().len() == 1).then_some(())).await;
    raw.reset();
    let left = Instant::now();
    eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;
    no_call_is_left(&host).await;
    was_soon(left);
}

// Fault (Clients): a client that leaves before the model answers | closes the call | - | nothing
#[tokio::test]
async fn a_client_that_leaves_before_the_model_answers_closes_the_call() {
    a_call_is_closed(vec![Step::Hold]).await;
}

// Fault (Clients): a client that leaves a stalled model | closes the call | - | nothing
#[tokio::test]
async fn a_client_that_leaves_a_stalled_model_closes_the_call() {
    let half = Step::Send(chunk(b"{\"message\":"));
    a_call_is_closed(vec![Step::Send(ndjson_head()), half, Step::Hold]).await;
}

// Fault (Clients): a client that leaves a transaction | cancels the statement, rolls back | - | nothing
#[tokio::test]
async fn a_client_that_leaves_a_transaction_rolls_it_back() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let postgres = Postgres::start();
    postgres.sql("create table left_open(x int)");
    let host = backends(&upstream.url, &postgres.url()).serve().await;
    let statements = "insert into left_open values (1)\nselect pg_sleep(603)";
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("POST", "/transaction", statements)).await.unwrap();
    let running = || {
        postgres.sql("select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(603)%' and pid <> pg_backend_pid()")
    };
    eventually("the statement", async || (running() == "1").then_some(())).await;
    raw.reset();
    let left = Instant::now();
    eventually("the statement's end", async || (running() == "0").then_some(())).await;
    no_call_is_left(&host).await;
    was_soon(left);
    assert_eq!(postgres.sql("select count(*) from left_open"), "0");
    assert_eq!(
        postgres.sql("select count(*) from pg_stat_activity where state like 'idle in%'"),
        "0"
    );
}

// Fault (Clients): a client that leaves while the database is silent | gives the connection up | - | nothing
#[tokio::test]
async fn a_client_that_leaves_while_the_database_is_silent_leaves_no_call() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let postgres = Postgres::start();
    let proxy = Proxy::start(&postgres.address()).await;
    let url = format!("postgres://app@{}/postgres", proxy.address);
    let host = backends(&upstream.url, &url).serve().await;
    assert_eq!(host.send("POST", "/query", "select 1").await.status, 200);
    let pulled = Damage { stalled: true, ..Damage::default() };
    proxy.set(Plan { up: pulled.clone(), down: pulled, refuse: false, moved_to: None });
    let left = ask_and_leave(&host, "reporter", "POST", "/query", "select 2").await;
    // The server cannot be told; the connection is given up instead.
    no_call_is_left(&host).await;
    was_soon(left);
    proxy.heal();
    eventually("the database", async || {
        (host.send("POST", "/query", "select 1").await.status == 200).then_some(())
    })
    .await;
}

// Fault (Clients): a client that leaves an open transaction while the database is silent | gives the connection up | - | nothing
#[tokio::test]
async fn a_client_that_leaves_an_idle_transaction_while_the_database_is_silent_gives_its_place_back()
 {
    let postgres = Postgres::start();
    let proxy = Proxy::start(&postgres.address()).await;
    let app = App::new(
        r#"
name = "departures"

[postgres.any]
url = "${DB_URL}"
pool = 1
statement-timeout = "10m"

[ollama.nowhere]
url = "http://127.0.0.1:1"

[service.holder]
component = "$(holder)"
route = "/"
postgres = "any"
ollama = "nowhere"
"#,
    );
    let url = format!("postgres://app@{}/postgres", proxy.address);
    let host = app.env("DB_URL", &url).serve().await;
    let mut held = client::open(&host.address, "GET", "/transaction", &[], "").await;
    assert_eq!(held.next().await.unwrap().unwrap(), "Ok(1)");
    let pulled = Damage { stalled: true, ..Damage::default() };
    proxy.set(Plan { up: pulled.clone(), down: pulled, refuse: false, moved_to: None });
    drop(held);
    let left = Instant::now();
    eventually("the place", async || (host.calls("postgres.any").await == 0).then_some(())).await;
    was_soon(left);
    proxy.heal();
    eventually("the database", async || (host.get("/sleeping").await.status == 200).then_some(()))
        .await;
}

fn backends(model: &str, database: &str) -> App {
    App::new(
        r#"
name = "departures"

[postgres.any]
url = "${DB_URL}"

[ollama.local]

[service.reporter]
component = "$(reporter)"
route = "/"
postgres = "any"
ollama = "local"

[service.good]
component = "$(hello-p3)"
"#,
    )
    .env("OLLAMA_HOST", model)
    .env("DB_URL", database)
}

async fn no_call_is_left(host: &Host) {
    nothing_in_flight(host, "reporter").await;
    for backend in ["ollama.local", "postgres.any"] {
        eventually("no call to be left", async || (host.calls(backend).await == 0).then_some(()))
            .await;
    }
    neighbour_is_well(host).await;
}
