//! A model server that is away, slow, cut off, or says what is no answer.

use std::time::Duration;

use wasm_host_tests::guests::neighbour_is_well;
use wasm_host_tests::host::Host;
use wasm_host_tests::models::{CHAT, LAST, WORD, app, one_word, words};
use wasm_host_tests::proxy::{Damage, Plan, Proxy, Then};
use wasm_host_tests::seed::Seeded;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, json, ndjson_head};
use wasm_host_tests::{client, eventually};

async fn chat(host: &Host) -> wasm_host_tests::client::Reply {
    host.send("POST", "/api/chat", CHAT).await
}

async fn no_call_is_left(host: &Host) {
    eventually("no call to be left", async || {
        (host.calls("ollama.local").await == 0).then_some(())
    })
    .await;
    neighbour_is_well(host).await;
}

/// A server that says so many words, a proxy in front of it, and a host that knows the proxy.
async fn behind_a_proxy(count: usize) -> (Proxy, Host) {
    let upstream = Upstream::start(move |_| words(count)).await;
    let proxy = Proxy::start(upstream.url.trim_start_matches("http://")).await;
    let host = app(&format!("http://{}", proxy.address), "").serve().await;
    (proxy, host)
}

async fn is_used_again(host: &Host) {
    eventually("the server to be used again", async || {
        (chat(host).await.status == 200).then_some(())
    })
    .await;
    no_call_is_left(host).await;
}

// Fault (Model servers): a server that is away | says so, finds it again | 502 or 503 with Ollama's error | nothing
#[tokio::test]
async fn a_model_server_that_is_away_is_503_and_found_again() {
    let (proxy, host) = behind_a_proxy(2).await;
    proxy.set(Plan { refuse: true, ..Plan::default() });
    let reply = chat(&host).await;
    assert!(matches!(reply.status.as_u16(), 502 | 503), "{}", reply.text());
    assert!(reply.json()["error"].is_string(), "{}", reply.text());
    proxy.heal();
    is_used_again(&host).await;
}

// Fault (Model servers): a server that never begins | closes after the first-byte time | 504 | the request
#[tokio::test]
async fn a_model_server_that_never_begins_is_504() {
    let upstream = Upstream::start(|_| vec![Step::Hold]).await;
    let host = app(&upstream.url, "first-byte-timeout = \"1s\"").serve().await;
    let reply = chat(&host).await;
    assert_eq!(reply.status, 504, "{}", reply.text());
    eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;
    no_call_is_left(&host).await;
}

// Fault (Model servers): a server that is busy | passes on what it says | its 503 | nothing
#[tokio::test]
async fn a_model_server_that_is_busy_says_so_itself() {
    let body = r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#;
    let upstream =
        Upstream::start(move |_| vec![Step::Send(json("503 Service Unavailable", body))]).await;
    let host = app(&upstream.url, "").serve().await;
    let reply = chat(&host).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (503, body));
    no_call_is_left(&host).await;
}

// Fault (Model servers): words in single bytes | puts them together | the words | nothing
#[tokio::test]
async fn a_word_in_single_bytes_arrives_whole() {
    let (proxy, host) = behind_a_proxy(5).await;
    let damage = Damage { pieces: Some(1), ..Damage::default() };
    proxy.set(Plan { up: damage.clone(), down: damage, refuse: false, moved_to: None });
    let reply = chat(&host).await;
    assert_eq!(reply.body, [&WORD.repeat(5)[..], LAST].concat());
    no_call_is_left(&host).await;
}

// Fault (Model servers): a chat that is cut at any byte | takes no part for the whole | all of it, or a body that is not whole | the request
#[tokio::test]
async fn a_chat_cut_anywhere_is_never_taken_for_whole() {
    let mut chance = Seeded::new();
    let (proxy, host) = behind_a_proxy(20).await;
    let whole = chat(&host).await.body;
    for _ in 0..40 {
        let cut = chance.between(0, whole.len() + 200);
        let then = *chance.pick(&[Then::Close, Then::Reset, Then::HalfClose]);
        let damage = Damage { after: Some((cut, then)), ..Damage::default() };
        proxy.reset_all();
        proxy.set(Plan { down: damage, ..Plan::default() });
        let mut answer = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
        let status = answer.status;
        match answer.rest().await {
            Ok(body) if status == 200 => {
                // Only the framing behind the last line may be missing.
                assert_eq!(body, whole, "a part was taken for whole, cut at {cut} with {then:?}");
            }
            Ok(_) => assert!(matches!(status.as_u16(), 500 | 502 | 503), "{status} at {cut}"),
            Err(body) => assert!(body.len() < whole.len() + 200, "at {cut}"),
        }
        proxy.heal();
    }
    is_used_again(&host).await;
}

// Fault (Model servers): an answer that is no HTTP | closes | 502 or 503 | the request
#[tokio::test]
async fn an_answer_that_is_no_http_is_502_or_503() {
    for bytes in [&b"\0\x01\x02"[..], b"220 mail.example ESMTP\r\n", b"HTTP/1.1 abc OK\r\n\r\n"] {
        let upstream =
            Upstream::start(move |_| vec![Step::Send(bytes.to_vec()), Step::Reset]).await;
        let host = app(&upstream.url, "").serve().await;
        let reply = chat(&host).await;
        assert!(matches!(reply.status.as_u16(), 502 | 503), "{} {}", reply.status, reply.text());
        no_call_is_left(&host).await;
    }
}

// Fault (Model servers): lines that are no JSON | closes | an error line, and a body that is not whole | the request
#[tokio::test]
async fn lines_that_are_no_json_break_the_answer() {
    for line in [&b"not json\n"[..], b"[]\n", b"\xff\xfe\n", b"{\"message\":1,\"done\":false}\n"] {
        let upstream = Upstream::start(move |_| {
            vec![
                Step::Send(ndjson_head()),
                Step::Send(chunk(WORD)),
                Step::Send(chunk(line)),
                Step::Send(end()),
            ]
        })
        .await;
        let host = app(&upstream.url, "").serve().await;
        let mut answer = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
        let seen = answer.rest().await.expect_err("a body that ends as an error");
        assert!(seen.starts_with(WORD) && String::from_utf8_lossy(&seen).contains("\"error\""));
        no_call_is_left(&host).await;
    }
}

// Fault (Model servers): chunks that are no chunks | closes | a body that is not whole | the request
#[tokio::test]
async fn chunks_that_are_no_chunks_break_the_answer() {
    let upstream = Upstream::start(|_| {
        vec![
            Step::Send(ndjson_head()),
            Step::Send(chunk(WORD)),
            Step::Send(b"zz\r\n???".to_vec()),
            Step::Hold,
        ]
    })
    .await;
    let host = app(&upstream.url, "").serve().await;
    let mut answer = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
    answer.rest().await.expect_err("a body that ends as an error");
    no_call_is_left(&host).await;
}

// Fault (Model servers): a line without end | closes at the bound | an error | the request
#[tokio::test]
async fn a_line_without_end_is_cut_off_in_bounded_memory() {
    let upstream = Upstream::start(|_| {
        let mut steps =
            vec![Step::Send(ndjson_head()), Step::Send(chunk(b"{\"message\":{\"content\":\""))];
        steps.extend((0..64).map(|_| Step::Send(chunk(&[b'x'; 1024 * 1024]))));
        steps
    })
    .await;
    let host = app(&upstream.url, "").serve().await;
    neighbour_is_well(&host).await;
    let before = host.resident_kib();
    let mut answer = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
    // Nothing was sent yet, so it may still be a whole answer that says what happened.
    let status = answer.status.as_u16();
    let ended = answer.rest().await;
    assert!(status >= 500 || ended.is_err(), "{status}");
    let grown = host.resident_kib().saturating_sub(before) / 1024;
    assert!(grown < 128, "a line of 64 MiB cost {grown} MiB");
    eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;
    no_call_is_left(&host).await;
}

// Fault (Model servers): calls over the bound and the line | refuses | 503 with `Retry-After` | nothing
#[tokio::test]
async fn calls_over_the_bound_are_told_to_come_back() {
    let upstream = Upstream::start(|_| one_word()).await;
    let host = app(&upstream.url, "concurrent = 2\nqueue = 0").serve().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut answer = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
        assert!(answer.next().await.unwrap().is_some());
        held.push(answer);
    }
    assert_eq!(host.calls("ollama.local").await, 2);
    let reply = chat(&host).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert!(!reply.header("retry-after").is_empty());
    drop(held);
    no_call_is_left(&host).await;
}

// Fault (Model servers): a redirect | does not follow | an error | the request
#[tokio::test]
async fn a_redirect_to_somewhere_else_is_not_followed() {
    let elsewhere = Upstream::start(|_| words(1)).await;
    let to = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}/api/chat\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url
    );
    let upstream = Upstream::start(move |_| vec![Step::Send(to.clone().into_bytes())]).await;
    let host = app(&upstream.url, "").serve().await;
    assert!(chat(&host).await.status.is_server_error());
    assert_eq!(elsewhere.requests().len(), 0);
    no_call_is_left(&host).await;
}

// Fault (Model servers): a stream that breaks before or after its head, on a new connection | does not ask again | an error | the request
#[tokio::test]
async fn a_stream_is_never_asked_for_twice() {
    for steps in [
        vec![Step::Reset],
        vec![Step::Send(ndjson_head()), Step::Reset],
        vec![Step::Send(ndjson_head()), Step::Send(chunk(WORD)), Step::Reset],
    ] {
        let upstream = Upstream::start(move |_| steps.clone()).await;
        let host = app(&upstream.url, "").serve().await;
        let mut answer = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
        let _ = answer.rest().await;
        assert_eq!(upstream.requests().len(), 1);
        no_call_is_left(&host).await;
    }
}

// Fault (Model servers): a server that goes on after its last line | leaves it | its whole answer | nothing
#[tokio::test]
async fn a_server_that_goes_on_after_the_last_line_is_left() {
    let upstream = Upstream::start(|_| {
        let mut steps = words(1);
        steps.pop();
        steps.extend(
            (0..100_000)
                .flat_map(|_| [Step::Send(chunk(WORD)), Step::Wait(Duration::from_millis(1))]),
        );
        steps
    })
    .await;
    let host = app(&upstream.url, "").serve().await;
    assert_eq!(chat(&host).await.body, [WORD, LAST].concat());
    eventually("the close", async || (upstream.hung_up() == 1).then_some(())).await;
    no_call_is_left(&host).await;
}
