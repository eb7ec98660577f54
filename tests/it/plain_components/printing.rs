//! What a guest prints is in the log line by line, however it wrote them, with the request that it was printed for.

use std::collections::BTreeMap;

use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

const SERVICES: &str = r#"
name = "printing"

[service.old]
component = "$(hostile-p2)"

[service.new]
component = "$(hostile)"
"#;

/// What was logged for each request that printed, line by line, without what the log says of the lines.
fn printed(host: &Host) -> BTreeMap<String, Vec<String>> {
    let mut by_request: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in host.log().lines() {
        let Some((line, id)) = line.split_once("request=\"") else { continue };
        let (_, text) = line.split_once("INFO ").expect("a level");
        let (text, _) = text.split_once("service=").expect("a service");
        by_request.entry(id.to_string()).or_default().push(text.trim().to_string());
    }
    by_request
}

/// Wait until so many requests have printed these lines, and nothing else has been printed.
async fn has_printed(host: &Host, requests: usize, lines: &[&str]) {
    eventually("the lines", async || {
        let printed = printed(host);
        (printed.len() == requests && printed.values().all(|own| own == lines)).then_some(())
    })
    .await;
}

// Fault (Guests): lines in pieces, each through a handle of its own | puts them together, by request and stream | its answer | nothing
#[tokio::test]
async fn a_line_in_pieces_is_one_line_with_its_request_and_empty_lines_are_lines() {
    let host = App::new(SERVICES).serve().await;
    assert_eq!(host.get("/old/pieces").await.status, 200);
    // The last one has no end, and nobody who would write it.
    has_printed(&host, 1, &["start a print 1234", "", "and no end"]).await;
}

#[tokio::test]
async fn requests_of_one_instance_mix_no_pieces_of_their_lines() {
    let host = App::new(&format!("{SERVICES}instances = 1\n")).serve().await;
    let ask = || host.get("/new/print-in-pieces");
    let replies = tokio::join!(ask(), ask(), ask());
    for reply in [&replies.0, &replies.1, &replies.2] {
        assert_eq!(reply.status, 204);
    }
    has_printed(&host, 3, &["start a print 1234", ""]).await;
}
