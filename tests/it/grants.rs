//! Promise 3: a component reaches only what the application file grants.

use wasm_host_tests::host::App;

#[tokio::test]
async fn an_ungranted_import_is_refused_with_the_line_that_grants_it() {
    let app = App::new(
        r#"
name = "grants"

[postgres.orders]
url = "postgres://app@127.0.0.1:1/orders"

[service.weather]
component = "$(weather)"

[service.chat]
component = "$(ollama)"
"#,
    );
    for command in ["serve", "check"] {
        let output = app.run(&[command]).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{text}");
        let weather = text.lines().find(|line| line.contains("[service.weather]")).expect(&text);
        assert!(weather.starts_with("wasm-host.toml:7:"), "{text}");
        assert!(weather.contains("it imports wasm-host:postgres/"), "{text}");
        assert!(weather.contains(r#"add postgres = "orders" under [service.weather]"#), "{text}");
        // Both faults at once, and the advice that fits when there is no such resource yet.
        let chat = text.lines().find(|line| line.contains("[service.chat]")).expect(&text);
        assert!(chat.contains("it imports wasm-host:ollama/"), "{text}");
        assert!(chat.contains("add [ollama.<name>]"), "{text}");
    }
}

#[tokio::test]
async fn a_component_has_no_files_no_sockets_and_only_the_declared_environment() {
    let app = App::new(
        r#"
name = "grants"

[service.guest]
component = "$(hostile)"
route = "/"
services = ["other"]
environment = { GREETING = "hi", TOKEN = "${GUEST_TOKEN}" }

[service.other]
component = "$(hello-p3)"
internal = true
"#,
    )
    .env("GUEST_TOKEN", "t0ken")
    .env("NOT_FOR_GUESTS", "x");
    let host = app.serve().await;
    assert_eq!(
        host.get("/env").await.text(),
        "GREETING=hi\nTOKEN=t0ken\nservices__other__http__0=http://other\n"
    );
    assert_eq!(host.get("/files").await.text(), "/: false\n.: false\n/etc/passwd: false\n");
    assert_eq!(host.get("/socket").await.text(), "Err(PermissionDenied)");
}

#[tokio::test]
async fn outgoing_http_reaches_granted_services_only() {
    let app = App::new(
        r#"
name = "grants"

[service.guest]
component = "$(hostile)"
route = "/"
services = ["friend"]

[service.friend]
component = "$(hello-p3)"

[service.stranger]
component = "$(hello-p3)"
"#,
    );
    let host = app.serve().await;
    assert_eq!(host.get("/call?friend/").await.text(), "Hello from 0.3 at /\n");
    let own = host.address.clone();
    for target in ["stranger/", "example.com/", own.as_str()] {
        let reply = host.get(&format!("/call?{target}")).await;
        assert_eq!(reply.text(), "ErrorCode::HttpRequestDenied\n", "{target}");
    }
    host.logs(r#"add services = ["stranger"] under [service.guest]"#).await;
}
