//! Who may ask the control plane, and how.

use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasm_host_tests::{client, within};

use super::{App, SERVICE, answers, serve, version};

const PATHS: [(&str, &str); 6] = [
    ("GET", "/backends"),
    ("GET", "/services"),
    ("GET", "/services/app/history"),
    ("POST", "/services/app/swap"),
    ("POST", "/services/app/rollback"),
    ("POST", "/services/app/drain"),
];

#[tokio::test]
async fn everything_but_health_needs_the_token() {
    let host = serve().await;
    let wrong = format!("Bearer {}", "0".repeat(64));
    for (method, path) in PATHS {
        for headers in [&[][..], &[("authorization", "Bearer")], &[("authorization", &wrong)]] {
            let reply = client::send(&host.admin, method, path, headers, "").await;
            assert_eq!(reply.status, 401, "{path}");
            assert_eq!(reply.header("www-authenticate"), "Bearer");
            assert_eq!(reply.header("content-type"), "application/problem+json");
        }
    }
    for path in ["/live", "/ready"] {
        assert_eq!(client::send(&host.admin, "GET", path, &[], "").await.status, 200);
    }
    assert_eq!(host.history("app").await.len(), 1);
}

#[tokio::test]
async fn web_pages_are_refused_even_with_the_token() {
    let host = serve().await;
    for header in [
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("host", "control.evil.example"),
    ] {
        for (method, path) in PATHS {
            let reply = host.ask(method, path, &[header], "").await;
            assert_eq!(reply.status, 403, "{header:?} {path}");
        }
    }
    let by_name = [("host", "localhost:8081")];
    assert_eq!(host.ask("GET", "/services", &by_name, "").await.status, 200);
}

#[tokio::test]
async fn wrong_requests_are_told_apart() {
    let host = serve().await;
    let wasm = [("content-type", "application/wasm")];
    for (method, path, headers, status) in [
        ("GET", "/nowhere", &[][..], 404),
        ("GET", "/services/ap/history", &[], 404),
        ("POST", "/services/ap/swap", &wasm, 404),
        ("POST", "/services/ap/rollback", &[], 404),
        ("POST", "/services", &[], 405),
        ("GET", "/services/app/swap", &[], 405),
        ("POST", "/services/app/swap", &[], 415),
        ("POST", "/services/app/swap?canary=200", &wasm, 400),
        ("POST", "/services/app/swap?for=1s", &wasm, 400),
        ("POST", "/services/app/rollback?canary=1", &[], 400),
        ("POST", "/services/app/rollback", &[], 409),
    ] {
        let reply = host.ask(method, path, headers, "x").await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), "application/problem+json");
    }
    let reply = host.ask("GET", "/services/ap/history", &[], "").await;
    assert!(reply.text().contains("did you mean app?"), "{}", reply.text());
    assert_eq!(host.history("app").await.len(), 1);
}

/// Send the head of an upload and part of its body.
async fn begin_upload(host: &super::Host, announced: u64, sent: &[u8]) -> TcpStream {
    let mut upload = within("a connection", TcpStream::connect(&host.admin)).await.unwrap();
    let head = format!(
        "POST /services/app/swap HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\
         content-type: application/octet-stream\r\ncontent-length: {announced}\r\n\r\n",
        host.authorization()
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(sent).await.unwrap();
    upload
}

#[tokio::test]
async fn an_upload_that_is_cut_off_leaves_no_trace() {
    let host = serve().await;
    let component = version("two");
    let half = component.get(..component.len() / 2).unwrap();
    let mut upload = begin_upload(&host, component.len() as u64, half).await;
    upload.shutdown().await.unwrap();
    // The host is done with it when it closes the connection.
    within("the end of the upload", upload.read_to_end(&mut Vec::new())).await.unwrap();
    assert_eq!(answers(&host).await, "one");
    assert_eq!(host.history("app").await.len(), 1);
    let files = std::fs::read_dir(host.state().join("versions")).unwrap().flatten();
    let wasm = files.filter(|file| file.path().extension().is_some_and(|name| name != "json"));
    assert_eq!(wasm.count(), 1, "only the first version is kept");
}

#[tokio::test]
async fn an_upload_over_the_bound_is_refused_before_it_is_read() {
    let host = serve().await;
    let mut upload = begin_upload(&host, 1 << 40, b"").await;
    let mut answer = vec![0; 1024];
    let length = within("the answer", upload.read(&mut answer)).await.unwrap();
    assert!(answer.get(..length).unwrap().starts_with(b"HTTP/1.1 413"), "{answer:?}");
    let large = "x".repeat(65 * 1024);
    let json = [("content-type", "application/json")];
    assert_eq!(host.ask("POST", "/services/app/swap", &json, large).await.status, 413);
}

#[tokio::test]
async fn the_token_is_in_a_file_of_the_user_and_in_no_output() {
    let app = App::new(SERVICE).env("WASM_HOST_LOG", "trace,mio=trace,wasmtime_wasi=trace");
    let host = app.serve().await;
    let path = host.state().join("control.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let control = host.control();
    assert_eq!(control["address"], *host.admin);
    assert_eq!(control["pid"], host.pid());
    let token = control["token"].as_str().unwrap().to_string();
    assert_eq!(token.len(), 64);
    let mut outputs = Vec::new();
    for (method, path) in PATHS {
        outputs.push(host.ask(method, path, &[], "").await.text().to_string());
    }
    let two = wasm_host_tests::host::component("version-two");
    for arguments in [
        &["ps"][..],
        &["swap", "app", two.to_str().unwrap()],
        &["history", "app", "--format", "json"],
        &["rollback", "app"],
        &["history", "ap"],
    ] {
        let output = app.run(arguments).await;
        outputs.push(String::from_utf8(output.stdout).unwrap());
        outputs.push(String::from_utf8(output.stderr).unwrap());
    }
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0));
    assert!(!path.exists(), "it is gone with its host");
    let loud = log.contains("TRACE") || log.contains("DEBUG");
    assert!(loud, "the log is not as loud as it can be:\n{log}");
    outputs.push(log);
    for output in outputs {
        assert!(!output.contains(&token), "the token is in:\n{output}");
    }
}
