//! One part of a composition replaced by another, while the others stay.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use wasm_host_tests::client::KeepAlive;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};

use super::{CHECKED, get, open};

/// The middleware as another version: it says so on each answer.
fn second() -> Vec<u8> {
    let mut bytes = fs::read(component("middleware")).unwrap();
    let (one, two) = (b"middleware-one", b"middleware-two");
    let places: Vec<usize> =
        (0..bytes.len() - one.len()).filter(|at| bytes[*at..].starts_with(one)).collect();
    assert!(!places.is_empty(), "its version is not in its file");
    for at in places {
        bytes[at..at + two.len()].copy_from_slice(two);
    }
    bytes
}

fn version(name: &str) -> Vec<u8> {
    fs::read(component(&format!("version-{name}"))).unwrap()
}

/// What answers: the middleware and the service behind it.
async fn answers(host: &Host) -> (String, String) {
    let reply = get(host, "/").await;
    assert_eq!(reply.status, 200, "{}", host.log());
    let service = reply.text().lines().next().unwrap().trim_start_matches("begin ").to_owned();
    (reply.header("x-checked").trim_start_matches("middleware-").to_owned(), service)
}

async fn is(host: &Host, middleware: &str, service: &str) {
    assert_eq!(answers(host).await, (middleware.to_owned(), service.to_owned()));
}

async fn activated(host: &Host, query: &str, component: Vec<u8>) -> serde_json::Value {
    let reply = host.swap("app", query, component).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["verdict"], "activated", "{}", reply.text());
    reply.json()
}

#[tokio::test]
async fn each_part_is_swapped_alone_and_a_rollback_and_a_restart_keep_all() {
    let app = open();
    let host = app.serve().await;
    is(&host, "one", "one").await;
    let outcome = activated(&host, "", version("two")).await;
    let parts = outcome["parts"].as_array().unwrap();
    assert_eq!((&parts[0]["name"], &parts[1]["role"]), (&"middleware".into(), &"service".into()));
    is(&host, "one", "two").await;
    let outcome = activated(&host, "part=middleware", second()).await;
    assert_eq!(outcome["parts"][1]["digest"], parts[1]["digest"]);
    assert_ne!(outcome["parts"][0]["digest"], parts[0]["digest"]);
    is(&host, "two", "two").await;
    let again = host.swap("app", "part=middleware", second()).await;
    assert_eq!(again.json()["verdict"], "unchanged");

    let unknown = host.swap("app", "part=auth", second()).await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.text().contains("it has middleware, version-one"), "{}", unknown.text());
    let unfit = host.swap("app", "part=middleware", version("one")).await;
    assert_eq!(unfit.status, 422);
    assert!(unfit.text().contains("is no middleware"), "{}", unfit.text());
    is(&host, "two", "two").await;

    let rolled = app.run(&["rollback", "app"]).await;
    assert!(rolled.status.success(), "{}", String::from_utf8_lossy(&rolled.stderr));
    is(&host, "one", "two").await;
    // After a rollback, too, the parts are there to replace one of them.
    activated(&host, "", version("one")).await;
    is(&host, "one", "one").await;
    activated(&host, "part=middleware", second()).await;
    host.stop().await;

    let host = app.serve().await;
    is(&host, "two", "one").await;
    activated(&host, "", version("two")).await;
    is(&host, "two", "two").await;
    let history = host.history("app").await;
    assert_eq!(history.last().unwrap()["parts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_command_swaps_a_part_and_describe_shows_them() {
    let app = open();
    let host = app.serve().await;
    let file = app.path().join("new.wasm");
    fs::write(&file, second()).unwrap();
    let arguments = ["swap", "app", file.to_str().unwrap(), "--part", "middleware"];
    let output = app.run(&arguments).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    is(&host, "two", "one").await;
    let output = app.run(&["describe", "app"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Parts\n  middleware: middleware, "), "{text}");
    assert!(text.contains("--part middleware"), "{text}");
}

#[tokio::test]
async fn a_middleware_is_replaced_under_load_without_a_failed_request() {
    let host = Arc::new(open().serve().await);
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (address, stop) = (host.address.clone(), stop.clone());
        load.spawn(async move {
            let mut connection = KeepAlive::connect(&address).await;
            let mut answered = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let (status, body) = connection.get("/?pieces=3&ms=5").await.expect("an answer");
                let body = String::from_utf8_lossy(&body);
                assert!(status == 200 && body.ends_with("end one\n"), "{status} {body}");
                answered += 1;
            }
            answered
        });
    }
    let both = [second(), fs::read(component("middleware")).unwrap()];
    for number in 0..10 {
        activated(&host, "part=middleware", both[number % 2].clone()).await;
        let expected = if number % 2 == 0 { "two" } else { "one" };
        is(&host, expected, "one").await;
    }
    stop.store(true, Ordering::Relaxed);
    let answered: u64 = load.join_all().await.into_iter().sum();
    assert!(answered > 0);
    let service = host.service("app").await;
    assert_eq!((&service["failed"], &service["refused"]), (&0.into(), &0.into()), "{service}");
}

#[tokio::test]
async fn parts_are_watched() {
    let app = App::new(
        r#"
name = "watch"
[service.app]
component = "app.wasm"
middleware = ["auth.wasm"]
route = "/"
"#,
    );
    fs::copy(component("version-one"), app.path().join("app.wasm")).unwrap();
    fs::copy(component("middleware"), app.path().join("auth.wasm")).unwrap();
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    is(&host, "one", "one").await;
    fs::write(app.path().join("auth.wasm"), second()).unwrap();
    let serves = async |middleware: &str, service: &str| {
        let wanted = (middleware.to_owned(), service.to_owned());
        eventually("the new part", async || (answers(&host).await == wanted).then_some(())).await;
    };
    serves("two", "one").await;
    fs::write(app.path().join("app.wasm"), version("two")).unwrap();
    serves("two", "two").await;
    host.logs("watch: auth.wasm").await;
    // Both at once, as a build of both does: neither takes the place of the other.
    fs::write(app.path().join("auth.wasm"), fs::read(component("middleware")).unwrap()).unwrap();
    fs::write(app.path().join("app.wasm"), fs::read(component("version-one")).unwrap()).unwrap();
    serves("one", "one").await;
}

#[tokio::test]
async fn another_middleware_in_the_file_is_what_serves_after_a_restart() {
    let app = open();
    let host = app.serve().await;
    activated(&host, "", version("two")).await;
    host.stop().await;
    // The file names another composition now, which is what its owner wants to run.
    let file = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("middleware")).collect();
    fs::write(&file, text.join("\n")).unwrap();
    let host = app.serve().await;
    let reply = host.get("/").await;
    assert_eq!((reply.header("x-checked"), reply.text()), ("", "begin one\nend one\n"));
    assert!(CHECKED.contains("middleware"));
}
