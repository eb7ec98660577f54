//! Promise 8: on SIGTERM every accepted request is finished, and the process exits 0.

use std::time::Duration;

use tokio::net::TcpStream;
use wasm_host_tests::host::App;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, ndjson_head};
use wasm_host_tests::{client, eventually};

#[tokio::test]
async fn bodies_in_flight_are_finished_and_the_exit_code_is_0() {
    let upstream = Upstream::start(|_| {
        let mut steps = vec![Step::Send(ndjson_head())];
        for number in 0..20 {
            let line = format!("{{\"message\":{{\"content\":\"{number} \"}},\"done\":false}}\n");
            steps.push(Step::Send(chunk(line.as_bytes())));
            steps.push(Step::Wait(Duration::from_millis(50)));
        }
        steps.push(Step::Send(chunk(b"{\"message\":{\"content\":\"\"},\"done\":true}\n")));
        steps.push(Step::Send(end()));
        steps
    })
    .await;
    let app = App::new(
        r#"
name = "shutdown"

[ollama.local]

[service.chat]
component = "$(ollama)"
ollama = "local"
route = "/"
"#,
    )
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = client::open(&host.address, "POST", "/api/chat", &[], body).await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
    }
    host.terminate();
    eventually("the port to close", async || {
        TcpStream::connect(&host.address).await.is_err().then_some(())
    })
    .await;
    for mut stream in streams {
        let rest = String::from_utf8(stream.rest().await.expect("a whole body")).unwrap();
        assert!(rest.contains("\"19 \"") && rest.ends_with("\"done\":true}\n"), "{rest}");
    }
    let (status, log) = host.stop_after_signal().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("every accepted request was finished"), "{log}");
}
