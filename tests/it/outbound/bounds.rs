//! No call to a host outside lasts, takes or costs more than it may.

use std::time::{Duration, Instant};

use wasm_host_tests::ports::Closed;
use wasm_host_tests::upstream::{Step, Upstream, chunk, json, ndjson_head};
use wasm_host_tests::{client, eventually, within};

use super::{callers, fetch};

// Fault (Hosts outside): a client that leaves | closes its calls | - | nothing
#[tokio::test]
async fn a_client_that_leaves_closes_its_calls_outside() {
    // Before an answer, and in the middle of one.
    for is_begun in [false, true] {
        let head = if is_begun { [ndjson_head(), chunk(b"half")].concat() } else { Vec::new() };
        let upstream = Upstream::start(move |_| vec![Step::Send(head.clone()), Step::Hold]).await;
        let host = callers(&format!("outbound = \"{}\"", upstream.url)).await;
        let (address, url) = (host.address.clone(), upstream.url.clone());
        let (tell, begun) = tokio::sync::oneshot::channel();
        let call = tokio::spawn(async move {
            let path = format!("/caller/fetch?{url}");
            let mut answer = client::open(&address, "GET", &path, &[], "").await;
            tell.send(answer.next().await).unwrap();
            answer.rest().await
        });
        eventually("the call outside", async || (upstream.requests().len() == 1).then_some(()))
            .await;
        if is_begun {
            let piece = within("half of the answer", begun).await.unwrap();
            assert_eq!(piece.unwrap().unwrap(), "half");
        }
        let left = Instant::now();
        call.abort();
        eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;
        // The promise is one second; the rest is for a busy machine.
        assert!(left.elapsed() < Duration::from_secs(10), "{:?}", left.elapsed());
    }
}

// Fault (Hosts outside): a host that is silent or stops | closes after its time | the component's error, or a body that is not whole | the request
#[tokio::test]
async fn the_file_bounds_waits_and_a_component_may_shorten_them() {
    let silent = Upstream::start(|_| vec![Step::Hold]).await;
    let stuck =
        Upstream::start(|_| vec![Step::Send([ndjson_head(), chunk(b"half")].concat()), Step::Hold])
            .await;
    let hosts = format!("allow = [\"{}\", \"{}\"]", silent.url, stuck.url);
    let keys = |waits: &str| format!("[service.caller.outbound]\n{hosts}\n{waits}");
    let ask = async |waits: &str, headers: &[(&str, &str)], url: &str| {
        let host = callers(&keys(waits)).await;
        let path = format!("/caller/fetch?{url}");
        let mut reply = client::open(&host.address, "GET", &path, headers, "").await;
        let body = reply.rest().await;
        (reply.status.as_u16(), body.map(|body| String::from_utf8(body).unwrap()))
    };
    let late = (502, Ok("ErrorCode::HttpResponseTimeout\n".to_string()));
    let cut = (200, Err(b"half".to_vec()));
    // One at a time: what is to come before the other must not be late on a busy machine.
    let (first_byte, idle) = ("first-byte-timeout = \"200ms\"", "idle-timeout = \"200ms\"");
    let hour = "3600000";
    assert_eq!(ask(first_byte, &[("x-first-byte", hour)], &silent.url).await, late);
    assert_eq!(ask(idle, &[("x-between-bytes", hour)], &stuck.url).await, cut);
    assert_eq!(ask("", &[("x-first-byte", "200")], &silent.url).await, late);
    assert_eq!(ask("", &[("x-between-bytes", "200")], &stuck.url).await, cut);
    // A component of WASI 0.2.
    let host = callers(&keys("")).await;
    let reply = host.get(&format!("/old/200?{}", silent.url)).await;
    assert!(reply.text().contains("HttpResponseTimeout"), "{}", reply.text());
}

// Fault (Hosts outside): an answer without end | cuts it at the bound | a body that is not whole | the request
#[tokio::test]
async fn an_answer_over_the_bound_is_cut() {
    let endless = Upstream::start(|_| {
        let mut steps = vec![Step::Send(ndjson_head())];
        steps.extend((0..1000).map(|_| Step::Send(chunk(&[b'x'; 1024]))));
        steps.push(Step::Hold);
        steps
    })
    .await;
    let keys =
        format!("[service.caller.outbound]\nallow = \"{}\"\nmax-body = \"8KiB\"", endless.url);
    let host = callers(&keys).await;
    let path = format!("/caller/fetch?{}", endless.url);
    let mut reply = client::open(&host.address, "GET", &path, &[], "").await;
    let seen = within("the end", reply.rest()).await.expect_err("an answer that is cut");
    assert!(seen.len() <= 8 * 1024, "{}", seen.len());
    eventually("the close", async || (endless.hung_up() == 1).then_some(())).await;
}

// Fault (Hosts outside): a host that is away | fails at once after some attempts, finds it again | the component's error | nothing
#[tokio::test]
async fn a_host_that_is_away_is_told_by_ready_and_found_when_it_is_back() {
    let port = Closed::take();
    let url = format!("http://{}", port.address);
    let host = callers(&format!(
        "[service.caller.outbound]\nallow = \"{url}\"\nbreaker-failures = 2\n\
         breaker-wait = \"100ms\"\nbreaker-wait-max = \"200ms\""
    ))
    .await;
    for _ in 0..2 {
        assert_eq!(fetch(&host, &url).await, (502, "ErrorCode::ConnectionRefused\n".into()));
    }
    let degraded = format!("the service caller does not reach {url}; calls fail at once");
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    assert!(ready.text().contains(&degraded), "{}", ready.text());
    let known = eventually("a call that fails at once", async || {
        let (_, text) = fetch(&host, &url).await;
        text.contains("DestinationUnavailable").then_some(())
    });
    known.await;
    let _back = Upstream::open(port, |_| vec![Step::Send(json("200 OK", "\"back\""))]);
    eventually("the host to be found", async || (fetch(&host, &url).await.0 == 200).then_some(()))
        .await;
    let ready = client::send(&host.admin, "GET", "/ready", &[], "").await;
    assert!(!ready.text().contains("does not reach"), "{}", ready.text());
    host.logs("can be reached again").await;
    let log = host.log();
    assert_eq!(log.matches("could not be reached 2 times in a row").count(), 1, "{log}");
    assert_eq!(log.matches("can be reached again").count(), 1, "{log}");
}
