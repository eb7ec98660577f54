//! A replica of several services.

use super::*;

fn two_services(url: &str) -> App {
    App::new(&format!(
        r#"
name = "replicas"

[replicas]
url = "{url}"
lease = "10s"

[service.app]
component = "$(version-one)"
route = "/"

[service.beside]
component = "$(version-one)"
route = "/beside"
"#
    ))
}

// Fault (Replicas): a replica that comes cannot serve one of its services | keeps it shut, and goes on without its vote | 503 of that one | nothing
#[tokio::test]
async fn a_replica_is_shut_until_it_serves_the_last_of_its_services() {
    let server = Postgres::start();
    let first = two_services(&server.url()).serve().await;
    is_ready(&first).await;
    let reply = first.swap("beside", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    server.sql("delete from wasm_host.components");
    let late = two_services(&server.url()).serve().await;
    late.logs("it cannot serve what the other replicas serve").await;
    let reply = late.ask("GET", "/ready", &[], "").await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(late.get("/").await.status, 503);
    eventually("the reason", async || {
        let reply = late.ask("GET", "/ready", &[], "").await;
        let reason = reply.json()["reason"].as_str().unwrap_or_default().to_owned();
        reason.starts_with("beside: it cannot serve what the others serve: ").then_some(())
    })
    .await;
    // Its vote does not count; now the bytes are there again.
    let reply = first.swap("beside", "", version("slow")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    is_ready(&late).await;
    assert!(late.get("/beside").await.text().contains("slow"));
}
