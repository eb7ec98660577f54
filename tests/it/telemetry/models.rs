//! Calls of models are seen with their tokens, also those that pass through as they are.

use serde_json::json;
use wasm_host_tests::host::App;
use wasm_host_tests::models::words;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end};

use super::{span, trace};

const MODELS: &str = r#"
name = "models"

[ollama.local]

[service.ollamaservice]
component = "$(ollama)"
ollama = "local"
route = "/ollama"
"#;

#[tokio::test]
async fn a_stream_that_passes_through_says_its_model_and_tokens() {
    let upstream = Upstream::start(|_| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        vec![
            Step::Send(head.into()),
            Step::Send(chunk(b"data: {\"model\":\"llama3.2\",\"choices\":[{\"delta\":{\"content\":\"s3cret\"}}]}\n\n")),
            Step::Send(chunk(b"data: {\"model\":\"llama3.2\",\"choices\":[],\"usage\":{\"prompt_tokens\":26,")),
            Step::Send(chunk(b"\"completion_tokens\":298}}\n\ndata: [DONE]\n\n")),
            Step::Send(end()),
        ]
    })
    .await;
    let host = App::new(MODELS).env("OLLAMA_HOST", &upstream.url).serve().await;
    let asked =
        r#"{"model":"llama3.2","stream":true,"messages":[{"role":"user","content":"s3cret"}]}"#;
    let reply = host.send("POST", "/ollama/v1/chat/completions", asked).await;
    assert!(reply.text().ends_with("data: [DONE]\n\n"), "{}", reply.text());
    let trace = trace(&host, "service=ollamaservice", |item| item["status"] == 200).await;
    let call = span(&trace, "ollamaservice", "POST");
    let said = &call["attributes"];
    for (name, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.request.model", json!("llama3.2")),
        ("gen_ai.usage.input_tokens", json!(26)),
        ("gen_ai.usage.output_tokens", json!(298)),
    ] {
        assert_eq!(said[name], value, "{name} in {call:#}");
    }
    assert!(said["gen_ai.response.time_to_first_chunk"].is_number(), "{call:#}");
    assert!(!trace.to_string().contains("s3cret"), "{trace:#}");
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let counted = "gen_ai_client_token_usage_sum{service=\"ollamaservice\",gen_ai_operation_name=\"chat\",\
                   gen_ai_request_model=\"llama3.2\",gen_ai_token_type=\"output\"} 298";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

/// `wasm-host` shows what is said to models only where the application file says so.
#[tokio::test]
async fn what_is_said_to_a_model_is_seen_where_the_file_says_so() {
    let upstream = Upstream::start(|_| words(1)).await;
    let asked = r#"{"model":"m","messages":[{"role":"user","content":"Will it rain?"}]}"#;
    for captures in [true, false] {
        let app = App::new(&format!("{MODELS}\n[telemetry]\ncapture-messages = {captures}\n"));
        let host = app.env("OLLAMA_HOST", &upstream.url).serve().await;
        let reply = host.send("POST", "/ollama/api/chat", asked).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let trace = trace(&host, "service=ollamaservice", |item| item["status"] == 200).await;
        let said = &span(&trace, "ollamaservice", "chat m")["attributes"];
        for (name, role, content) in [
            ("gen_ai.input.messages", "user", "Will it rain?"),
            ("gen_ai.output.messages", "assistant", "one"),
        ] {
            let messages =
                json!([{ "role": role, "parts": [{ "type": "text", "content": content }] }]);
            let kept = said[name].as_str().map(|text| serde_json::from_str(text).unwrap());
            assert_eq!(kept, captures.then_some(messages), "{name} in {said}");
        }
    }
}
