//! Components that other people's toolchains make are served like those in Rust.
//!
//! What is in them is theirs: an interpreter, a library of theirs, or nothing at all. Each is compiled once here,
//! which takes seconds for an interpreter.

use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host};

/// A host that serves one of them by itself.
async fn serve(name: &str) -> Host {
    App::new("").serve_interpreter(name, &[]).await
}

/// What `/stream` is, in every one of them.
fn pieces() -> String {
    (0..100).map(|piece| format!("piece {piece}\n")).collect()
}

/// A whole answer with its length, and one that comes in pieces, some times. Each counts as served: no client left.
async fn answers_whole_and_in_pieces(host: &Host, name: &str, path: &str, whole: &str) {
    for _ in 0..3 {
        let reply = host.get(path).await;
        assert_eq!(reply.status, 200, "{}", host.log());
        assert_eq!(reply.text(), whole);
        let streamed = host.get("/stream").await;
        assert_eq!(streamed.status, 200, "{}", host.log());
        assert_eq!(streamed.text(), pieces());
    }
    let service = eventually("the count of all requests", async || {
        let service = host.service(name).await;
        let counts = ["served", "failed", "cancelled"].map(|key| service[key].as_u64().unwrap());
        (counts.iter().sum::<u64>() == 6).then_some(service)
    });
    let service = service.await;
    assert_eq!(service["served"], 6, "{service}");
}

#[tokio::test]
async fn a_component_of_componentize_js_answers_whole_and_in_pieces() {
    let host = serve("hello-js").await;
    let routes = r#"{"routes":["/","/greeting","/dice","/now","/tomorrow","/stream"]}"#;
    answers_whole_and_in_pieces(&host, "hello-js", "/", routes).await;
}

#[tokio::test]
async fn a_component_of_componentize_py_of_0_2_answers_whole_and_in_pieces() {
    let host = serve("hello-py-p2").await;
    answers_whole_and_in_pieces(&host, "hello-py-p2", "/x?y", "Hello from Python at /x?y\n").await;
    assert_eq!(host.get("/raise").await.status, 502);
    assert_eq!(host.get("/x").await.text(), "Hello from Python at /x\n");
}

#[tokio::test]
async fn a_component_of_componentize_py_of_0_3_answers_whole_and_in_pieces() {
    let host = serve("hello-py-p3").await;
    answers_whole_and_in_pieces(&host, "hello-py-p3", "/x?y", "Hello from Python at /x?y\n").await;
    assert_eq!(host.get("/raise").await.status, 502);
    assert_eq!(host.get("/x").await.text(), "Hello from Python at /x\n");
}

#[tokio::test]
async fn a_component_of_zig_s_c_answers_whole_and_in_pieces() {
    let host = serve("hello-c").await;
    answers_whole_and_in_pieces(&host, "hello-c", "/x?y", "Hello from C at /x?y\n").await;
}
