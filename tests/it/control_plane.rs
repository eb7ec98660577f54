//! The control plane under bad input, slow uploads and crowds; and the public port meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use wasm_host_tests::client::KeepAlive;
use wasm_host_tests::eventually;
use wasm_host_tests::guests::{guests, neighbour_is_well};
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::hostile::Raw;
use wasm_host_tests::seed::Seeded;
use wasm_host_tests::upstream::{Step, Upstream, json};

const SWAP: &str = "/services/good/swap";

async fn nothing_was_replaced(host: &Host) {
    let history = host.history("good").await;
    let mut since = history.iter().filter(|record| record["cause"] != "start");
    assert!(since.all(|record| record["verdict"] != "activated"), "{history:?}");
    neighbour_is_well(host).await;
}

fn upload_head(host: &Host, length: usize) -> String {
    format!(
        "POST {SWAP} HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\ncontent-type: application/wasm\r\ncontent-length: {length}\r\n\r\n",
        host.authorization()
    )
}

// Fault (The control plane and swaps): an upload that is cut off | replaces nothing | - | nothing
#[tokio::test]
async fn an_upload_that_is_cut_off_replaces_nothing() {
    let mut chance = Seeded::new();
    let host = guests("").serve().await;
    let file = std::fs::read(component("hello-p2")).unwrap();
    for _ in 0..5 {
        let sent = chance.between(0, file.len() - 1);
        let mut raw = Raw::connect(&host.admin).await;
        raw.send(upload_head(&host, file.len())).await.unwrap();
        raw.send(&file[..sent]).await.unwrap();
        if chance.between(0, 1) == 0 { raw.reset() } else { drop(raw) }
    }
    nothing_was_replaced(&host).await;
}

// Fault (The control plane and swaps): an upload that is damaged | rejects it | 422 with the reason | nothing
#[tokio::test]
async fn an_upload_that_is_damaged_replaces_nothing() {
    let mut chance = Seeded::new();
    let host = guests("").serve().await;
    let sound = std::fs::read(component("hello-p2")).unwrap();
    for _ in 0..6 {
        let mut file = sound.clone();
        match chance.between(0, 2) {
            0 => file.truncate(chance.between(8, sound.len() - 1)),
            1 => file = chance.bytes(1000),
            // The head stays, so that it is taken for a component.
            _ => {
                for _ in 0..200 {
                    let at = chance.between(8, sound.len() / 2);
                    file[at] = chance.number() as u8;
                }
            }
        }
        let reply = host.swap("good", "", &file).await;
        assert_eq!(reply.status, 422, "{}", reply.text());
    }
    nothing_was_replaced(&host).await;
}

// Fault (The control plane and swaps): an upload that stops | gives it up | 408 | nothing
#[tokio::test]
async fn an_upload_that_stops_is_given_up() {
    let host = guests("").serve().await;
    let mut raw = Raw::connect(&host.admin).await;
    raw.send(upload_head(&host, 100_000)).await.unwrap();
    raw.send(vec![0; 1000]).await.unwrap();
    let statuses = raw.end().await.statuses();
    assert_eq!(statuses, [408]);
    nothing_was_replaced(&host).await;
}

// Fault (The control plane and swaps): uploads over the bound | refuses | 503 | nothing
#[tokio::test]
async fn uploads_beyond_the_bound_are_told_so_and_the_rest_goes_on() {
    let host = guests("").serve().await;
    let mut slow = Vec::new();
    // One after the other, until one of them is answered although it has not come whole.
    eventually("a refusal", async || {
        let mut raw = Raw::connect(&host.admin).await;
        raw.send(upload_head(&host, 100_000)).await.unwrap();
        raw.send(vec![0; 1000]).await.unwrap();
        let answer = tokio::time::timeout(Duration::from_millis(300), raw.read_until("503"));
        let refused = answer.await.is_ok();
        slow.push(raw);
        refused.then_some(())
    })
    .await;
    assert!(slow.len() > 1, "there is no place for one upload");
    assert_eq!(host.ask("GET", "/services", &[], "").await.status, 200);
    drop(slow);
    nothing_was_replaced(&host).await;
}

// Fault (The control plane and swaps): a crowd at the admin port | serves the public one | its answer | nothing
#[tokio::test]
async fn a_crowd_at_the_admin_port_is_not_noticed_at_the_public_one() {
    let host = guests("").serve().await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(&host.admin).await;
        let _ = raw.send("GET /live HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await;
        crowd.push(raw);
    }
    for _ in 0..5 {
        neighbour_is_well(&host).await;
    }
    // Slow heads are given up, so that it can be asked again without anybody leaving.
    eventually("a probe to be answered", async || {
        let mut probe = KeepAlive::connect(&host.admin).await;
        (probe.get("/live").await.ok()?.0 == 200).then_some(())
    })
    .await;
    drop(crowd);
}

// Fault (The control plane and swaps): any request to it | answers or refuses | anything but a 5xx of the host's fault | nothing
#[tokio::test]
async fn whatever_it_is_asked_is_no_fault_of_the_host() {
    let mut chance = Seeded::new();
    let host = guests("").serve().await;
    let paths = [
        "/services",
        "/services/good/swap",
        "/services/good/rollback",
        "/services/good/drain",
        "/services/good/history",
        "/services/%00/swap",
        "/services/../swap",
        "/ready",
        "/live",
        "//",
        "/services/good/swap?canary=200%25",
        "/services/good/swap?for=-1s",
        "/backends",
        "/services/good/swap?canary=%ff&for=%00",
        "/services/nobody/swap",
        "/services/good/swap?cause=%0a",
    ];
    let types =
        ["application/wasm", "application/json", "text/plain", "", "application/json; charset=\"x"];
    for _ in 0..150 {
        let method = *chance.pick(&["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "BREW"]);
        let (path, kind) = (*chance.pick(&paths), *chance.pick(&types));
        if path == "/ready" {
            // It asks the backends and is tested elsewhere.
            continue;
        }
        let length = chance.between(0, 300);
        let body = match chance.between(0, 3) {
            0 => b"{\"path\": \"/nowhere/at-all.wasm\"}".to_vec(),
            1 => b"{\"path\": [[[[{\"\\u0000".to_vec(),
            _ => chance.bytes(length),
        };
        let reply = host.ask(method, path, &[("content-type", kind)], body).await;
        let status = reply.status.as_u16();
        assert!(status < 500, "{status} to {method} {path} as {kind:?}: {:?}", reply.body);
    }
    nothing_was_replaced(&host).await;
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

// Fault (The control plane and swaps): a command that vanishes during its swap | comes to a verdict all the same | - | nothing
#[tokio::test]
async fn swaps_whose_commands_vanish_still_come_to_a_verdict() {
    // The health path leads to a server that answers the first version at once, and the next one when it may.
    let go_on = Arc::new(Notify::new());
    let (asked, told) = (AtomicUsize::new(0), go_on.clone());
    let upstream = Upstream::start(move |_| {
        let answer = Step::Send(json("200 OK", r#"{"models":[]}"#));
        match asked.fetch_add(1, Ordering::Relaxed) {
            1 => vec![Step::Until(told.clone()), answer],
            _ => vec![answer],
        }
    })
    .await;
    let app = App::new(
        r#"
name = "vanished"

[ollama.local]

[service.good]
component = "$(ollama)"
ollama = "local"
health = "/api/tags"
"#,
    );
    let host = app.env("OLLAMA_HOST", &upstream.url).serve().await;
    // The same with an empty section behind it: another digest, and so another version.
    let mut file = std::fs::read(component("ollama")).unwrap();
    file.extend([0, 2, 1, b'x']);
    let mut raw = Raw::connect(&host.admin).await;
    raw.send(upload_head(&host, file.len())).await.unwrap();
    raw.send(&file).await.unwrap();
    // It is on trial when its command vanishes.
    eventually("its health path", async || (upstream.requests().len() == 2).then_some(())).await;
    raw.reset();
    // The host has time to notice that.
    assert_eq!(host.get("/good/api/tags").await.status, 200);
    assert_eq!(host.history("good").await.len(), 1);
    go_on.notify_one();
    let verdict = eventually("the verdict", async || {
        let history = host.history("good").await;
        history.get(1).map(|record| record["verdict"].clone())
    })
    .await;
    assert_eq!(verdict, "activated");
    // And the next one is possible.
    file.extend([0, 2, 1, b'y']);
    let reply = host.swap("good", "", &file).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(host.get("/good/api/tags").await.status, 200);
}
