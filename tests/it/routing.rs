//! Requests find their service: by prefix, by host name, from inside.

use wasm_host_tests::client;
use wasm_host_tests::host::App;

const SERVICES: &str = r#"
name = "routing"

[service.outer]
component = "$(hostile)"
route = "/a"
services = ["hidden", "loop"]

[service.deep]
component = "$(hello-p3)"
route = "/a/deep"

[service.hidden]
component = "$(hello-p3)"
internal = true

[service.loop]
component = "$(hostile)"
services = ["loop"]
"#;

#[tokio::test]
async fn the_longest_prefix_wins_and_is_stripped_without_a_redirect() {
    let host = App::new(SERVICES).serve().await;
    let deep = host.get("/a/deep/x?y=%20z").await;
    assert_eq!(deep.status, 200);
    assert_eq!(deep.text(), "Hello from 0.3 at /x?y=%20z\n");
    assert_eq!(host.get("/a/deep").await.text(), "Hello from 0.3 at /\n");
    assert_eq!(host.get("/a/deeper").await.status, 404);
    assert_eq!(host.send("POST", "/a/echo", "body").await.text(), "body");
}

#[tokio::test]
async fn a_host_name_selects_a_service() {
    let host = App::new(SERVICES).serve().await;
    let by_name = [("host", "deep.localhost")];
    let reply = client::send(&host.address, "GET", "/a/deep", &by_name, "").await;
    assert_eq!(reply.text(), "Hello from 0.3 at /a/deep\n");
}

#[tokio::test]
async fn a_host_name_that_is_no_service_goes_by_path() {
    let host = App::new(SERVICES).serve().await;
    for name in ["myapp.dev.localhost", "deep.dev.localhost:8080", "nobody.localhost", "localhost"]
    {
        let by_path = [("host", name)];
        let reply = client::send(&host.address, "GET", "/a/deep/x", &by_path, "").await;
        assert_eq!(reply.text(), "Hello from 0.3 at /x\n", "{name}");
    }
}

#[tokio::test]
async fn a_service_is_called_by_its_name_in_any_case() {
    let host = App::new(SERVICES).serve().await;
    assert_eq!(host.get("/a/call?HIDDEN/x").await.text(), "Hello from 0.3 at /x\n");
    // What is not granted stays so, and the log names what would grant it.
    assert_eq!(host.get("/a/call?Deep/x").await.status, 502);
    host.logs("add services = [\"deep\"]").await;
}

#[tokio::test]
async fn a_stream_tells_proxies_to_pass_it_on_as_it_comes() {
    let host = App::new(SERVICES).serve().await;
    for kind in ["text/event-stream", "application/x-ndjson"] {
        let reply = host.get(&format!("/a/stream?{kind}")).await;
        assert_eq!(reply.text(), "a piece\n");
        let told = (reply.header("x-accel-buffering"), reply.header("cache-control"));
        assert_eq!(told, ("no", "no-transform"), "{kind}");
    }
    let reply = host.get("/a/stream?text/plain").await;
    assert_eq!((reply.header("x-accel-buffering"), reply.header("cache-control")), ("", ""));
}

#[tokio::test]
async fn an_internal_service_is_reached_from_inside_only() {
    let host = App::new(SERVICES).serve().await;
    assert_eq!(host.get("/a/call?hidden/x").await.text(), "Hello from 0.3 at /x\n");
    assert_eq!(host.get("/hidden/x").await.status, 404);
    let by_name = [("host", "hidden.localhost")];
    assert_eq!(client::send(&host.address, "GET", "/", &by_name, "").await.status, 404);
}

#[tokio::test]
async fn a_route_in_the_words_of_another_host_is_told_what_to_write() {
    for (written, meant) in [("/api/...", "/api"), ("/api/*", "/api"), ("/...", "/")] {
        let file = SERVICES.replace("\"/a/deep\"", &format!("{written:?}"));
        let output = App::new(&file).run(&["check"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(
            said.contains(&format!("write '{meant}', which covers everything below it")),
            "{said}"
        );
    }
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_document() {
    let host = App::new(SERVICES).serve().await;
    let reply = host.get("/nowhere").await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    let problem = reply.json();
    assert_eq!(problem["title"], "No such route");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["requestId"], reply.header("x-request-id"));
}

#[tokio::test]
async fn calls_between_services_end_at_the_hop_limit() {
    let host = App::new(SERVICES).serve().await;
    // Each hop calls the next: nine times a call in a call.
    let chain = "call?loop/".repeat(9) + "print";
    let reply = host.get(&format!("/loop/{chain}")).await;
    assert_eq!((reply.status.as_u16(), reply.text()), (502, "ErrorCode::LoopDetected\n"));
    // It is the component's answer, and says which request it is of, as those of the host do.
    assert_eq!(reply.header("x-request-id").len(), 16);
    let short = "call?loop/".repeat(3) + "print";
    assert_eq!(host.get(&format!("/loop/{short}")).await.status, 204);
}

#[tokio::test]
async fn every_service_has_a_health_page() {
    let host = App::new(SERVICES).serve().await;
    for path in ["/a/deep/health", "/a/health", "/loop/alive"] {
        assert_eq!(host.get(path).await.status, 200, "{path}");
    }
    let health = host.get("/a/health").await.json();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["service"], "outer");
}
