//! Streams: every way in which one can arrive, break, be left alone and be given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::scripted::{STREAM_END, STREAM_HEAD, Scripted, answer, chunk, stream};
use super::*;
use crate::budget::{Budget, Holdings, on_account_of};
use wasm_host_limits::ollama::LINE_BYTES;

const FIRST: &str = "{\"response\":\"Dobrý \",\"done\":false}\n";
const SECOND: &str = "{\"response\":\"den 🦙\",\"done\":false}\r\n";
const LAST: &str = "{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"eval_count\":2}\n";

async fn outcome(body: impl AsRef<[u8]>) -> (Vec<String>, Result<Summary, Error>) {
    let server = Scripted::answering(stream(body)).await;
    collect(generate(&client(server.address)).await.unwrap()).await
}

#[tokio::test]
async fn a_stream_is_the_same_wherever_its_bytes_are_cut() {
    let body = [FIRST, SECOND, LAST].concat().into_bytes();
    let (cut, length) = (Arc::new(AtomicUsize::new(0)), body.len());
    let server = Scripted::serve(move |mut connection| {
        let (cut, body) = (cut.clone(), body.clone());
        async move {
            while connection.request().await.is_some() {
                let (before, after) = body.split_at(cut.fetch_add(1, Ordering::SeqCst));
                connection.send([STREAM_HEAD.as_bytes(), &chunk(before)].concat()).await;
                sleep(Duration::from_millis(1)).await;
                connection.send(chunk(after)).await;
                connection.send(STREAM_END).await;
            }
        }
    })
    .await;
    let client = client(server.address);
    for cut in 0..=length {
        let (texts, end) = collect(generate(&client).await.unwrap()).await;
        assert_eq!(texts, ["Dobrý ", "den 🦙", ""], "cut at {cut}");
        assert_eq!(end.unwrap().eval_count, 2, "cut at {cut}");
    }
    assert_eq!(server.connections(), 1, "a connection whose answer was read is used again");
}

#[tokio::test]
async fn an_error_line_ends_the_stream_wherever_it_is() {
    let error = "{\"error\":\"out of memory\"}\n";
    for (body, items) in [
        (error.to_string(), 0),
        ([FIRST, error, SECOND].concat(), 1),
        ([FIRST, SECOND, error].concat(), 2),
        ([FIRST, error.trim_end()].concat(), 1),
    ] {
        let (texts, end) = outcome(&body).await;
        assert_eq!(texts.len(), items, "{body}");
        assert!(matches!(end, Err(Error::Interrupted(text)) if text == "out of memory"), "{body}");
    }
}

#[tokio::test]
async fn a_stream_without_its_last_item_is_truncated() {
    // It ends cleanly: after a line, within one, before any.
    for (body, items) in
        [([FIRST, SECOND].concat(), 2), (FIRST[..20].to_string(), 0), (String::new(), 0)]
    {
        let (texts, end) = outcome(&body).await;
        assert_eq!(texts.len(), items, "{body}");
        assert!(matches!(end, Err(Error::Truncated)), "{body}: {end:?}");
    }
    // The connection breaks.
    let server = Scripted::serve(|mut connection| async move {
        connection.request().await;
        connection.send([STREAM_HEAD.as_bytes(), &chunk(FIRST)].concat()).await;
        connection.stream.set_zero_linger().unwrap();
    })
    .await;
    let (texts, end) = collect(generate(&client(server.address)).await.unwrap()).await;
    assert!(texts.len() <= 1);
    assert!(matches!(end, Err(Error::Truncated)), "{end:?}");
}

#[tokio::test]
async fn what_is_not_the_protocol_is_malformed() {
    let bad_text = [FIRST.as_bytes(), b"{\"response\":\"\xff\"}\n"].concat();
    for body in
        [[FIRST, "<html>\n"].concat().into_bytes(), bad_text, [FIRST, "[]\n"].concat().into()]
    {
        let (texts, end) = outcome(&body).await;
        assert_eq!(texts, ["Dobrý "]);
        assert!(matches!(end, Err(Error::Malformed(_))), "{end:?}");
    }
}

#[tokio::test]
async fn a_line_over_the_bound_ends_the_stream_before_it_is_held() {
    let (texts, end) = outcome([FIRST, &"x".repeat(LINE_BYTES + 2), "\n", LAST].concat()).await;
    assert_eq!(texts, ["Dobrý "]);
    assert!(matches!(end, Err(Error::Malformed(text)) if text.contains("8388608")));
}

#[tokio::test]
async fn one_object_without_a_line_end_is_a_whole_stream() {
    let body = "{\"model\":\"m\",\"response\":\"\",\"done\":true,\"done_reason\":\"load\"}";
    let server = Scripted::answering(answer("200 OK", body)).await;
    let (texts, end) = collect(generate(&client(server.address)).await.unwrap()).await;
    assert_eq!((texts.len(), end.unwrap().done_reason.as_deref()), (1, Some("load")));
}

#[tokio::test]
async fn the_first_byte_is_waited_for_as_long_as_the_grant_says() {
    let server = Scripted::serve(|mut connection| async move {
        while connection.request().await.is_some() {
            sleep(Duration::from_millis(300)).await;
            connection.send(stream(LAST)).await;
        }
    })
    .await;
    let (texts, end) = collect(generate(&client(server.address)).await.unwrap()).await;
    assert!(texts.len() == 1 && end.is_ok());

    let (silent, _reports) = watching(false).await;
    let options = Options { first_byte: Duration::from_millis(100), ..Options::default() };
    let impatient = client_with(silent.address, options);
    let result = timeout(PROMISE, generate(&impatient)).await.expect("it waits for longer");
    assert!(matches!(result, Err(Error::TimedOut(_))));
}

#[tokio::test]
async fn no_time_is_set_on_a_stream_that_has_begun() {
    let server = Scripted::serve(|mut connection| async move {
        connection.request().await;
        connection.send([STREAM_HEAD.as_bytes(), &chunk(FIRST)].concat()).await;
        sleep(Duration::from_secs(3)).await;
        connection.send([&chunk(LAST), STREAM_END.as_bytes()].concat()).await;
    })
    .await;
    let options = Options { first_byte: Duration::from_secs(2), ..Options::default() };
    let (texts, end) =
        collect(generate(&client_with(server.address, options)).await.unwrap()).await;
    assert!(texts.len() == 2 && end.is_ok(), "{end:?}");
}

/// A server that sends one item, or with `head` unset nothing at all, and then reports when the
/// client has closed the connection.
async fn watching(head: bool) -> (Scripted, mpsc::Receiver<&'static str>) {
    let (report, reports) = mpsc::channel(8);
    let server = Scripted::serve(move |mut connection| {
        let report = report.clone();
        async move {
            connection.request().await;
            if head {
                connection.send([STREAM_HEAD.as_bytes(), &chunk(FIRST)].concat()).await;
            }
            report.send("asked").await.unwrap();
            connection.closed().await;
            report.send("closed").await.unwrap();
        }
    })
    .await;
    (server, reports)
}

async fn seen(reports: &mut mpsc::Receiver<&'static str>, what: &str) {
    assert_eq!(timeout(PROMISE, reports.recv()).await.expect(what), Some(what));
}

#[tokio::test]
async fn dropping_a_stream_closes_the_connection() {
    let (server, mut reports) = watching(true).await;
    let mut stream = generate(&client(server.address)).await.unwrap();
    assert!(stream.items.recv().await.is_some());
    seen(&mut reports, "asked").await;
    drop(stream.items);
    seen(&mut reports, "closed").await;
    assert!(matches!(stream.done.await.unwrap(), Err(Error::Cancelled)));
}

#[tokio::test]
async fn a_cancelled_request_closes_the_connection_though_nobody_reads() {
    let (server, mut reports) = watching(true).await;
    let cancel = never();
    let stream = client(server.address).generate(prompt("p"), cancel.clone()).await.unwrap();
    seen(&mut reports, "asked").await;
    cancel.cancel().cancel();
    seen(&mut reports, "closed").await;
    assert!(matches!(stream.done.await.unwrap(), Err(Error::Cancelled)));
}

#[tokio::test]
async fn a_call_given_up_before_its_answer_closes_the_connection() {
    let (server, mut reports) = watching(false).await;
    let client = client(server.address);
    let mut call = client.generate(prompt("p"), never());
    tokio::select! {
        _ = &mut call => panic!("there is no answer"),
        () = seen(&mut reports, "asked") => {}
    }
    drop(call);
    seen(&mut reports, "closed").await;

    let cancel = never();
    let call = client.generate(prompt("p"), cancel.clone());
    let stop = async {
        seen(&mut reports, "asked").await;
        cancel.cancel().cancel();
        seen(&mut reports, "closed").await;
    };
    let (result, ()) = tokio::join!(call, stop);
    assert!(matches!(result, Err(Error::Cancelled)));
}

#[tokio::test]
async fn a_server_is_read_no_faster_than_the_component_reads() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let server = Scripted::serve(move |mut connection| {
        let count = count.clone();
        async move {
            connection.request().await;
            connection.send(STREAM_HEAD).await;
            let line = format!("{{\"response\":\"{}\"}}\n", "x".repeat(64 * 1024));
            while connection.stream.write_all(&chunk(&line)).await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await;
    let mut stream = generate(&client(server.address)).await.unwrap();
    let settled = async || {
        let mut before = usize::MAX;
        loop {
            let now = written.load(Ordering::SeqCst);
            if now == before {
                return now;
            }
            before = now;
            sleep(Duration::from_millis(200)).await;
        }
    };
    // What fits into the sockets' buffers and the few items read ahead, and not a line more.
    let stalled = timeout(PATIENCE, settled()).await.expect("never stops writing");
    assert!(stalled < 500, "{stalled} lines of 64 KiB were taken with nobody reading");
    for _ in 0..stalled {
        assert!(stream.items.recv().await.is_some());
    }
    let resumes = async {
        while written.load(Ordering::SeqCst) <= stalled {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, resumes).await.expect("reading lets the server write on");
}

#[tokio::test]
async fn calls_over_the_bound_are_busy_until_a_stream_ends() {
    let (server, _reports) = watching(true).await;
    let options = Options { calls: 1, queue: 0, ..Options::default() };
    let client = client_with(server.address, options);
    let stream = generate(&client).await.unwrap();
    assert!(matches!(generate(&client).await, Err(Error::Busy(_))));
    assert!(matches!(client.list(never()).await, Err(Error::Busy(_))));
    drop(stream);
    let again = async {
        while let Err(Error::Busy(_)) = generate(&client).await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PROMISE, again).await.expect("the permit comes back with the end of the stream");
}

#[tokio::test]
async fn a_call_after_the_end_of_the_last_one_is_never_busy() {
    // The server takes its time to end the body after its last item.
    let server = Scripted::serve(|mut connection| async move {
        while connection.request().await.is_some() {
            connection.send([STREAM_HEAD.as_bytes(), &chunk(LAST)].concat()).await;
            sleep(Duration::from_millis(20)).await;
            connection.send(STREAM_END).await;
        }
    })
    .await;
    let client = client_with(server.address, Options { calls: 1, queue: 0, ..Options::default() });
    for _ in 0..5 {
        let (texts, end) = collect(generate(&client).await.expect("not busy")).await;
        assert!(texts.len() == 1 && end.is_ok());
    }
    // With time to end, a connection is used again. How much that is, a busy machine decides.
    let mut again = 0;
    let asking = async {
        while again < 4 {
            sleep(Duration::from_millis(60)).await;
            let before = server.connections();
            assert!(collect(generate(&client).await.expect("not busy")).await.1.is_ok());
            again += usize::from(server.connections() == before);
        }
    };
    timeout(PATIENCE, asking).await.expect("every call opens a connection");
}

#[tokio::test]
async fn large_lines_are_on_the_account_of_who_asked_until_they_are_taken() {
    const LINE: usize = 1024 * 1024;
    let line = format!("{{\"response\":\"{}\",\"done\":false}}\n", "x".repeat(LINE));
    let server = Scripted::answering(stream([line.repeat(3).as_str(), LAST].concat())).await;
    let client = client(server.address);
    // Each is there twice: as a line and as what was read from it.
    let holdings = Holdings::new(5 * LINE, &Budget::new(usize::MAX).share(usize::MAX));
    let call = on_account_of(holdings.hold_nothing(), generate(&client));
    let Stream { mut items, done } = call.await.unwrap();
    let done = timeout(PROMISE, done).await.unwrap().unwrap();
    let told = "with this the host would hold more than 5242880 bytes for one instance";
    assert!(matches!(&done, Err(Error::Busy(text)) if text.starts_with(told)), "{done:?}");
    for expected in [4, 2] {
        assert_eq!(holdings.used() / LINE, expected);
        assert_eq!(items.recv().await.unwrap().open().content.len(), LINE);
    }
    assert_eq!(holdings.used(), 0);
    assert!(items.recv().await.is_none());
}
