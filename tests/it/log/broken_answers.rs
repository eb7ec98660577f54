//! What the log says of answers that break off: a line for each, and no more of them than somebody reads.

use std::collections::BTreeMap;

use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

const BROKEN: &str = "its response broke off";

async fn serve() -> Host {
    let file = "name = \"broken\"\n[service.guest]\ncomponent = \"$(hostile)\"\nroute = \"/\"\n";
    App::new(file).serve().await
}

fn lines(host: &Host) -> Vec<String> {
    let log = host.log();
    let is_one = |line: &&str| line.contains(BROKEN) && !line.contains("left out ");
    log.lines().filter(is_one).map(str::to_string).collect()
}

// Fault (Guests): answers that break off | says each in a line of the log, with the reason | a body that is not whole | the request
#[tokio::test]
async fn an_answer_that_breaks_off_is_one_line_with_service_request_and_reason() {
    let host = serve().await;
    for (path, reason) in
        [("/fail-in-body", "the component ended it with"), ("/trap-in-body", "its instance ended")]
    {
        let before = lines(&host).len();
        let mut stream = client::open(&host.address, "GET", path, &[], "").await;
        assert!(stream.rest().await.is_err());
        let line = eventually("a line", async || lines(&host).get(before).cloned()).await;
        assert!(line.contains("ERROR") && line.contains(reason), "{line}");
        assert!(line.contains("service=guest") && line.contains("request="), "{line}");
        eventually("the end of the request", async || {
            (host.service("guest").await["in_flight"] == 0).then_some(())
        })
        .await;
        assert_eq!(lines(&host).len(), before + 1, "{}", host.log());
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_no_broken_answer() {
    let host = serve().await;
    let mut stream = client::open(&host.address, "GET", "/drip", &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    drop(stream);
    eventually("the client's departure", async || {
        (host.service("guest").await["cancelled"] == 1).then_some(())
    })
    .await;
    let (_, log) = host.stop().await;
    assert!(!log.contains(BROKEN), "{log}");
}

// Fault (Guests): a flood of answers that break off | writes some lines of it in a second, and counts the others | bodies that are not whole | lines of the log
#[tokio::test]
async fn one_client_cannot_flood_the_log_with_answers_that_break_off() {
    const REQUESTS: usize = 600;
    let host = serve().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let address = host.address.clone();
        clients.push(tokio::spawn(async move {
            for _ in 0..REQUESTS / 20 {
                let path = "/fail-in-body";
                let mut stream = client::open(&address, "GET", path, &[], "").await;
                assert!(stream.rest().await.is_err());
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    // Nothing is lost: what is not written is counted.
    eventually("every answer to be told or counted", async || {
        let log = host.log();
        let counts = log.lines().filter_map(|line| line.split_once("left out ")?.1.split_once(' '));
        let left_out: usize = counts.filter_map(|(count, _)| count.parse::<usize>().ok()).sum();
        (lines(&host).len() + left_out == REQUESTS).then_some(())
    })
    .await;
    // Seconds of the clock lie across those that are counted.
    let mut seconds = BTreeMap::<String, usize>::new();
    for line in lines(&host) {
        let second = line.split('.').next().unwrap_or_default().to_string();
        *seconds.entry(second).or_default() += 1;
    }
    assert!(seconds.values().all(|count| *count <= 100), "{seconds:?}");
}
