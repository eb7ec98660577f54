//! Answers of WASI 0.2 as other people's toolchains give them: with a length, without an end, or not at all.

use std::time::{Duration, Instant};

use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::hostile::{Raw, request};

/// With these keys of the service.
async fn served(keys: &str) -> Host {
    let file = format!(
        "name = \"plain\"\n[service.plain]\ncomponent = \"$(hostile-p2)\"\nroute = \"/\"\n{keys}\n"
    );
    App::new(&file).serve().await
}

/// Wait until so many requests were served whole, and failed. None of a test's clients ever leaves.
async fn counted(host: &Host, served: u64, failed: u64) {
    eventually("the count", async || {
        let service = host.service("plain").await;
        assert_eq!(service["cancelled"], 0, "nobody left: {service}");
        (service["served"] == served && service["failed"] == failed).then_some(())
    })
    .await;
}

/// All that a client of HTTP/1.1 sees.
async fn answer(host: &Host, path: &str) -> String {
    let mut raw = Raw::connect(&host.address).await;
    raw.send(request("GET", path, "")).await.unwrap();
    raw.end().await.text()
}

/// Whether an answer has its end, by its length or its last chunk.
fn is_whole(answer: &str) -> bool {
    answer.ends_with("\r\n0\r\n\r\n") || answer.ends_with("\r\n\r\nhello")
}

#[tokio::test]
async fn an_answer_with_a_length_is_served_and_what_is_done_behind_it_is_done() {
    let host = served("").await;
    assert_eq!(host.get("/length").await.text(), "hello");
    counted(&host, 1, 0).await;
    host.logs("behind the answer").await;
    counted(&host, 1, 0).await;
}

// Fault (Guests): work for ever behind an answer with a length | ends it after a while | its answer | the work
#[tokio::test]
async fn what_goes_on_for_ever_behind_an_answer_with_a_length_ends() {
    let host = served("").await;
    assert_eq!(host.get("/length-then-loop").await.text(), "hello");
    counted(&host, 1, 0).await;
    eventually("the instance's end", async || {
        (host.service("plain").await["instances"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_answer_whose_body_nobody_reads_is_served() {
    let host = served("").await;
    assert_eq!(host.get("/no-content").await.status, 204);
    assert_eq!(host.get("/not-modified").await.status, 304);
    assert_eq!(host.send("HEAD", "/length", "").await.status, 200);
    counted(&host, 3, 0).await;
}

// Fault (Guests): a body of WASI 0.2 of another length than its head says | breaks it off | an answer that breaks off, or one of that length | the request
#[tokio::test]
async fn an_answer_that_is_shorter_or_longer_than_its_length_is_broken() {
    let host = served("").await;
    for (number, path) in ["/shorter", "/longer"].into_iter().enumerate() {
        let text = answer(&host, path).await;
        assert!(!is_whole(&text) || text.contains("content-length: 50"), "{path}: {text}");
        assert!(!text.contains("world"), "{path}: {text}");
        counted(&host, 0, number as u64 + 1).await;
    }
}

// Fault (Guests): a body of WASI 0.2 that is never finished | ends it when the component has returned, replaces the instance | an answer that breaks off, or all of it where its length was met | the request
#[tokio::test]
async fn an_answer_that_is_never_finished_breaks_off_when_its_call_returns() {
    // In an instance that goes with the request, and in one that stays.
    for keys in ["", "reuse = 100"] {
        let host = served(keys).await;
        let began = Instant::now();
        for (number, path) in ["/forget", "/forget-the-stream", "/drop"].into_iter().enumerate() {
            let text = answer(&host, path).await;
            assert!(text.starts_with("HTTP/1.1 200") || text.is_empty(), "{path}: {text}");
            assert!(!is_whole(&text), "{path}, {keys}: {text}");
            counted(&host, 0, number as u64 + 1).await;
        }
        // Found at once, and not by one of the looks for bodies that stand still, of which each would take longer.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "three answers took {took:?}");
    }
}

#[tokio::test]
async fn an_answer_that_a_component_of_0_3_gives_up_counts_as_failed() {
    let host =
        App::new("name = \"plain\"\n[service.plain]\ncomponent = \"$(hostile)\"\nroute = \"/\"\n");
    let host = host.serve().await;
    assert!(!is_whole(&answer(&host, "/fail-in-body").await));
    counted(&host, 0, 1).await;
    assert!(!is_whole(&answer(&host, "/trap-in-body").await));
    counted(&host, 0, 2).await;
}

#[tokio::test]
async fn an_answer_that_is_never_finished_is_whole_if_its_length_was_met() {
    for keys in ["", "reuse = 100"] {
        let host = served(keys).await;
        assert_eq!(host.get("/forget-with-length").await.text(), "hello");
        counted(&host, 1, 0).await;
    }
}

// Fault (Guests): an instance that comes back without an answer | replaces it | 502 | the request
#[tokio::test]
async fn an_instance_that_failed_to_answer_serves_no_more() {
    // Whose first request is answered and whose second one is not: an engine that an exception has left behind.
    let host = served("reuse = 100\ninstances = 1").await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(host.get("/once").await.status.as_u16());
    }
    assert_eq!(statuses, [200, 502, 200, 502, 200, 502]);
    // Neither does one that left a body unfinished.
    assert!(!is_whole(&answer(&host, "/forget").await));
    assert_eq!(host.get("/once").await.status, 200);
}

#[tokio::test]
async fn recordings_of_answers_with_a_length_and_of_loops_know_of_no_departure() {
    let file = "name = \"plain\"\n[service.plain]\ncomponent = \"$(hostile-p2)\"\nroute = \"/\"\n\
                cpu-timeout = \"100ms\"\n";
    let app = App::new(file);
    let host = app.serve_with(&["wasm-host.toml", "--record", "recorded"]).await;
    assert_eq!(host.get("/length").await.text(), "hello");
    assert_eq!(host.get("/no-content").await.status, 204);
    assert_eq!(host.get("/loop").await.status, 504);
    host.stop().await;

    let folder = app.path().join("recorded/plain");
    let mut looped = None;
    let mut recorded = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("leave") && !text.contains("left"), "{text}");
        recorded += 1;
        if text.contains("/loop") {
            assert!(text.contains("end = \"trap\""), "{text}");
            looped = Some(path);
        }
    }
    assert_eq!(recorded, 3);
    // A loop has no end in a test.
    std::fs::remove_file(looped.expect("the loop's recording")).unwrap();
    let (component, cases) = (component("hostile-p2"), folder.display().to_string());
    let output = app.run(&["test", component.to_str().unwrap(), "--cases", &cases]).await;
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
}

#[tokio::test]
async fn a_test_sees_an_answer_that_is_never_finished_as_an_error() {
    let app = App::new("");
    let cases = app.path().join("cases");
    std::fs::create_dir(&cases).unwrap();
    for (name, path, end, text) in [
        ("broken", "/forget", "error", "half of it"),
        ("whole", "/forget-with-length", "whole", "hello"),
    ] {
        let case = format!(
            "[request]\npath = \"{path}\"\n\n[response]\nstatus = 200\nend = \"{end}\"\ntext = \"{text}\"\n"
        );
        std::fs::write(cases.join(format!("{name}.toml")), case).unwrap();
    }
    let component = component("hostile-p2");
    let arguments = ["test", component.to_str().unwrap(), "--cases", cases.to_str().unwrap()];
    let output = app.run(&arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
