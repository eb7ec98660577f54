//! Spans of pages, which come in on the public port where the application file says so.

use serde_json::{Value, json};
use wasm_host_tests::client::{self, Reply};
use wasm_host_tests::host::{App, Host};

use super::intake::spans;
use super::{TWO, is_below, span, trace};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PAGE: &str = "00f067aa0ba902b7";

fn app(more: &str) -> App {
    let app = App::new(&format!(
        "{TWO}\n[service.page]\nstatic = \"page\"\nroute = \"/\"\n\
         [telemetry]\npage-route = \"/seen/otlp\"\n{more}"
    ));
    std::fs::create_dir_all(app.path().join("page/deep")).unwrap();
    for file in ["index.html", "deep/other.html", "plain.txt"] {
        std::fs::write(app.path().join("page").join(file), "<p>here</p>").unwrap();
    }
    app
}

async fn send(host: &Host, headers: &[(&str, &str)], body: &Value) -> Reply {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    let path = "/seen/otlp/v1/traces";
    client::send(&host.address, "POST", path, &headers, body.to_string()).await
}

#[tokio::test]
async fn a_page_is_the_root_of_the_trace_of_what_it_asks_for() {
    let host = app("").serve().await;
    let parent = format!("00-{TRACE}-{PAGE}-01");
    let headers = [("traceparent", &*parent), ("sec-fetch-site", "same-origin")];
    let path = "/caller/fetch?http://inner/print";
    assert_eq!(client::send(&host.address, "GET", path, &headers, "").await.status, 204);
    let before = trace(&host, "service=inner", |_| true).await;
    assert_eq!(before["trace"], TRACE);
    // What the page says of itself comes last, and it says that it is a service.
    let origin = format!("http://{}", host.address);
    let body = spans("caller", "GET caller", TRACE, PAGE);
    assert_eq!(send(&host, &[("origin", &origin)], &body).await.status, 200);
    let is_whole = |item: &Value| item["service"] == "browser" && item["name"] == "GET caller";
    let whole = trace(&host, "service=browser", is_whole).await;
    assert_eq!(whole["trace"], TRACE);
    let root = span(&whole, "browser", "GET caller");
    assert_eq!(root["scope"], "browser");
    assert_eq!(root["attributes"], json!({ "wasm_host.received": "page" }));
    assert!(is_below(&whole, span(&whole, "caller", "GET /caller"), root));
    assert!(is_below(&whole, span(&whole, "inner", "GET"), root));
    // It is one of the list, and none of what pages send is seen as a request.
    let all = host.ask("GET", "/api/traces", &[], "").await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 1, "{all}");
    assert_eq!(all["items"][0]["spans"], whole["spans"].as_array().unwrap().len());
}

// Fault (Telemetry): pages of other origins that send spans, and pages that send too many | refuses them; takes so many in a second | 403; what was left out | what was sent; spans beyond it, counted
#[tokio::test]
async fn only_pages_of_the_application_send_spans_and_only_so_many() {
    let host = app("page-spans-per-second = 2\n").serve().await;
    let body = spans("x", "GET", TRACE, PAGE);
    let own = format!("http://{}", host.address);
    for headers in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("sec-fetch-site", "same-site")],
    ] {
        let refused = send(&host, headers, &body).await;
        assert_eq!(refused.status, 403, "{headers:?}");
    }
    let page = [("sec-fetch-site", "same-origin")];
    // No page of another origin learns that it may send something.
    let asks = [("origin", "http://evil.example"), ("access-control-request-method", "POST")];
    let path = "/seen/otlp/v1/traces";
    let preflight = client::send(&host.address, "OPTIONS", path, &asks, "").await;
    assert!(!preflight.status.is_success(), "{}", preflight.status);
    assert_eq!(preflight.header("access-control-allow-origin"), "");
    let mut many = body.clone();
    let all = many["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array_mut().unwrap();
    *all = vec![all[0].clone(); 200];
    let some = send(&host, &page, &many).await;
    assert_eq!(some.status, 200);
    assert_eq!(some.json()["partialSuccess"]["rejectedSpans"], "198");
    let large = Value::from(" ".repeat(64 * 1024));
    assert_eq!(send(&host, &page, &large).await.status, 413);
    assert_eq!(send(&host, &page, &json!([])).await.status, 400);
    for path in ["/seen/otlp/v1/logs", "/seen/otlp/v1/metrics", "/seen/otlp"] {
        let other = client::send(&host.address, "POST", path, &page, "{}").await;
        assert_eq!(other.status, 404, "{path}");
    }
    let metrics = host.ask("GET", "/metrics", &[], "").await;
    let counted = "wasm_host_telemetry_intake_refused_total{from=\"page\",signal=\"traces\"}";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[tokio::test]
async fn a_page_is_told_where_its_spans_go_and_only_if_they_go_anywhere() {
    let host = app("").serve().await;
    for (path, told) in [
        ("/", "otlp;desc=\"./seen/otlp\""),
        ("/deep/other.html", "otlp;desc=\"../seen/otlp\""),
        ("/plain.txt", ""),
    ] {
        assert_eq!(host.get(path).await.header("server-timing"), told, "{path}");
    }
    // A service that is asked by its own name has all paths, and the page cannot send anything.
    let named = [("host", "page.localhost")];
    let page = client::send(&host.address, "GET", "/", &named, "").await;
    assert_eq!((page.status.as_u16(), page.header("server-timing")), (200, ""));
    let off = app("enabled = false\n").serve().await;
    assert_eq!(off.get("/").await.header("server-timing"), "");
    let sent = send(&off, &[("sec-fetch-site", "same-origin")], &json!({})).await;
    assert_eq!(sent.status, 405);
}
