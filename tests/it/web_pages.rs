//! No page of another origin acts through the host or reads through it, unless the application file lets it.
//! Requests are such as browsers send; a real one does the same in `web/e2e/origins.test.mjs`.

use std::fs;

use wasm_host_tests::client::{self, Reply};
use wasm_host_tests::host::{App, Host};
use wasm_host_tests::hostile::Raw;
use wasm_host_tests::models::{self, CHAT};
use wasm_host_tests::upstream::{Step, Upstream, json};

const EVIL: (&str, &str) = ("origin", "http://evil.example");
const LISTED: (&str, &str) = ("origin", "https://app.example.com");

/// Of each kind of service one that is closed and one that is open to a page and to two applications.
fn app(http: &str) -> App {
    let open = "{ origins = [\"https://app.example.com\", \"tauri://localhost\", \"vscode-webview://\"], methods = \
                [\"GET\", \"POST\"], headers = [\"content-type\"], expose = [\"x-request-id\"], max-age = \"10m\" }";
    let app = App::new(&format!(
        r#"
name = "pages"

[http]
{http}

[service.closed]
component = "$(hostile)"
services = ["open"]

[service.open]
component = "$(hostile)"
cors = {open}
max-body = 100

[service.files]
static = "files"

[service.open-files]
static = "files"
cors = {open}
"#
    ));
    fs::create_dir(app.path().join("files")).unwrap();
    fs::write(app.path().join("files/a.txt"), "text").unwrap();
    app
}

async fn send(host: &Host, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
    client::send(&host.address, method, path, headers, "").await
}

fn varies(reply: &Reply) -> Vec<&str> {
    let lines = reply.headers.get_all("vary").iter().map(|value| value.to_str().unwrap());
    lines.flat_map(|line| line.split(", ")).collect()
}

/// A model server that answers everything, every page included, as some do.
async fn generous() -> Upstream {
    Upstream::start(|_| {
        vec![Step::Send(
            b"HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\naccess-control-allow-headers: *\r\n\
              set-cookie: session=theirs\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
                .to_vec(),
        )]
    })
    .await
}

// Fault (Clients): a page of another origin that posts, deletes, or sends a form | refuses | 403 with the line that would let it in | nothing: no service is asked
#[tokio::test]
async fn a_page_of_another_origin_does_not_drive_the_models() {
    let upstream = generous().await;
    let host = models::app(&upstream.url, "").serve().await;
    let kinds =
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"];
    // What clients of Ollama look for before they look for `error`.
    let of_models = "application/json";
    for (method, path, form) in [
        ("POST", "/api/chat", of_models),
        ("POST", "/api/generate", of_models),
        ("POST", "/api/pull", of_models),
        ("DELETE", "/api/delete", of_models),
        ("POST", "/v1/chat/completions", of_models),
        ("POST", "/good/", "application/problem+json"),
    ] {
        for kind in kinds {
            let kind = ("content-type", kind);
            for page in [
                EVIL,
                ("origin", "null"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
            ] {
                let reply = client::send(&host.address, method, path, &[page, kind], CHAT).await;
                assert_eq!(reply.status, 403, "{method} {path} {page:?} {kind:?}");
                assert_eq!(reply.header("content-type"), form, "{path}");
                assert_eq!(reply.json()["title"], "Not for pages of other origins");
                assert!(!reply.headers.contains_key("access-control-allow-origin"));
            }
        }
    }
    assert_eq!(upstream.requests(), Vec::<String>::new());
    let told = client::send(&host.address, "POST", "/api/chat", &[EVIL], CHAT).await.json();
    let line =
        "cors = { origins = [\"http://evil.example\"], methods = [\"POST\"] } under [service.chat]";
    assert!(told["detail"].as_str().unwrap().contains(line), "{told}");
}

#[tokio::test]
async fn the_page_of_this_host_and_programs_notice_nothing() {
    let upstream = generous().await;
    let host = models::app(&upstream.url, "").serve().await;
    let own = format!("http://{}", host.address);
    for headers in [
        &[][..],
        &[("origin", &*own)],
        &[("origin", &*own), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "none")],
        // A development server that hands on what its own page asks.
        &[("origin", "http://localhost:5173"), ("sec-fetch-site", "same-origin")],
    ] {
        let reply =
            client::send(&host.address, "POST", "/v1/chat/completions", headers, CHAT).await;
        assert_eq!(reply.status, 200, "{headers:?}");
    }
    // A link, an image and a form that reads are what the web is made of.
    for page in [EVIL, ("sec-fetch-site", "cross-site")] {
        assert_eq!(send(&host, "GET", "/v1/models", &[page]).await.status, 200);
    }
    assert_eq!(upstream.requests().len(), 7);
}

// Fault (Clients): a page whose name was bent to this machine | refuses | 421 with the line that would let it in | nothing: no service is asked
#[tokio::test]
async fn a_name_that_was_bent_to_this_machine_is_answered_nothing() {
    let upstream = generous().await;
    let host = models::app(&upstream.url, "").serve().await;
    // As a browser does it: the page is the host's own, as far as anybody can see.
    let bent = [("host", "evil.example:8080"), ("sec-fetch-site", "same-origin")];
    for (method, path) in [
        ("GET", "/api/tags"),
        ("DELETE", "/api/delete"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/good/health"),
        ("OPTIONS", "/api/chat"),
        ("GET", "/nowhere"),
    ] {
        let reply = client::send(&host.address, method, path, &bent, CHAT).await;
        assert_eq!(reply.status, 421, "{method} {path}");
        let is_of_models = reply.header("content-type") == "application/json";
        assert_eq!(is_of_models, !path.starts_with("/good"), "{path}");
        let told = reply.json();
        let line = "add hosts = [\"evil.example\"] under [http] in the application file";
        assert!(told["detail"].as_str().unwrap().contains(line), "{told}");
    }
    assert_eq!(upstream.requests(), Vec::<String>::new());
    for name in
        ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080", "chat.localhost", "192.168.1.7"]
    {
        assert_eq!(send(&host, "GET", "/v1/models", &[("host", name)]).await.status, 200, "{name}");
    }
    // No name, none that could be bent.
    let mut old = Raw::connect(&host.address).await;
    old.send("GET /good/ HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(old.end().await.statuses(), [200]);
}

#[tokio::test]
async fn a_name_that_the_file_lists_is_answered() {
    let host = app("hosts = [\"app.example.com\"]").serve().await;
    let ask = async |name| send(&host, "GET", "/files/a.txt", &[("host", name)]).await.status;
    assert_eq!(ask("App.Example.com").await, 200);
    assert_eq!(ask("app.example.com:443").await, 200);
    assert_eq!(ask("localhost").await, 200);
    assert_eq!(ask("evil.example").await, 421);
    // A page of that name, behind a proxy that asks for the address.
    let page = [("origin", "https://app.example.com")];
    assert_eq!(send(&host, "POST", "/closed/count", &page).await.status, 200);
    assert_eq!(send(&host, "POST", "/closed/count", &[EVIL]).await.status, 403);
}

#[tokio::test]
async fn where_other_machines_reach_it_any_name_is_answered_unless_some_are_listed() {
    for (hosts, status) in [("", 200), ("hosts = [\"app.example.com\"]", 421)] {
        let host = app(hosts).serve_at("0.0.0.0:0").await;
        for (name, status) in
            [("whatever.example", status), ("10.0.0.1:8080", 200), ("app.example.com", 200)]
        {
            let reply = send(&host, "GET", "/closed/count", &[("host", name)]).await;
            assert_eq!(reply.status, status, "{name} {hosts}");
        }
        // Other pages are other pages everywhere.
        assert_eq!(send(&host, "POST", "/closed/count", &[EVIL]).await.status, 403);
    }
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_host_for_every_kind_of_service() {
    let host = app("").serve().await;
    let asks = |origin| [origin, ("access-control-request-method", "POST")];
    for service in ["open", "open-files"] {
        for origin in [LISTED.1, "tauri://localhost", "vscode-webview://1a2b"] {
            let reply =
                send(&host, "OPTIONS", &format!("/{service}/echo"), &asks(("origin", origin)))
                    .await;
            assert_eq!((reply.status.as_u16(), reply.text()), (204, ""), "{service}");
            for (name, value) in [
                ("access-control-allow-origin", origin),
                ("access-control-allow-methods", "GET, POST"),
                ("access-control-allow-headers", "content-type"),
                ("access-control-max-age", "600"),
                ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
            ] {
                assert_eq!(reply.header(name), value, "{name} of {service}");
            }
            assert!(!reply.headers.contains_key("access-control-allow-credentials"));
        }
    }
    for service in ["open", "open-files", "closed", "files"] {
        let reply = send(&host, "OPTIONS", &format!("/{service}/echo"), &asks(EVIL)).await;
        assert_eq!(reply.status, 403, "{service}");
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{service}");
        let told = reply.json();
        let line = format!("under [service.{service}] in the application file");
        assert!(told["detail"].as_str().unwrap().contains(&line), "{told}");
    }
    assert_eq!(host.service("open").await["served"], 0, "no component is asked");
}

#[tokio::test]
async fn a_page_that_is_listed_reads_answers_and_what_went_wrong() {
    let host = app("").serve().await;
    let large = "x".repeat(200);
    for (method, path, body, status) in [
        ("POST", "/open/echo", "text", 200),
        ("GET", "/open/count", "", 200),
        ("GET", "/open/health", "", 200),
        ("POST", "/open/echo", &large, 413),
        ("GET", "/open/trap", "", 502),
        ("DELETE", "/open/count", "", 403),
        ("GET", "/open-files/a.txt", "", 200),
        ("GET", "/open-files/none", "", 404),
        ("POST", "/open-files/a.txt", "", 405),
    ] {
        let reply = client::send(&host.address, method, path, &[LISTED], body).await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert_eq!(reply.header("access-control-allow-origin"), LISTED.1, "{method} {path}");
        assert_eq!(reply.header("access-control-expose-headers"), "x-request-id");
        assert!(varies(&reply).contains(&"Origin"), "{method} {path}");
        // For everybody else it is there, unread.
        let other = send(&host, "GET", path, &[EVIL]).await;
        assert!(!other.headers.contains_key("access-control-allow-origin"), "{path}");
        assert!(varies(&other).contains(&"Origin"), "{path}");
    }
    // Without `cors` no answer depends on who asks.
    let closed = send(&host, "GET", "/closed/count", &[LISTED]).await;
    assert_eq!((closed.status.as_u16(), varies(&closed)), (200, vec![]));
}

// Fault (Model servers): a server that lets every page read, or sets cookies | leaves that out, says so once | the rest of its answer | nothing
#[tokio::test]
async fn what_a_model_server_says_of_pages_opens_nothing() {
    let upstream = generous().await;
    let host = models::app(&upstream.url, "").serve().await;
    for headers in [&[EVIL][..], &[]] {
        let reply = send(&host, "GET", "/v1/models", headers).await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, "{}"));
        for name in ["access-control-allow-origin", "access-control-allow-headers", "set-cookie"] {
            assert!(!reply.headers.contains_key(name), "{name}");
        }
    }
    host.logs("'cors' under [service.chat]").await;
    assert_eq!(host.log().matches("lets pages of other origins read").count(), 1, "{}", host.log());
}

#[tokio::test]
async fn who_the_client_is_does_not_go_on_to_the_model_server() {
    let upstream = Upstream::start(|_| vec![Step::Send(json("200 OK", "{}"))]).await;
    let host = models::app(&upstream.url, "").serve().await;
    let page = format!("http://{}/page", host.address);
    let headers = [
        ("cookie", "session=s3cret"),
        ("authorization", "Bearer s3cret"),
        ("referer", &*page),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("x-kept", "yes"),
    ];
    let reply = client::send(&host.address, "POST", "/v1/chat/completions", &headers, CHAT).await;
    assert_eq!(reply.status, 200);
    let sent = upstream.requests().remove(0).to_ascii_lowercase();
    assert!(sent.contains("x-kept: yes"), "{sent}");
    for left in ["cookie", "authorization", "s3cret", "referer", "sec-fetch"] {
        assert!(!sent.contains(left), "{left} in {sent}");
    }
}

#[tokio::test]
async fn services_call_each_other_by_names_that_no_page_has() {
    let host = app("").serve().await;
    let reply = send(&host, "GET", "/closed/call?open/count", &[]).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}
