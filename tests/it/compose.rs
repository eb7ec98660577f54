//! Components put together: middleware in front of a service, and imports that another component serves.

mod parts;
mod wrong;

use std::time::{Duration, Instant};

use wasm_host_tests::client::{self, Reply};
use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, COMPILATION, Host, component};
use wasm_host_tests::models::{CHAT, one_word};
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::upstream::Upstream;

/// A middleware that checks a token, in front of what writes long bodies.
const CHECKED: &str = r#"
name = "compose"

[service.app]
component = "$(version-one)"
middleware = ["$(middleware)"]
environment = { TOKEN = "${TOKEN}" }
route = "/"
"#;

const TOKEN: (&str, &str) = ("authorization", "Bearer sesame");

fn checked() -> App {
    App::new(CHECKED).env("TOKEN", "sesame")
}

/// The same without a token.
fn open() -> App {
    App::new(&CHECKED.replace("environment = { TOKEN = \"${TOKEN}\" }\n", ""))
}

async fn get(host: &Host, path: &str) -> Reply {
    client::send(&host.address, "GET", path, &[TOKEN], "").await
}

#[tokio::test]
async fn a_middleware_refuses_requests_without_a_token_and_hands_others_on() {
    let host = checked().serve().await;
    let refused = host.get("/").await;
    assert_eq!((refused.status.as_u16(), refused.header("www-authenticate")), (401, "Bearer"));
    assert_eq!(refused.header("x-checked"), "");
    let wrong = [("authorization", "Bearer please")];
    let refused = client::send(&host.address, "GET", "/", &wrong, "").await;
    assert_eq!(refused.status, 401);
    let reply = get(&host, "/?bytes=50000&pieces=7").await;
    assert_eq!((reply.status.as_u16(), reply.header("x-checked")), (200, "middleware-one"));
    assert!(reply.text().starts_with("begin one\n") && reply.text().ends_with("end one\n"));
    assert!(reply.text().len() > 300_000, "{}", reply.text().len());
}

#[tokio::test]
async fn bodies_pass_by_as_streams_in_both_directions() {
    let host = App::new(
        r#"
name = "compose"
[service.app]
component = "$(hostile)"
middleware = ["$(middleware)", "$(middleware)"]
route = "/"
"#,
    )
    .serve()
    .await;
    let sent = "x".repeat(700_000);
    let reply = client::send(&host.address, "POST", "/echo", &[], &sent).await;
    assert!(reply.text() == sent, "{} {}", reply.status, reply.text().len());
    // Both were there.
    let checked = reply.headers.get_all("x-checked").iter().count();
    assert_eq!(checked, 2);
    // The first piece is here while the service still writes.
    let host = open().serve().await;
    let mut stream = client::open(&host.address, "GET", "/?pieces=100&ms=300", &[], "").await;
    assert_eq!(stream.next().await.unwrap().unwrap(), "begin one\n");
}

#[tokio::test]
async fn a_middleware_of_0_2_stands_in_front_of_a_service_of_0_2() {
    let host = App::new(
        r#"
name = "compose"
[service.app]
component = "$(hello-p2)"
middleware = "$(middleware-p2)"
route = "/"
"#,
    )
    .serve()
    .await;
    assert_eq!(host.get("/x").await.status, 401);
    for _ in 0..3 {
        let reply = get(&host, "/x").await;
        assert_eq!(reply.status, 200, "{}", host.log());
        assert!(reply.text().contains("0.2"), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_import_is_served_by_another_component_of_a_compatible_version() {
    let app = App::new(
        r#"
name = "compose"
[service.app]
component = "$(greeting)"
with = { "acme:greeting/greeter" = "$(greeter)" }
middleware = ["$(middleware)"]
route = "/"
"#,
    );
    let host = app.serve().await;
    for _ in 0..3 {
        let reply = host.get("/Ada").await;
        assert_eq!(reply.text(), "the house greets Ada\ngood evening, Ada\n", "{}", host.log());
    }
}

#[tokio::test]
async fn many_requests_share_an_instance_through_a_middleware() {
    let app = App::new(&format!(
        "{}instances = 1\n",
        CHECKED.replace("route", "per-instance = 8\nroute")
    ));
    let host = app.env("TOKEN", "sesame").serve().await;
    let mut streams = Vec::new();
    for _ in 0..8 {
        let mut stream =
            client::open(&host.address, "GET", "/?pieces=20&ms=50", &[TOKEN], "").await;
        assert_eq!(stream.next().await.unwrap().unwrap(), "begin one\n");
        streams.push(stream);
    }
    let service = host.service("app").await;
    assert_eq!((&service["instances"], &service["in_flight"]), (&1.into(), &8.into()), "{service}");
    for mut stream in streams {
        let rest = String::from_utf8(stream.rest().await.expect("a whole body")).unwrap();
        assert!(rest.ends_with("end one\n"), "{rest}");
    }
}

#[tokio::test]
async fn what_a_service_does_behind_a_middleware_ends_with_its_client() {
    let upstream = Upstream::start(|_| one_word()).await;
    let app = App::new(
        r#"
name = "compose"

[ollama.local]

[service.chat]
component = "$(ollama)"
middleware = ["$(middleware)"]
ollama = "local"
route = "/"
instances = 1
per-instance = 3
"#,
    )
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    // They share an instance, and each has its own end.
    let mut chats = Vec::new();
    for _ in 0..3 {
        let mut chat = client::open(&host.address, "POST", "/api/chat", &[], CHAT).await;
        assert!(chat.next().await.unwrap().is_some());
        chats.push(chat);
    }
    for closed in 1..=3 {
        let left = Instant::now();
        chats.pop();
        eventually("the upstream to see the close", async || {
            (upstream.hung_up() >= closed).then_some(())
        })
        .await;
        assert_eq!(upstream.hung_up(), closed);
        assert!(left.elapsed() < Duration::from_secs(10), "{:?}", left.elapsed());
    }
    eventually("the end of all", async || {
        (host.service("chat").await["in_flight"] == 0).then_some(())
    })
    .await;
    assert_eq!(host.service("chat").await["cancelled"], 3);
}

/// The request that each line of the log with this word names.
fn requests_of(log: &str, word: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains(word));
    let of_line = |line: &str| {
        let request = line.split("request=").nth(1)?.split_whitespace().next()?;
        Some(request.trim_matches('"').to_owned())
    };
    lines.map(|line| of_line(line).expect("a line that names its request")).collect()
}

#[tokio::test]
async fn what_a_service_does_behind_a_middleware_is_done_for_its_own_request() {
    let keys = "instances = 1\nper-instance = 16\n";
    let app = App::new(&format!("{CHECKED}{keys}")).env("TOKEN", "sesame");
    let host = app.serve().await;
    // Each goes on when its middleware has handed its answer on, while others begin and end in the same instance, whose
    // tasks have the ids of those that are gone.
    let mut streams = Vec::new();
    for word in ["first", "second", "third"] {
        let path = format!("/?pieces=12&ms=100&print={word}-line");
        let mut stream = client::open(&host.address, "GET", &path, &[TOKEN], "").await;
        assert!(stream.next().await.unwrap().is_some());
        streams.push(stream);
        for _ in 0..5 {
            assert_eq!(get(&host, "/").await.status, 200);
        }
    }
    for mut stream in streams {
        stream.rest().await.expect("a whole body");
    }
    host.logs("third-line 11").await;
    let log = host.log();
    let mut seen = Vec::new();
    for word in ["first-line", "second-line", "third-line"] {
        let mut requests = requests_of(&log, word);
        assert_eq!(requests.len(), 12, "{log}");
        requests.dedup();
        assert_eq!(requests.len(), 1, "{word} is of several requests: {log}");
        assert!(!seen.contains(&requests[0]), "{word} is of another request: {log}");
        seen.extend(requests);
    }
}

// Fault (Guests): work behind an answer that a middleware has handed on | leaves its instance to it: another request has another one | its answer; others: theirs | nothing
#[tokio::test]
async fn what_goes_on_behind_an_answer_has_its_instance_to_itself() {
    let (upstream, postgres) = (Upstream::start(|_| one_word()).await, Postgres::start());
    let app = App::new(
        r#"
name = "compose"

[limits]
threads = 1

[ollama.local]

[postgres.main]
url = "${DB_URL}"

[service.app]
component = "$(holder)"
middleware = ["$(middleware)"]
ollama = "local"
postgres = "main"
route = "/"
"#,
    )
    .env("DB_URL", &postgres.url())
    .env("OLLAMA_HOST", &upstream.url);
    let host = app.serve().await;
    for count in 1..=2 {
        // Its body has ended, and what it began goes on.
        assert_eq!(host.get("/forget-chat").await.text(), "answered\n");
        eventually("the call", async || (upstream.requests().len() == count).then_some(())).await;
        assert_eq!(host.service("app").await["instances"], count);
    }
    assert_eq!(upstream.hung_up(), 0);
}

// Fault (Guests): a middleware that traps, or computes without end | replaces the instance | 502, or 504 | the requests of that instance
#[tokio::test]
async fn a_trap_of_a_middleware_ends_its_instance_and_no_other() {
    // With more than one, the request beside the loop may be of the same instance and end with it.
    let one = "cpu-timeout = \"200ms\"\nper-instance = 1\n";
    let host = App::new(&format!("{CHECKED}{one}")).env("TOKEN", "sesame").serve().await;
    assert_eq!(get(&host, "/middleware/trap").await.status, 502);
    host.logs("an instance trapped").await;
    assert_eq!(get(&host, "/").await.status, 200);
    // It computes without end: its own request is answered with an error, others by another instance.
    let spinning = tokio::spawn({
        let address = host.address.clone();
        async move { client::send(&address, "GET", "/middleware/spin", &[TOKEN], "").await.status }
    });
    assert_eq!(get(&host, "/").await.status, 200);
    assert!(spinning.await.unwrap().is_server_error());
}

#[tokio::test]
async fn a_component_is_tested_and_inspected_with_its_middleware() {
    let app = App::new("");
    let [service, middleware] =
        ["version-one", "middleware"].map(|name| component(name).to_str().unwrap().to_owned());
    let cases = app.path().join("cases");
    std::fs::create_dir(&cases).unwrap();
    let case = r#"
env = { TOKEN = "sesame" }

[request]
path = "/health"

[response]
status = 401
"#;
    std::fs::write(cases.join("refused.toml"), case).unwrap();
    let arguments =
        ["test", &service, "--middleware", &middleware, "--cases", cases.to_str().unwrap()];
    let output = app.run(&arguments).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // Without it nothing refuses the request.
    let output = app.run(&["test", &service, "--cases", cases.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1));
    // Neither does it have to be said where the application file says it.
    let file = format!(
        "name = \"a\"\n[service.a]\ncomponent = {service:?}\nmiddleware = [{middleware:?}]\nsource = \".\"\n"
    );
    std::fs::write(app.path().join("wasm-host.toml"), file).unwrap();
    let output = app.run(&["test"]).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));

    let arguments = ["inspect", &service, "--middleware", &middleware];
    let output = app.run(&arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("part      middleware: middleware, "), "{text}");
    assert!(text.contains("version-one: service, "), "{text}");
    let output = app.run(&[&arguments[..], &["--format", "json"]].concat()).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["parts"][0]["name"], "middleware");
    assert_eq!(report["parts"][1]["digest"].as_str().unwrap().len(), 64);
    // What hands nothing on does not import what a middleware does.
    let output = app.run(&["inspect", &service]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("imports   wasi:http/handler"), "{text}");
    assert_eq!(text.matches("wasi:http/handler@0.3.0").count(), 2, "{text}");
    // A middleware is no service by itself.
    let output = app.run(&["inspect", &middleware]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("name it in `middleware`"), "{text}");
}

#[tokio::test]
async fn a_middleware_checks_a_token_in_front_of_a_service_in_python() {
    let app = App::new(&CHECKED.replace("$(version-one)", "$(hello-py-p3)")).env("TOKEN", "sesame");
    let host = app.serve_compiled().await;
    assert_eq!(host.get("/x").await.status, 401);
    for _ in 0..3 {
        let reply = get(&host, "/x?y").await;
        assert_eq!(reply.text(), "Hello from Python at /x?y\n", "{}", host.log());
        assert_eq!(reply.header("x-checked"), "middleware-one");
        let streamed = get(&host, "/stream").await;
        assert!(streamed.text().ends_with("piece 99\n"), "{}", host.log());
    }
    // What one of its requests breaks is broken for all of its instance, which therefore has one.
    assert_eq!(get(&host, "/raise").await.status, 502);
    assert_eq!(get(&host, "/x").await.status, 200);
    // Its middleware is replaced alone.
    let file = app.path().join("second.wasm");
    std::fs::write(&file, parts::second()).unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["swap", "app", file, "--part", "middleware"];
    let swapped = app.run_within(COMPILATION, &arguments).await;
    let text = String::from_utf8([swapped.stdout, swapped.stderr].concat()).unwrap();
    assert!(swapped.status.success(), "{text}");
    assert_eq!(host.get("/x").await.status, 401);
    let reply = get(&host, "/x?y").await;
    let answered = (reply.header("x-checked"), reply.text());
    assert_eq!(answered, ("middleware-two", "Hello from Python at /x?y\n"), "{}", host.log());
    let history = host.history("app").await;
    let (first, last) = (&history.first().unwrap()["parts"], &history.last().unwrap()["parts"]);
    assert_ne!(first[0]["digest"], last[0]["digest"], "{history:?}");
    assert_eq!(first[1], last[1], "{history:?}");
    // Both are shown without being served.
    let service = component("hello-py-p3");
    let inspected = app.run(&["inspect", service.to_str().unwrap(), "--middleware", file]).await;
    let text = String::from_utf8(inspected.stdout).unwrap();
    for (part, digest) in [("second: middleware, ", &last[0]), ("hello-py-p3: service, ", &last[1])]
    {
        let shown = format!("  digest {}", digest["digest"].as_str().unwrap());
        let line = text.lines().skip_while(|line| !line.contains(part)).nth(1);
        assert!(line.is_some_and(|line| line.ends_with(&shown)), "{part}{shown}: {text}");
    }
}
