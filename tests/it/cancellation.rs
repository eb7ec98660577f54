//! Promise 4: when a client leaves, what was done for it stops within a second.

mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::models::{CHAT, one_word, words};
use wasm_host_tests::upstream::{Step, Upstream};

/// The promise is a second; the rest is for a busy machine. Anything here would end anyway after half a minute, which
/// is what a call behind an answer has, or later.
const SOON: Duration = Duration::from_secs(10);

fn models(upstream: &Upstream) -> App {
    App::new(
        r#"
name = "cancellation"

[postgres.any]
statement-timeout = "10m"

[ollama.local]

[service.chat]
component = "$(ollama)"
ollama = "local"
route = "/"

[service.holder]
component = "$(holder)"
instances = 1
ollama = "local"
postgres = "any"
"#,
    )
    .env("OLLAMA_HOST", &upstream.url)
}

async fn hung_up(upstream: &Upstream, count: usize, since: Instant) {
    eventually("the upstream to see the close", async || {
        (upstream.hung_up() == count).then_some(())
    })
    .await;
    assert!(since.elapsed() < SOON, "the upstream saw the close after {:?}", since.elapsed());
}

#[tokio::test]
async fn a_chat_whose_client_leaves_is_closed_upstream() {
    let upstream = Upstream::start(|_| one_word()).await;
    let host = models(&upstream).serve().await;
    let mut chat = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
    assert!(chat.next().await.unwrap().is_some());
    let left = Instant::now();
    drop(chat);
    hung_up(&upstream, 1, left).await;
}

#[tokio::test]
async fn a_chat_that_waits_for_its_first_byte_is_closed_upstream() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let host = models(&upstream).serve().await;
    let address = host.address.clone();
    let chat = tokio::spawn(async move {
        client::send(&address, "POST", "/api/chat", &[], CHAT).await;
    });
    eventually("the request upstream", async || (!upstream.requests().is_empty()).then_some(()))
        .await;
    let left = Instant::now();
    chat.abort();
    hung_up(&upstream, 1, left).await;
}

// Fault (Guests): a stream of the model server that is held and not looked at | closes it when the client leaves | - | nothing
#[tokio::test]
async fn a_guest_that_holds_its_stream_is_not_relied_upon() {
    let go_on = Arc::new(Notify::new());
    let (asked, told) = (AtomicUsize::new(0), go_on.clone());
    let upstream = Upstream::start(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => one_word(),
        _ => {
            let mut steps = words(1);
            steps.insert(2, Step::Until(told.clone()));
            steps
        }
    })
    .await;
    let host = models(&upstream).serve().await;
    let mut left_behind = client::open(&host.address, "GET", "/holder/hang", &[], "").await;
    assert_eq!(left_behind.next().await.unwrap().unwrap(), "one");
    let mut neighbour = client::open(&host.address, "GET", "/holder/whole-chat", &[], "").await;
    assert_eq!(neighbour.next().await.unwrap().unwrap(), "one");
    assert_eq!(host.service("holder").await["instances"], 1);
    let left = Instant::now();
    drop(left_behind);
    hung_up(&upstream, 1, left).await;
    // The request that hangs does not hear of it. Its instance is to be given up, but not before the neighbour, whose
    // client is still there, has all of its answer.
    let more = tokio::time::timeout(Duration::from_secs(2), neighbour.next()).await;
    assert!(more.is_err(), "the neighbour was cut off: {more:?}");
    go_on.notify_one();
    let rest = neighbour.rest().await.expect("a whole body");
    assert_eq!(String::from_utf8(rest).unwrap(), "\nwhole\n");
    assert_eq!(upstream.hung_up(), 1);
    // Now it is given up: an instance in which something still runs would never be idle.
    eventually("the end of what hangs", async || {
        (host.service("holder").await["instances"] == 0).then_some(())
    })
    .await;
}

/// Ask for a statement that sleeps, leave, and see that the server has ended it soon.
async fn a_statement_ends_with_its_client(method: &'static str) {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let host = models(&upstream).serve().await;
    let address = host.address.clone();
    let sleep = tokio::spawn(async move {
        client::send(&address, method, "/holder/sleep", &[], "").await;
    });
    let sleeping = async || host.get("/holder/sleeping").await.text().to_string();
    eventually("the statement on the server", async || (sleeping().await == "1").then_some(()))
        .await;
    let left = Instant::now();
    sleep.abort();
    eventually("the statement's end", async || (sleeping().await == "0").then_some(())).await;
    assert!(left.elapsed() < SOON, "the statement went on for {:?}", left.elapsed());
}

#[tokio::test]
async fn a_statement_whose_client_leaves_is_cancelled_on_the_server() {
    a_statement_ends_with_its_client("GET").await;
}

#[tokio::test]
async fn a_head_request_whose_client_leaves_is_no_different() {
    a_statement_ends_with_its_client("HEAD").await;
}

#[tokio::test]
async fn a_statement_is_cancelled_though_its_instance_lives_on() {
    let upstream = Upstream::start(|_| one_word()).await;
    let host = models(&upstream).serve().await;
    // A neighbour in the same instance whose client stays: the instance's end cannot be what cancels.
    let mut neighbour = client::open(&host.address, "GET", "/holder/chat", &[], "").await;
    assert_eq!(neighbour.next().await.unwrap().unwrap(), "one");
    let address = host.address.clone();
    let sleep = tokio::spawn(async move {
        client::send(&address, "GET", "/holder/sleep", &[], "").await;
    });
    let sleeping = async || host.get("/holder/sleeping").await.text().to_string();
    eventually("the statement on the server", async || (sleeping().await == "1").then_some(()))
        .await;
    assert_eq!(host.service("holder").await["instances"], 1);
    sleep.abort();
    eventually("the statement's end", async || (sleeping().await == "0").then_some(())).await;
    assert_eq!(host.service("holder").await["instances"], 1);
    drop(neighbour);
}

/// Ask, leave when the service's only instance is there, and see that it ends soon.
async fn an_instance_ends_with_its_client(host: &Host, service: &str, path: &'static str) {
    let address = host.address.clone();
    let asked = tokio::spawn(async move {
        client::send(&address, "GET", path, &[], "").await;
    });
    let instances = async |count: u64| {
        eventually("as many instances", async || {
            (host.service(service).await["instances"] == count).then_some(())
        })
        .await;
    };
    instances(1).await;
    let left = Instant::now();
    asked.abort();
    instances(0).await;
    assert!(left.elapsed() < SOON, "the guest went on for {:?}", left.elapsed());
}

#[tokio::test]
async fn what_a_service_asked_of_another_ends_with_its_client() {
    let app = App::new(
        r#"
name = "cancellation"

[service.outer]
component = "$(hostile)"
services = ["inner"]

[service.inner]
component = "$(hostile)"
cpu-timeout = "10m"
"#,
    );
    let host = app.serve().await;
    // A neighbour keeps the outer instance alive.
    let mut neighbour = client::open(&host.address, "GET", "/outer/drip", &[], "").await;
    assert!(neighbour.next().await.unwrap().is_some());
    an_instance_ends_with_its_client(&host, "inner", "/outer/call?inner/loop").await;
    drop(neighbour);
}

#[tokio::test]
async fn an_answer_that_another_service_holds_unread_ends_with_its_timeout() {
    let app = App::new(
        r#"
name = "cancellation"

[service.outer]
component = "$(hostile)"
services = ["inner"]
stream-idle-timeout = "10m"

[service.inner]
component = "$(hostile)"
timeout = "2s"
stream-idle-timeout = "10m"
"#,
    );
    let host = app.serve().await;
    let mut outer =
        client::open(&host.address, "GET", "/outer/call-and-hold?inner/drip", &[], "").await;
    assert_eq!(outer.next().await.unwrap().unwrap(), "called");
    eventually("the end of the inner one", async || {
        (host.service("inner").await["in_flight"] == 0).then_some(())
    })
    .await;
    assert_eq!(host.service("outer").await["in_flight"], 1);
    host.logs("'timeout' sets the bound").await;
}

#[tokio::test]
async fn a_transaction_left_open_is_nobody_elses() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let host = models(&upstream).serve().await;
    for _ in 0..8 {
        assert_eq!(host.get("/holder/begin").await.text(), "Ok(0)\n", "{}", host.log());
    }
    // A rollback follows its answer.
    eventually("every connection to be back", async || {
        (host.calls("postgres.any").await == 0).then_some(())
    })
    .await;
    // Whether idle on a connection of the pool or handed to this request: it would be old by now.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..8 {
        assert_eq!(host.get("/holder/old-transactions").await.text(), "0");
    }
}

#[tokio::test]
async fn an_instance_whose_clients_have_all_left_is_ended() {
    let app = App::new(
        r#"
name = "cancellation"

[service.guest]
component = "$(hostile)"
route = "/"
cpu-timeout = "10m"
"#,
    );
    let host = app.serve().await;
    an_instance_ends_with_its_client(&host, "guest", "/loop").await;
}

// Fault (Guests): a call that is forgotten beside a neighbour | ends it after a while | its answer; its neighbours: theirs | the call
#[tokio::test]
async fn a_call_that_was_forgotten_ends_beside_a_neighbour_that_goes_on() {
    let upstream = Upstream::start(|_| one_word()).await;
    let host = models(&upstream).serve().await;
    // There is one instance.
    let mut neighbour = client::open(&host.address, "GET", "/holder/chat", &[], "").await;
    assert_eq!(neighbour.next().await.unwrap().unwrap(), "one");
    let asked = Instant::now();
    assert_eq!(host.get("/holder/forget-chat").await.text(), "answered\n");
    eventually("the call", async || (upstream.requests().len() == 2).then_some(())).await;
    eventually("its end", async || (upstream.hung_up() == 1).then_some(())).await;
    // What a guest does behind its answer has its time, and no less.
    assert!(asked.elapsed() >= Duration::from_secs(30), "after {:?}", asked.elapsed());
    let more = tokio::time::timeout(Duration::from_secs(1), neighbour.next()).await;
    assert!(more.is_err(), "the neighbour was cut off: {more:?}");
}
