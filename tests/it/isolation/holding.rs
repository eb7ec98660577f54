//! Guests that keep a place for ever: bodies without an end, and requests that hang after their client left.

use std::time::Duration;

use wasm_host_tests::host::{App, Host};
use wasm_host_tests::{client, eventually, within};

/// On one thread, so that requests that may share an instance do.
fn guest(bounds: &str) -> App {
    guest_on("threads = 1", bounds)
}

fn guest_on(limits: &str, bounds: &str) -> App {
    App::new(&format!(
        "name = \"holding\"\n[limits]\n{limits}\n[service.guest]\ncomponent = \"$(hostile)\"\nroute = \"/\"\n{bounds}\n"
    ))
}

// Fault (Guests): a body that stands still | ends it after the idle time | a body that is not whole | the request
#[tokio::test]
async fn a_body_that_stands_still_gives_its_place_back() {
    let host = guest("concurrent = 1\nstream-idle-timeout = \"5s\"").serve().await;
    // One that goes on is left alone, for longer than it may stand still.
    let mut drips = client::open(&host.address, "GET", "/drip?350", &[], "").await;
    assert_eq!(drips.rest().await.unwrap().len(), 350 * "drip\n".len());
    let mut held = client::open(&host.address, "GET", "/hold", &[], "").await;
    assert_eq!(held.rest().await, Err(b"one".to_vec()));
    assert_eq!(host.send("POST", "/echo", "x").await.text(), "x");
    host.logs("stood still").await;
    eventually("the count", async || (host.service("guest").await["failed"] == 1).then_some(()))
        .await;
}

#[tokio::test]
async fn a_response_has_so_much_time_in_all_where_the_file_says_so() {
    let host = guest("timeout = \"2s\"").serve().await;
    let mut drips = client::open(&host.address, "GET", "/drip", &[], "").await;
    let rest = within("the end of the time", drips.rest()).await;
    let cut = rest.expect_err("an end that is no end");
    assert!(cut.len() > "drip\n".len(), "{cut:?}");
    assert_eq!(host.get("/silent").await.status, 504);
    assert_eq!(host.send("POST", "/echo", "x").await.text(), "x");
}

/// Let a client leave a request that hangs, beside a neighbour in the same instance that has some seconds to go.
async fn hung_beside_a_neighbour(app: impl Fn() -> App) -> (Host, client::Streaming) {
    let mut attempts = 0;
    let (host, hung, neighbour) = loop {
        attempts += 1;
        assert!(attempts <= 50, "two requests at a time never met in one instance");
        let host = app().serve().await;
        assert_eq!(host.get("/count").await.text(), "1");
        let mut hung = client::open(&host.address, "GET", "/hold", &[], "").await;
        assert_eq!(hung.next().await.unwrap().unwrap(), "one");
        // Where there are two threads, each takes the connection that the other has not.
        let _elsewhere = client::KeepAlive::connect(&host.address).await;
        let mut neighbour = client::open(&host.address, "GET", "/drip?300", &[], "").await;
        assert!(neighbour.next().await.unwrap().is_some());
        // Or the other way round. And on a busy machine one may look as if it computed: the other is given an
        // instance of its own.
        if host.service("guest").await["instances"] == 1 {
            break (host, hung, neighbour);
        }
    };
    drop(hung);
    eventually("it to be missed", async || {
        (host.service("guest").await["cancelled"] == 1).then_some(())
    })
    .await;
    // Longer than the grace of an abandoned request.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    (host, neighbour)
}

// Fault (Guests): a request that hangs when its client has left, or may hang: since then its instance was never idle | gives the instance no more requests, ends it with its last | its neighbours: their answers | nothing
#[tokio::test]
async fn an_instance_with_a_hung_request_takes_no_more_and_its_neighbours_finish() {
    let (host, mut neighbour) =
        hung_beside_a_neighbour(|| guest("instances = 2\nidle = \"10m\"")).await;
    // The old one counts on; a new one begins.
    eventually("a new instance", async || (host.get("/count").await.text() == "1").then_some(()))
        .await;
    assert_eq!(host.get("/count").await.text(), "2", "a request met the old instance again");
    assert_eq!(host.service("guest").await["instances"], 2);
    assert_eq!(neighbour.rest().await.unwrap().len(), 299 * "drip\n".len());
    // The new one stays, as it is told to.
    eventually("the end of the instance", async || {
        (host.service("guest").await["instances"] == 1).then_some(())
    })
    .await;
    let service = host.service("guest").await;
    assert_eq!((&service["cancelled"], &service["failed"]), (&1.into(), &0.into()));
}

// Fault (Guests): the same, where the service may have no other instance | lets it serve on | its answer | nothing
#[tokio::test]
async fn without_room_for_another_an_instance_with_a_hung_request_serves_on() {
    let (host, mut neighbour) =
        hung_beside_a_neighbour(|| guest("instances = 1\nidle = \"10m\"")).await;
    assert_eq!(host.get("/count").await.text(), "2");
    assert_eq!(neighbour.rest().await.unwrap().len(), 299 * "drip\n".len());
}

// Fault (Guests): the same, where the host has no place for another one | lets it serve on | its answer | nothing
#[tokio::test]
async fn without_room_in_the_host_an_instance_with_a_hung_request_serves_on() {
    let app = || guest_on("threads = 1\ninstances = 1", "instances = 2\nidle = \"10m\"");
    let (host, mut neighbour) = hung_beside_a_neighbour(app).await;
    assert_eq!(host.get("/count").await.text(), "2");
    assert_eq!(host.get("/count").await.text(), "3");
    assert_eq!(neighbour.rest().await.unwrap().len(), 299 * "drip\n".len());
}

// Fault (Guests): the same, with a free instance on another thread | gives that one the requests of both threads | its answer | nothing
#[tokio::test]
async fn an_instance_with_a_hung_request_leaves_those_of_its_thread_to_one_elsewhere() {
    let app = || guest_on("threads = 2", "instances = 2\nidle = \"10m\"");
    let (host, neighbour) = hung_beside_a_neighbour(app).await;
    // Those that are open at the same time are spread over both threads.
    let mut connections = Vec::new();
    for _ in 0..6 {
        connections.push(client::KeepAlive::connect(&host.address).await);
    }
    let mut most = 0;
    for number in 0..60 {
        let (status, body) = connections[number % 6].get("/count").await.unwrap();
        assert_eq!(status, 200);
        most = most.max(String::from_utf8(body.to_vec()).unwrap().parse().unwrap());
    }
    drop(neighbour);
    // On a busy machine the new one may look as if it computed, now and then, and the old one is all that is left.
    // Without it, that has no more than half.
    assert!(most > 36, "the new instance had {most} of 60 requests");
}

#[tokio::test]
async fn a_request_counts_in_its_instance_to_the_end_of_its_body() {
    let host = guest("per-instance = 2\nidle = \"10m\"").serve().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = client::open(&host.address, "GET", "/drip", &[], "").await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    let instances = host.service("guest").await["instances"].as_u64().unwrap();
    assert!(instances >= 2, "{instances}");
}

// Fault (Guests): work that pauses, when its client has left | goes on while others are served beside it | its neighbours: their answers | nothing
#[tokio::test]
async fn work_that_pauses_for_a_client_that_left_takes_no_neighbour_with_it() {
    let host = guest("instances = 1").serve().await;
    let mut neighbour = client::open(&host.address, "GET", "/drip?200", &[], "").await;
    assert!(neighbour.next().await.unwrap().is_some());
    let address = host.address.clone();
    let worked = tokio::spawn(async move {
        client::send(&address, "GET", "/work", &[], "").await;
    });
    eventually("the work", async || (host.service("guest").await["in_flight"] == 2).then_some(()))
        .await;
    worked.abort();
    assert_eq!(neighbour.rest().await.unwrap().len(), 199 * "drip\n".len());
}
