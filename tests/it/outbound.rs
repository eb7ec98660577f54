//! Outgoing HTTP: a component calls the hosts that its service lists, within bounds, and no others.

mod bounds;
mod inside;
mod tls;

use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::upstream::{Step, Upstream, json};

/// The two kinds of components, on what `keys` of their services say.
async fn callers(keys: &str) -> Host {
    app(keys).serve().await
}

fn app(keys: &str) -> App {
    App::new(&format!(
        r#"
name = "outbound"

[service.caller]
component = "$(caller)"
{keys}

[service.old]
component = "$(caller-p2)"
{}
"#,
        keys.replace("service.caller", "service.old")
    ))
}

/// What the new kind of component got from a URL.
async fn fetch(host: &Host, url: &str) -> (u16, String) {
    let reply = host.get(&format!("/caller/fetch?{url}")).await;
    (reply.status.as_u16(), reply.text().to_string())
}

/// The same of the old kind, which tells the status in its answer.
async fn fetch_old(host: &Host, url: &str) -> String {
    host.get(&format!("/old/?{url}")).await.text().to_string()
}

async fn hello() -> Upstream {
    Upstream::start(|_| vec![Step::Send(json("200 OK", "\"hello\""))]).await
}

// Fault (Hosts outside): a host that is not listed | refuses, and tells the line that allows it | the component's error | nothing
#[tokio::test]
async fn a_host_that_is_not_listed_is_refused_with_the_line_that_allows_it() {
    let upstream = hello().await;
    let host = callers("").await;
    for _ in 0..3 {
        let refused = (502, "ErrorCode::HttpRequestDenied\n".to_string());
        assert_eq!(fetch(&host, &upstream.url).await, refused);
        assert!(fetch_old(&host, &upstream.url).await.contains("HttpRequestDenied"));
    }
    assert_eq!(upstream.requests().len(), 0);
    for service in ["caller", "old"] {
        let line =
            format!("add \"{}\" to outbound = [...] under [service.{service}]", upstream.url);
        host.logs(&line).await;
        let log = host.log();
        assert_eq!(log.matches(&line).count(), 1, "{log}");
    }
}

#[tokio::test]
async fn a_listed_host_is_called_by_components_of_both_kinds() {
    let upstream = hello().await;
    let list = format!("outbound = [\"{}\"]", upstream.url);
    let table = format!("[service.caller.outbound]\nallow = \"{}\"\nconcurrent = 3", upstream.url);
    for keys in [list, table] {
        let host = callers(&keys).await;
        let url = format!("{}/a?b=c", upstream.url);
        assert_eq!(fetch(&host, &url).await, (200, "\"hello\"".to_string()));
        assert_eq!(fetch_old(&host, &url).await, "200 \"hello\"");
    }
    let requests = upstream.requests();
    assert_eq!(requests.len(), 4);
    let address = upstream.url.trim_start_matches("http://");
    for request in requests {
        assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
        assert!(
            request.to_ascii_lowercase().contains(&format!("host: {address}\r\n")),
            "{request}"
        );
    }
}

// Fault (Hosts outside): a name that leads into a private network | connects to nothing | the component's error | nothing
#[tokio::test]
async fn a_name_does_not_lead_into_private_networks() {
    let upstream = hello().await;
    let (_, port) = upstream.url.rsplit_once(':').unwrap();
    let host = callers(&format!("outbound = \"http://*:{port}\"")).await;
    for name in ["localhost", "LOCALHOST", "localhost.", "2130706433", "0x7f000001", "127.1"] {
        let (status, text) = fetch(&host, &format!("http://{name}:{port}/")).await;
        assert_eq!(status, 502, "{name}: {text}");
        assert!(text.contains("DestinationIpProhibited") || text.contains("DnsError"), "{text}");
    }
    for address in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"] {
        let (status, text) = fetch(&host, &format!("http://{address}:{port}/")).await;
        assert_eq!((status, &*text), (502, "ErrorCode::HttpRequestDenied\n"), "{address}");
    }
    assert_eq!(upstream.requests().len(), 0);
    host.logs("which is at 127.0.0.1").await;
    let log = host.log();
    assert!(
        log.contains("which is at 127.0.0.1: add \\\"http://127.0.0.1:")
            || log.contains(&format!("which is at 127.0.0.1: add \"http://127.0.0.1:{port}\"")),
        "{log}"
    );
}

// Fault (Hosts outside): a redirect | hands it to the component | the component's answer | nothing
#[tokio::test]
async fn redirects_are_answers() {
    let secret = hello().await;
    let target = secret.url.clone();
    let upstream = Upstream::start(move |_| {
        let head =
            format!("HTTP/1.1 307 Found\r\nlocation: {target}/\r\ncontent-length: 0\r\n\r\n");
        vec![Step::Send(head.into_bytes())]
    })
    .await;
    let host = callers(&format!("outbound = [\"{}\", \"{}\"]", upstream.url, secret.url)).await;
    let reply =
        client::send(&host.address, "GET", &format!("/caller/fetch?{}", upstream.url), &[], "")
            .await;
    assert_eq!(reply.status, 307);
    assert_eq!(reply.header("location"), format!("{}/", secret.url));
    assert_eq!(secret.requests().len(), 0);
}
