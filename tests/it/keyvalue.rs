//! Buckets: the same for a component wherever they are, and what each kind promises of its own.

mod durable;
mod on_redis;
mod replayed;

use tempfile::TempDir;

use wasm_host_tests::client::Reply;
use wasm_host_tests::host::{App, Host, component};
use wasm_host_tests::redis::Redis;

/// What a table of the application file says of a bucket.
const MEMORY: &str = "store = \"memory\"";
const FILE: &str = "store = \"file\"";

fn of_redis(server: &Redis) -> String {
    format!("url = \"{}\"", server.url())
}

/// A service with the bucket `carts`, of which `keys` says where it is.
fn app(keys: &str) -> App {
    App::new(&format!(
        r#"
name = "buckets"

[keyvalue.carts]
{keys}

[service.keeper]
component = "$(keeper)"
route = "/"
keyvalue = "carts"
"#
    ))
}

async fn put(host: &Host, key: &str, value: &str) -> Reply {
    host.send("PUT", &format!("/carts/{key}"), value).await
}

async fn text(host: &Host, method: &str, path: &str, body: &str) -> (u16, String) {
    let reply = host.send(method, path, body).await;
    (reply.status.as_u16(), reply.text().to_owned())
}

fn ok(text: &str) -> (u16, String) {
    (200, text.to_owned())
}

#[tokio::test]
async fn a_component_sees_the_same_wherever_its_bucket_is() {
    let server = Redis::start();
    for keys in [MEMORY, FILE, &of_redis(&server)] {
        let host = app(keys).serve().await;
        let get = async |path: &str| text(&host, "GET", path, "").await;
        assert_eq!(get("/carts/a").await, (404, "none\n".into()), "{keys}");
        assert_eq!(put(&host, "a", "tea").await.status, 200, "{keys}");
        assert_eq!(get("/carts/a").await, ok("tea"), "{keys}");
        // One bucket is granted: it is the one without a name, too.
        assert_eq!(get("/default/a").await, ok("tea"), "{keys}");
        assert_eq!(host.send("HEAD", "/carts/a", "").await.status, 200, "{keys}");
        assert_eq!(host.send("HEAD", "/carts/b", "").await.status, 404, "{keys}");
        let post = async |path: &str, body: &str| text(&host, "POST", path, body).await;
        assert_eq!(post("/carts/n?increment=5", "").await, ok("5"), "{keys}");
        assert_eq!(post("/carts/n?increment=-7", "").await, ok("-2"), "{keys}");
        assert_eq!(post("/carts/c?count", "").await, ok("1"), "{keys}");
        assert_eq!(post("/carts/c?count", "").await, ok("2"), "{keys}");
        assert_eq!(post("/carts/?set-many", "x=1\ny=2").await, ok(""), "{keys}");
        assert_eq!(post("/carts/?get-many", "y\nz\nx").await, ok("2\nnone\n1\n"), "{keys}");
        assert_eq!(post("/carts/?delete-many", "x\nc\nn\nz").await, ok(""), "{keys}");
        let (status, listed) = get("/carts/").await;
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        assert_eq!((status, listed), (200, vec!["a", "y"]), "{keys}");
        assert_eq!(text(&host, "DELETE", "/carts/a", "").await, ok(""), "{keys}");
        assert_eq!(get("/carts/a").await.0, 404, "{keys}");
        // What does not fit is told, and the service goes on.
        let (status, told) = post("/carts/y?increment=9223372036854775807", "").await;
        assert_eq!(status, 503, "{keys}");
        assert!(told.contains("beyond the range"), "{keys}: {told}");
        let long = format!("/carts/{}", "k".repeat(1025));
        let (status, told) = text(&host, "PUT", &long, "x").await;
        assert_eq!(status, 503, "{keys}");
        assert!(told.contains("a key has at most 1024 bytes"), "{keys}: {told}");
        let resources = host.ask("GET", "/api/resources", &[], "").await.json();
        let backend = &resources["backends"][0];
        assert_eq!(
            (&backend["backend"], &backend["state"]),
            (&"keyvalue.carts".into(), &"up".into())
        );
    }
}

#[tokio::test]
async fn a_storm_of_requests_that_count_by_swapping_loses_none() {
    const EACH: u64 = 25;
    let server = Redis::start();
    for keys in [MEMORY, FILE, &of_redis(&server)] {
        let host = app(&format!("{keys}\n")).serve().await;
        let worker = || async {
            for _ in 0..EACH {
                let (status, told) = text(&host, "POST", "/carts/c?count", "").await;
                assert_eq!(status, 200, "{keys}: {told}");
            }
        };
        futures_util::future::join_all((0..8).map(|_| worker())).await;
        let all = (8 * EACH).to_string();
        assert_eq!(text(&host, "GET", "/carts/c", "").await, ok(&all), "{keys}");
    }
}

// A storm may happen to have no two requests at the same value. Here all of them have read the first one before any swaps.
#[tokio::test]
async fn of_requests_that_have_read_the_same_value_one_swaps_and_the_others_read_again() {
    const RACERS: u64 = 8;
    let server = Redis::start();
    for keys in [MEMORY, FILE, &of_redis(&server)] {
        let host = app(keys).serve().await;
        let path = format!("/carts/c?race={RACERS}");
        let racer = || text(&host, "POST", &path, "");
        let ended = futures_util::future::join_all((0..RACERS).map(|_| racer())).await;
        let (mut set, mut lost) = (Vec::new(), 0);
        for (status, told) in ended {
            assert_eq!(status, 200, "{keys}: {told}");
            let (value, times) = told.split_once(' ').unwrap();
            set.push(value.parse::<u64>().unwrap());
            lost += times.parse::<u64>().unwrap();
        }
        set.sort_unstable();
        assert_eq!(set, Vec::from_iter(1..=RACERS), "{keys}");
        assert!(lost >= RACERS - 1, "{keys}: {lost} swaps came too late");
        let all = RACERS.to_string();
        assert_eq!(text(&host, "GET", "/carts/c", "").await, ok(&all), "{keys}");
    }
}

#[tokio::test]
async fn a_component_opens_the_buckets_that_it_is_granted_and_no_other() {
    let file = r#"
name = "buckets"

[keyvalue.carts]
store = "memory"

[keyvalue.sessions]
store = "memory"

[keyvalue.secrets]
store = "memory"

[service.keeper]
component = "$(keeper)"
route = "/"
keyvalue = ["carts", "sessions"]

[service.other]
component = "$(keeper)"
keyvalue = "secrets"
"#;
    let host = App::new(file).serve().await;
    assert_eq!(host.send("PUT", "/other/secrets/a", "mine").await.status, 200);
    assert_eq!(host.send("PUT", "/carts/a", "tea").await.status, 200);
    // Each bucket has keys of its own.
    assert_eq!(text(&host, "GET", "/sessions/a", "").await.0, 404);
    for (bucket, expected) in [
        ("secrets", (403, "not granted\n")),
        ("nonsense", (404, "no such bucket\n")),
        // Two are granted, and neither is called so.
        ("default", (404, "no such bucket\n")),
    ] {
        let (status, told) = text(&host, "GET", &format!("/{bucket}/a"), "").await;
        assert_eq!((status, &*told), expected, "{bucket}");
    }
    let refused = file.replace("keyvalue = \"secrets\"", "");
    let output = App::new(&refused).run(&["check"]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("it imports wasi:keyvalue/"), "{told}");
    assert!(told.contains("add keyvalue = \"carts\" under [service.other]"), "{told}");
}

const DRAFTS: &str = r#"
name = "drafts"

[keyvalue.only]
store = "memory"

[service.keeper]
component = "$(keeper-p2)"
route = "/"
keyvalue = "only"
config = { greeting = "Hei", name = "Ada" }
"#;

#[tokio::test]
async fn a_component_of_wasi_0_2_uses_the_older_drafts() {
    let app = App::new(DRAFTS);
    let host = app.serve().await;
    assert_eq!(host.get("/a").await.text(), "1 1 /a,last Hei Ada of 2\n");
    assert_eq!(host.get("/a").await.text(), "2 1 /a,last Hei Ada of 2\n");
    assert_eq!(host.get("/b").await.text(), "1 1 /a,/b,last Hei Ada of 2\n");
    let inspected = app.run(&["inspect", component("keeper-p2").to_str().unwrap()]).await;
    let told = String::from_utf8([inspected.stdout, inspected.stderr].concat()).unwrap();
    for interface in [
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:config/runtime@0.2.0-draft",
        "wasi:config/store@0.2.0-draft-2024-09-27",
    ] {
        assert!(told.contains(interface), "{interface}: {told}");
    }
}

#[tokio::test]
async fn a_component_is_told_its_configuration_and_nothing_shows_what_is_secret() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "k3y-of-nobody\n").unwrap();
    let app = App::new(&format!(
        r#"
name = "configured"

[keyvalue.carts]

[service.keeper]
component = "$(keeper)"
route = "/"
keyvalue = "carts"

[service.keeper.config]
greeting = "Hei"
token = "${{TOKEN}}"
key = "${{file:{}}}"

[service.other]
component = "$(keeper)"
keyvalue = "carts"
"#,
        key.display()
    ))
    .env("TOKEN", "t0ken-of-nobody");
    let host = app.serve_with(&["--record", "recorded"]).await;
    let all = "greeting=Hei\nkey=k3y-of-nobody\ntoken=t0ken-of-nobody\n";
    assert_eq!(text(&host, "GET", "/config/", "").await, ok(all));
    assert_eq!(text(&host, "GET", "/config/greeting", "").await, ok("Hei"));
    assert_eq!(text(&host, "GET", "/config/nonsense", "").await, ok("none"));
    assert_eq!(text(&host, "GET", "/other/config/", "").await, ok(""));
    let (_, log) = host.stop().await;
    let recorded = app.path().join("recorded/keeper");
    let mut texts = vec![log];
    for file in std::fs::read_dir(recorded).unwrap() {
        texts.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    for text in texts {
        assert!(!text.contains("of-nobody"), "{text}");
    }
}
