//! Promise 13: a swap reaches every replica or none; which it was is decided once, in Postgres, and survives a crash.

use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::postgres::Postgres;

fn app(url: &str) -> App {
    App::new(&format!(
        r#"
name = "replicas"

[replicas]
url = "{url}"
lease = "2s"

[service.app]
component = "$(version-one)"
route = "/"
"#
    ))
}

fn version(name: &str) -> Vec<u8> {
    std::fs::read(component(&format!("version-{name}"))).unwrap()
}

async fn is_ready(host: &Host) {
    eventually("the host answers", async || (host.get("/").await.status == 200).then_some(()))
        .await;
}

async fn comes_to_answer(host: &Host, text: &str) {
    eventually(&format!("the answer {text}"), async || {
        host.get("/").await.text().contains(text).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_swap_reaches_all_replicas_or_none_and_survives_a_kill() {
    let server = Postgres::start();
    let hosts = [app(&server.url()), app(&server.url()), app(&server.url())];
    let first = hosts[0].serve().await;
    let second = hosts[1].serve().await;
    let third = hosts[2].serve().await;
    for host in [&first, &second, &third] {
        is_ready(host).await;
    }
    let reply = first.swap("app", "", version("two")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    for host in [&first, &second, &third] {
        comes_to_answer(host, "two").await;
    }
    // What is broken serves nowhere, whichever is asked.
    let reply = second.swap("app", "", "no component").await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let reply = second.swap("app", "canary=10%25&for=1s", version("one")).await;
    assert!(reply.text().contains("[replicas]"), "{}", reply.text());
    let listed = first.service("app").await;
    assert_eq!(listed["replicas"].as_array().unwrap().len(), 3, "{listed}");
    assert!(listed["replicas"].as_array().unwrap().iter().all(|it| it["generation"] == 2));

    // Nobody hears of its end: the others wait until its lease is over, and say so.
    third.kill().await;
    let reply = second.swap("app", "", version("one")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    assert_eq!(reply["without"].as_array().unwrap().len(), 1, "{reply}");
    for host in [&first, &second] {
        comes_to_answer(host, "one").await;
    }
    let third = hosts[2].serve().await;
    is_ready(&third).await;
    assert!(third.get("/").await.text().contains("one"));
}
