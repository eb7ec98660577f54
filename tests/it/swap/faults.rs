//! Promises 1 and 2 under faults: swaps while versions trap, hosts are killed, and swaps crowd each other.

use wasm_host_tests::client;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::seed::Seeded;

fn app() -> App {
    App::new(
        r#"
name = "versions"

[service.app]
component = "$(version-one)"
route = "/"
health = "/health"
"#,
    )
}

fn version(name: &str) -> Vec<u8> {
    std::fs::read(component(&format!("version-{name}"))).unwrap()
}

/// The one version that wrote a body, first line to last.
fn wrote(body: &str) -> Option<String> {
    let first = body.lines().next()?.strip_prefix("begin ")?;
    let last = body.lines().last()?.strip_prefix("end ")?;
    (first == last && body.ends_with('\n')).then(|| first.to_string())
}

async fn answers(host: &Host) -> String {
    let reply = host.get("/").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    wrote(reply.text()).expect("a whole body of one version")
}

// Fault (The control plane and swaps): a kill during a swap | serves the old version or the new one | a reset | what was running
#[tokio::test]
async fn a_host_that_is_killed_during_a_swap_serves_a_whole_version_again() {
    let mut chance = Seeded::new();
    let app = app();
    for round in 0..5 {
        let host = app.serve().await;
        assert!(["one", "two"].contains(&&*answers(&host).await));
        let name = if round % 2 == 0 { "two" } else { "one" };
        let (admin, token, file) = (host.admin.clone(), host.authorization(), version(name));
        let swap = tokio::spawn(async move {
            let mut raw = wasm_host_tests::hostile::Raw::connect(&admin).await;
            let head = format!(
                "POST /services/app/swap HTTP/1.1\r\nhost: localhost\r\nauthorization: {token}\r\ncontent-type: application/wasm\r\ncontent-length: {}\r\n\r\n",
                file.len()
            );
            let _ = raw.send(head).await;
            let _ = raw.send(file).await;
            raw.end().await
        });
        let moment = chance.between(0, 1500) as u64;
        tokio::time::sleep(std::time::Duration::from_millis(moment)).await;
        host.kill().await;
        // What was answered as activated stays activated.
        let told = swap.await.unwrap().text();
        let host = app.serve().await;
        let now = answers(&host).await;
        if told.contains("\"activated\"") {
            assert_eq!(now, name, "an activated version was forgotten");
        }
        host.kill().await;
    }
}

// Fault (The control plane and swaps): bad versions in a crowd | never lets them serve | answers of good versions | nothing
#[tokio::test]
async fn bad_versions_in_a_crowd_never_replace_a_good_one() {
    let host = app().serve().await;
    let names = ["two", "unstartable", "sick", "one", "unstartable", "two"];
    let mut swaps = tokio::task::JoinSet::new();
    for name in names {
        let (admin, token) = (host.admin.clone(), host.authorization());
        swaps.spawn(async move {
            let headers = [("authorization", &*token), ("content-type", "application/wasm")];
            let reply =
                client::send(&admin, "POST", "/services/app/swap", &headers, version(name)).await;
            (name, reply)
        });
    }
    for _ in 0..20 {
        let answer = answers(&host).await;
        assert!(["one", "two"].contains(&&*answer), "{answer}");
    }
    for (name, reply) in swaps.join_all().await {
        let status = reply.status.as_u16();
        // A good version may be superseded by a newer one, or find too many uploads under way; a bad one
        // is never taken.
        assert!(matches!(status, 200 | 409 | 422 | 503), "{name}: {status} {}", reply.text());
        assert!(["one", "two"].contains(&name) || status != 200, "{name}: {}", reply.text());
    }
    // In a crowd a bad one may have been refused for another reason; alone it is refused for what it is.
    let reply = host.swap("app", "", version("unstartable")).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(["one", "two"].contains(&&*answers(&host).await));
}

// Fault (The control plane and swaps): a slow client of a replaced version | finishes its body on that version | its whole body | nothing
#[tokio::test]
async fn a_body_of_a_replaced_version_is_whole_though_its_client_is_slow() {
    let host = app().serve().await;
    // Compiled by now: the body outlasts the swaps.
    for name in ["two", "one"] {
        assert_eq!(host.swap("app", "", version(name)).await.status, 200);
    }
    let mut slow = client::open(&host.address, "GET", "/?pieces=60&ms=50", &[], "").await;
    let begun = slow.next().await.unwrap().unwrap();
    for name in ["two", "one", "two"] {
        assert_eq!(host.swap("app", "", version(name)).await.status, 200);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let rest = slow.rest().await.expect("a whole body");
    let body = String::from_utf8([&begun[..], &rest].concat()).unwrap();
    assert_eq!(wrote(&body).as_deref(), Some("one"), "{body}");
    assert_eq!(answers(&host).await, "two");
}
