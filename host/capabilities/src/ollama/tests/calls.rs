//! What is sent for each call, and what becomes of answers and refusals.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::backend::{ChatRequest, EmbedRequest, Message};
use super::scripted::{ClosedPort, ReceivedRequest, Scripted, answer, stream};
use super::*;

/// A server that remembers what it was asked and always gives one answer.
async fn recording(reply: Vec<u8>) -> (Scripted, Arc<Mutex<Vec<ReceivedRequest>>>) {
    let seen: Arc<Mutex<Vec<ReceivedRequest>>> = Arc::default();
    let record = seen.clone();
    let server = Scripted::serve(move |mut connection| {
        let (record, reply) = (record.clone(), reply.clone());
        async move {
            while let Some(request) = connection.request().await {
                record.lock().push(request);
                connection.send(&reply).await;
            }
        }
    })
    .await;
    (server, seen)
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap()
}

#[tokio::test]
async fn each_call_sends_what_ollama_expects() {
    let (server, seen) = recording(stream("{\"status\":\"success\",\"done\":true}\n")).await;
    let client = client(server.address);
    let chat = ChatRequest {
        model: "m".into(),
        messages: vec![Message {
            role: "user".into(),
            content: "a\n\"b\"".into(),
            extra: Some(r#"{"images":["AA=="]}"#.into()),
        }],
        extra: Some(r#"{"options":{"temperature":0.10},"stream":false}"#.into()),
    };
    let _ = collect(client.chat(chat, never()).await.unwrap()).await;
    let load = GenerateRequest { model: "m".into(), prompt: None, extra: None };
    let _ = collect(client.generate(load, never()).await.unwrap()).await;
    let _ = client.pull("m:1".into(), Some(r#"{"insecure":true}"#.into()), never()).await.unwrap();
    let embed = EmbedRequest { model: "m".into(), input: vec!["a".into()], extra: None };
    assert!(client.embed(embed, never()).await.unwrap().vectors.is_empty());
    client.show("m".into(), Some(r#"{"verbose":true}"#.into()), never()).await.unwrap();
    client.delete("m".into(), never()).await.unwrap();

    let seen = seen.lock();
    let sent: Vec<_> = seen.iter().map(|one| (one.line.as_str(), text(&one.body))).collect();
    assert_eq!(
        sent,
        [
            (
                "POST /api/chat HTTP/1.1",
                r#"{"model":"m","messages":[{"role":"user","content":"a\n\"b\"","images":["AA=="]}],"stream":true,"options":{"temperature":0.10}}"#,
            ),
            ("POST /api/generate HTTP/1.1", r#"{"model":"m","stream":true}"#),
            ("POST /api/pull HTTP/1.1", r#"{"model":"m:1","stream":true,"insecure":true}"#),
            ("POST /api/embed HTTP/1.1", r#"{"model":"m","input":["a"]}"#),
            ("POST /api/show HTTP/1.1", r#"{"model":"m","verbose":true}"#),
            ("DELETE /api/delete HTTP/1.1", r#"{"model":"m"}"#),
        ]
    );
    let length = format!("content-length: {}", seen[1].body.len());
    let host = format!("host: {}", server.address);
    let expected = ["accept: */*", &length, "content-type: application/json", &host];
    assert_eq!(seen[1].headers, expected);
}

#[tokio::test]
async fn an_extra_that_is_no_object_is_never_sent() {
    let (server, seen) = recording(stream("{}")).await;
    let request = GenerateRequest { model: "m".into(), prompt: None, extra: Some("[]".into()) };
    let result = client(server.address).generate(request, never()).await;
    assert!(matches!(result, Err(Error::Invalid(_))));
    assert!(seen.lock().is_empty());
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_its_body() {
    let body = r#"{"error":"model 'x' not found","more":1}"#;
    let server = Scripted::answering(answer("404 Not Found", body)).await;
    for result in [
        generate(&client(server.address)).await.map(drop),
        client(server.address).list(never()).await.map(drop),
    ] {
        let Err(Error::Refused(refusal)) = result else { panic!("{result:?}") };
        assert_eq!(refusal.status, 404);
        assert_eq!(refusal.message, "model 'x' not found");
        assert_eq!(refusal.body, body);
    }
}

#[tokio::test]
async fn a_refusal_without_words_says_its_status_and_a_long_one_is_cut() {
    let page = "<html>".repeat(20_000);
    let server = Scripted::answering(answer("503 Service Unavailable", &page)).await;
    let Err(Error::Refused(refusal)) = generate(&client(server.address)).await else { panic!() };
    assert_eq!(refusal.message, "the server answered 503 (Service Unavailable)");
    assert_eq!(refusal.body, page[..64 * 1024]);

    // A redirect is not followed: it would lose the body.
    let moved = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
    let server = Scripted::answering(moved).await;
    let Err(Error::Refused(refusal)) = generate(&client(server.address)).await else { panic!() };
    assert_eq!(refusal.status, 302);
}

#[tokio::test]
async fn an_answer_that_is_not_the_protocol_is_malformed() {
    for body in ["", "[]", "<html>", "{\"version\":1}"] {
        let server = Scripted::answering(answer("200 OK", body)).await;
        let result = client(server.address).version(never()).await;
        assert!(matches!(result, Err(Error::Malformed(_))), "{body}: {result:?}");
    }
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"version\"";
    let server = Scripted::serve(move |mut connection| async move {
        connection.request().await;
        connection.send(cut).await;
    })
    .await;
    let result = client(server.address).version(never()).await;
    assert!(matches!(result, Err(Error::Truncated)), "{result:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_its_address_stays_secret() {
    let gone = ClosedPort::take();
    let Err(Error::Unreachable(why)) = generate(&client(gone.address)).await else { panic!() };
    assert_eq!(why, "connection refused");

    // Some resolvers ask around for long before they say that there is no such name.
    let patient = Terms { connect_timeout: Duration::from_secs(300), ..terms() };
    let upstream = alone_with("http://name:pa55word@no-such-host.invalid/t0ken", &patient);
    let shown = format!("{upstream:?}");
    let client = Client::new(Arc::new(upstream), Options::default());
    let Err(Error::Unreachable(why)) = generate(&client).await else { panic!() };
    assert_eq!(why, "its name is not known");
    assert!(!shown.contains("pa55") && !shown.contains("t0ken"), "{shown}");

    let silent = Scripted::serve(|mut connection| async move { drop(connection.request().await) });
    let result = generate(&super::client(silent.await.address)).await;
    assert!(matches!(&result, Err(Error::Unreachable(why)) if why.contains("lost")), "{result:?}");
}

#[tokio::test]
async fn a_path_prefix_and_a_password_go_with_every_request() {
    let (server, seen) = recording(answer("200 OK", r#"{"version":"1"}"#)).await;
    let upstream = alone(&format!("http://name:pa55@{}/sub/ollama/", server.address));
    let client = Client::new(Arc::new(upstream), Options::default());
    assert_eq!(client.version(never()).await.unwrap(), "1");
    let seen = seen.lock();
    assert_eq!(seen[0].line, "GET /sub/ollama/api/version HTTP/1.1");
    assert!(seen[0].headers.contains(&"authorization: basic bmftztpwytu1".to_string()));
}
