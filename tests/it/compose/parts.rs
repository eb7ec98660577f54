//! One part of a composition replaced by another, while the others stay.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use wasm_host_tests::client::KeepAlive;
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::upstream::{Step, Upstream, json};

use super::{CHECKED, get, open};

/// The middleware as another version: it says so on each answer.
pub(super) fn second() -> Vec<u8> {
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

/// A section that says nothing, at the end: another file that does the same.
fn marked(name: &str) -> Vec<u8> {
    let mut bytes = fs::read(component(name)).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    bytes
}

#[tokio::test]
async fn a_part_is_not_put_into_a_composition_that_has_made_way_meanwhile() {
    let (asked, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, held) = (asked.clone(), go_on.clone());
    let upstream = Upstream::start(move |_| {
        let answer = Step::Send(json("200 OK", r#"{"models":[]}"#));
        // At the start, of the canary, and of what is swapped in beside it.
        match count.fetch_add(1, Ordering::Relaxed) {
            2 => vec![Step::Until(held.clone()), answer],
            _ => vec![answer],
        }
    })
    .await;
    let app = App::new(
        r#"
name = "parts"

[ollama.local]

[service.app]
component = "$(ollama)"
middleware = ["$(middleware)"]
ollama = "local"
health = "/api/tags"
route = "/"
"#,
    );
    let host = Arc::new(app.env("OLLAMA_HOST", &upstream.url).serve().await);
    let canary = host.swap("app", "part=middleware&canary=10&for=5s", second()).await;
    assert_eq!(canary.json()["verdict"], "canary", "{}", canary.text());
    let swap = tokio::spawn({
        let host = host.clone();
        async move { host.swap("app", "", marked("ollama")).await }
    });
    eventually("the question for its health", async || {
        (asked.load(Ordering::Relaxed) == 3).then_some(())
    })
    .await;
    eventually("the end of the canary", async || {
        (host.service("app").await["state"] == "running").then_some(())
    })
    .await;
    go_on.notify_one();
    let swapped = swap.await.unwrap();
    assert_eq!(swapped.status, 422, "{}", swapped.text());
    assert!(swapped.text().contains("another version serves by now"), "{}", swapped.text());
    // What serves is the canary, and so it is behind what is swapped in now.
    let outcome = activated(&host, "", marked("ollama")).await;
    assert_eq!(outcome["parts"][0]["digest"], canary.json()["parts"][0]["digest"]);
}

// Fault (The control plane and swaps): a part that exhausts the stack of what puts parts together | rejects it: that is a process of its own | theirs | nothing
#[tokio::test]
async fn a_part_that_exhausts_a_stack_ends_what_reads_it_and_not_the_host() {
    let host = open().serve().await;
    // A type within a type within a type.
    let depth = 100_000;
    let mut types = vec![1];
    types.extend([0x42, 1, 1].repeat(depth));
    types.extend([0x42, 0]);
    let mut length = types.len();
    let mut part = b"\0asm\x0d\0\x01\0\x07".to_vec();
    while length > 0x7f {
        part.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    part.push(length as u8);
    part.extend(types);
    let deep = host.swap("app", "part=middleware", part).await;
    assert_eq!(deep.status, 422, "{}", deep.text());
    assert!(deep.text().contains("be put together: the compiler failed"), "{}", deep.text());
    is(&host, "one", "one").await;
    activated(&host, "part=middleware", second()).await;
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
