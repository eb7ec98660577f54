//! What a component reads of who asks, and whom the host believes about it.

use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::hostile::Raw;
use wasm_host_tests::models::{self, CHAT, words};
use wasm_host_tests::upstream::Upstream;

const ALL: &str = "/guest/headers?x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-prefix,forwarded";

async fn serve(http: &str) -> Host {
    let file = format!(
        "name = \"forwarded\"\n[http]\nhosts = [\"shop.example\"]\n{http}\n[service.guest]\ncomponent = \"$(hostile)\"\n"
    );
    App::new(&file).serve().await
}

/// What a component reads when this is sent to it.
async fn told(host: &Host, path: &str, sent: &[(&str, &str)]) -> String {
    let sent = [&[("host", "shop.example:8080")], sent].concat();
    client::send(&host.address, "GET", path, &sent, "").await.text().to_string()
}

#[tokio::test]
async fn a_component_reads_the_clients_address_and_its_own_prefix() {
    let host = serve("").await;
    assert_eq!(
        told(&host, ALL, &[]).await,
        "x-forwarded-for: 127.0.0.1\n\
         x-forwarded-proto: http\n\
         x-forwarded-host: shop.example:8080\n\
         x-forwarded-prefix: /guest\n\
         forwarded: for=127.0.0.1;host=\"shop.example:8080\";proto=http\n"
    );
    let by_name = [("host", "guest.localhost")];
    let path = "/headers?x-forwarded-prefix,x-forwarded-host";
    let reply = client::send(&host.address, "GET", path, &by_name, "").await;
    assert_eq!(reply.text(), "x-forwarded-prefix: -\nx-forwarded-host: guest.localhost\n");
}

// Fault (Clients): a client that says that it is somebody else | drops that, and says who it is | its answer | nothing
#[tokio::test]
async fn what_a_client_says_of_itself_is_not_believed() {
    let host = serve("").await;
    let honest = told(&host, ALL, &[]).await;
    let claims = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=203.0.113.9;proto=https"),
    ];
    assert_eq!(told(&host, ALL, &claims).await, honest);
    let names = ["x-real-ip", "x_forwarded_for", "x-forwarded-user", "cf-connecting-ip"];
    let path = format!("/guest/headers?{}", names.join(","));
    let sent = names.map(|name| (name, "203.0.113.9"));
    let nothing: String = names.iter().map(|name| format!("{name}: -\n")).collect();
    assert_eq!(told(&host, &path, &sent).await, nothing);
}

#[tokio::test]
async fn a_client_cannot_have_what_the_host_says_taken_out() {
    let host = serve("").await;
    let mut raw = Raw::connect(&host.address).await;
    let request = format!(
        "GET {ALL} HTTP/1.1\r\nhost: localhost\r\nconnection: close, x-forwarded-for, forwarded\r\n\r\n"
    );
    raw.send(request).await.unwrap();
    let text = raw.end().await.text();
    assert!(text.contains("x-forwarded-for: 127.0.0.1\n"), "{text}");
    assert!(text.contains("forwarded: for=127.0.0.1;"), "{text}");
}

// Fault (Clients): a client that claims an address through a trusted proxy | takes the last that is not trusted | its answer | nothing
#[tokio::test]
async fn a_trusted_proxy_says_who_asks_and_nobody_behind_it_does() {
    let host = serve("trusted-proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]").await;
    let sent = [
        // The first was written by the client.
        ("x-forwarded-for", "203.0.113.9, 2001:db8::7, 10.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-prefix", "/base/"),
    ];
    assert_eq!(
        told(&host, ALL, &sent).await,
        "x-forwarded-for: 2001:db8::7, 10.1.1.1, 127.0.0.1\n\
         x-forwarded-proto: https\n\
         x-forwarded-host: shop.example\n\
         x-forwarded-prefix: /base/guest\n\
         forwarded: for=\"[2001:db8::7]\";host=shop.example;proto=https, for=10.1.1.1, for=127.0.0.1\n"
    );
    let rfc = [("forwarded", "for=\"[2001:db8::7]:4711\";proto=https;host=shop.example")];
    assert_eq!(
        told(&host, ALL, &rfc).await,
        "x-forwarded-for: 2001:db8::7, 127.0.0.1\n\
         x-forwarded-proto: https\n\
         x-forwarded-host: shop.example\n\
         x-forwarded-prefix: /guest\n\
         forwarded: for=\"[2001:db8::7]\";host=shop.example;proto=https, for=127.0.0.1\n"
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_in_the_list_is_a_client() {
    let host = serve("trusted-proxies = [\"10.0.0.0/8\"]").await;
    let path = "/guest/headers?x-forwarded-for";
    let sent = [("x-forwarded-for", "203.0.113.9")];
    assert_eq!(told(&host, path, &sent).await, "x-forwarded-for: 127.0.0.1\n");
}

#[tokio::test]
async fn a_model_server_is_not_told_who_asks() {
    let upstream = Upstream::start(|_| words(1)).await;
    let host = models::app(&upstream.url, "").serve().await;
    for path in ["/api/chat", "/v1/chat/completions"] {
        let sent = [("x-forwarded-for", "203.0.113.9"), ("x-kept", "yes")];
        client::send(&host.address, "POST", path, &sent, CHAT).await;
    }
    let requests = upstream.requests();
    // What else the client says is passed on.
    assert!(requests.iter().any(|request| request.contains("x-kept: yes")), "{requests:?}");
    for request in requests {
        let request = request.to_ascii_lowercase();
        assert!(!request.contains("forwarded"), "{request}");
    }
}
