//! A router of axum in a component does what it does in a server of its own.

use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::postgres::Postgres;

const APPLICATION: &str = r#"
name = "router"

[postgres.main]
url = "${DB_URL}"

[service.router]
component = "$(router)"
postgres = "main"
services = ["hello"]

[service.hello]
component = "$(hello-p3)"
"#;

async fn serve(url: &str) -> Host {
    App::new(APPLICATION).env("DB_URL", url).serve().await
}

/// Nothing of these tests asks it.
const NO_DATABASE: &str = "postgres://nobody@127.0.0.1:1/none";

async fn send(host: &Host, path: &str, headers: &[(&str, &str)], body: &str) -> client::Reply {
    client::send(&host.address, "POST", path, headers, body).await
}

#[tokio::test]
async fn a_statement_s_rows_become_json_by_extractors_and_a_derive() {
    let postgres = Postgres::start();
    postgres.sql("create table words (id int primary key, language text, text text, note text)");
    postgres.sql(
        "insert into words values (2, 'de', 'Haus', null), (1, 'de', 'Ast', 'plural Äste'), (3, 'en', 'house', null)",
    );
    let host = serve(&postgres.url()).await;
    let reply = host.get("/router/words/de?most=5").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.text(),
        r#"[{"id":1,"word":"Ast","note":"plural Äste"},{"id":2,"word":"Haus","note":null}]"#
    );
    assert_eq!(
        (reply.header("content-type"), reply.header("x-router")),
        ("application/json", "axum")
    );
    assert_eq!(host.get("/router/words/de?most=1").await.json().as_array().unwrap().len(), 1);
    assert_eq!(host.get("/router/words/fr").await.text(), "[]");

    postgres.sql("alter table words rename column text to word");
    let refused = host.get("/router/words/de").await;
    assert_eq!(refused.status, 500);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(!refused.text().contains("column"), "{}", refused.text());
    host.logs("the database refused the statement: column \"text\" does not exist (42703)").await;
}

#[tokio::test]
async fn a_database_that_is_away_is_a_503_that_may_be_tried_again() {
    let host = serve(NO_DATABASE).await;
    let reply = host.get("/router/words/de").await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("retry-after")),
        (503, "1"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn bodies_are_extracted_counted_and_sent_back_while_they_come() {
    let host = serve(NO_DATABASE).await;
    let json = [("content-type", "application/json")];
    assert_eq!(send(&host, "/router/add", &json, r#"{"numbers":[1,2,39]}"#).await.text(), "42");
    assert_eq!(send(&host, "/router/add", &json, r#"{"numbers":[1,"#).await.status, 400);
    assert_eq!(send(&host, "/router/add", &[], r#"{"numbers":[1]}"#).await.status, 415);
    let large = "0123456789abcdef".repeat(100_000);
    assert_eq!(send(&host, "/router/count", &[], &large).await.text(), "1600000");
    assert!(send(&host, "/router/mirror", &[], &large).await.text() == large);
    let chunks =
        client::send_chunked(&host.address, "/router/count", &["one ", "two ", "three"]).await;
    assert_eq!(chunks.text(), "13");
    let lines = host.get("/router/lines?lines=2000").await;
    assert_eq!(lines.text().lines().count(), 2000);
    assert!(lines.text().ends_with("line 1999\n"));
}

#[tokio::test]
async fn routes_methods_and_other_services_are_the_router_s() {
    let host = serve(NO_DATABASE).await;
    assert_eq!(host.get("/router/nowhere").await.status, 404);
    let wrong = host.get("/router/add").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("allow")), (405, "POST"));
    let passed = host.get("/router/pass/hello").await;
    assert_eq!((passed.status.as_u16(), passed.text()), (200, "Hello from 0.3 at /\n"));
    // Not granted.
    assert_eq!(host.get("/router/pass/router").await.status, 502);
}
