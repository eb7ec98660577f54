//! Registries, and lines to them, that do not give what they promised.

use std::time::Duration;

use wasm_host_tests::proxy::{Damage, Plan, Proxy, Then};
use wasm_host_tests::upstream::{Step, Upstream, json};

use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The digest of an application's component, of its `wasm-host.lock`.
fn component_digest(app: &App) -> String {
    let lock = pinned(app.path());
    let (_, rest) = lock.split_once("component = \"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

// Fault (Registries): a blob that breaks off | does not start, with how far it came; keeps nothing of it | - | nothing
#[tokio::test]
async fn a_blob_that_breaks_off_is_told_with_how_far_it_came() {
    let (registry, ..) = stocked().await;
    let proxy = Proxy::start(&registry.address).await;
    let app = app(&proxy.address, "1");
    // In order: a reset could take what came before it along.
    let down = Damage { after: Some((20_000, Then::Close)), ..Damage::default() };
    proxy.set(Plan { down, ..Plan::default() });
    let refused = refused(&app).await;
    assert!(refused.contains("wasm-host.toml:2:1: error: [service.app]: sha256:"), "{refused}");
    assert!(refused.contains(" broke off after "), "{refused}");
    assert!(refused.contains(" bytes; try again"), "{refused}");
    let left = std::fs::read_dir(app.path().join(".wasm-host/registry")).unwrap().count();
    assert_eq!((left, pinned(app.path())), (0, String::new()));
    proxy.heal();
    told(&app.run(&["check"]).await, Some(0));
}

// Fault (Registries): a blob whose line stands still | gives up after the idle time | - | nothing
#[tokio::test]
async fn a_blob_that_stands_still_is_given_up() {
    let (registry, ..) = stocked().await;
    let proxy = Proxy::start(&registry.address).await;
    let app = app_with(&proxy.address, "1", "idle-timeout = \"200ms\"\n");
    let down = Damage { after: Some((20_000, Then::Stall)), ..Damage::default() };
    proxy.set(Plan { down, ..Plan::default() });
    let refused = refused(&app).await;
    assert!(refused.contains("stands still: nothing came for 200ms"), "{refused}");
}

// Fault (Registries): a blob that comes in drops | gives up when its time is over | - | nothing
#[tokio::test]
async fn a_blob_that_comes_in_drops_is_given_up() {
    let (registry, ..) = stocked().await;
    let proxy = Proxy::start(&registry.address).await;
    let app = app_with(&proxy.address, "1", "pull-timeout = \"500ms\"\n");
    let delay = Duration::from_millis(50);
    let down = Damage { delay, pieces: Some(1000), ..Damage::default() };
    proxy.set(Plan { down, ..Plan::default() });
    let refused = refused(&app).await;
    let expected = format!(
        "did not come within 500ms; raise pull-timeout below [registry.\"{}\"], if it is that large",
        proxy.address
    );
    assert!(refused.contains(&expected), "{refused}");
}

// Fault (Registries): a blob of another digest, also where the disk of the registry is damaged | refuses it, with both digests | - | nothing
#[tokio::test]
async fn a_blob_of_another_digest_is_refused() {
    let (registry, ..) = stocked().await;
    let first = app(&registry.address, "1");
    told(&first.run(&["check"]).await, Some(0));
    let digest = component_digest(&first);
    registry.damage(&digest);
    // Another state folder, which has nothing.
    let refused = refused(&app(&registry.address, "1")).await;
    assert!(refused.contains(" is not what it should be: its digest is sha256:"), "{refused}");
    assert!(
        refused
            .contains(&format!(", and {digest} was asked for; something between here and there")),
        "{refused}"
    );
    // A host that has it goes on.
    told(&first.run(&["check"]).await, Some(0));
}

#[tokio::test]
async fn a_manifest_that_is_not_the_pinned_one_is_refused() {
    let (registry, one, _) = stocked().await;
    let lying = lying(|digest| {
        let body = r#"{"schemaVersion":2,"config":{},"layers":[]}"#;
        (digest.to_owned(), body.to_owned())
    })
    .await;
    let app = app(&registry.address, "1");
    told(&app.run(&["update"]).await, Some(0));
    // The same application, with another registry.
    let address = lying.url.strip_prefix("http://").unwrap();
    for file in ["wasm-host.toml", "wasm-host.lock"] {
        let path = app.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace(&registry.address, address)).unwrap();
    }
    let refused = refused(&app).await;
    assert!(
        refused.contains(&format!(
            "the manifest of oci://{address}/{REPOSITORY}:1@{one} is not what it should be"
        )),
        "{refused}"
    );
}

// Fault (Registries): a blob or a manifest that has no end, or more than it may | gives up at the bound, and holds no more than that | - | nothing
#[tokio::test]
async fn what_is_larger_than_it_may_be_is_refused() {
    let large = lying(|_| (String::new(), manifest(300_000_000))).await;
    let refused_large = refused(&app(large.url.strip_prefix("http://").unwrap(), "1")).await;
    assert!(
        refused_large
            .contains("has 300000000 bytes, more than the 268435456 that a component may have"),
        "{refused_large}"
    );

    let endless = lying(|_| (String::new(), "[".repeat(5 * 1024 * 1024))).await;
    let refused_endless = refused(&app(endless.url.strip_prefix("http://").unwrap(), "1")).await;
    assert!(refused_endless.contains("the manifest of oci://127.0.0.1:"), "{refused_endless}");
    assert!(refused_endless.contains(" has more than 4194304 bytes"), "{refused_endless}");

    let longer = lying(|_| (String::new(), manifest(3))).await;
    let refused_longer = refused(&app(longer.url.strip_prefix("http://").unwrap(), "1")).await;
    assert!(
        refused_longer.contains(" is larger than the 3 bytes that its manifest says"),
        "{refused_longer}"
    );
}

#[tokio::test]
async fn what_is_no_component_is_told() {
    let image = lying(|_| {
        let text =
            manifest(3).replace("application/wasm", "application/vnd.oci.image.layer.v1.tar");
        (String::new(), text)
    })
    .await;
    let told_image = refused(&app(image.url.strip_prefix("http://").unwrap(), "1")).await;
    assert!(
        told_image.contains("is no component: it has no layer of application/wasm"),
        "{told_image}"
    );
    let index =
        lying(|_| (String::new(), r#"{"schemaVersion":2,"manifests":[]}"#.to_owned())).await;
    let told_index = refused(&app(index.url.strip_prefix("http://").unwrap(), "1")).await;
    assert!(
        told_index.contains("it is an index of several images, not a component"),
        "{told_index}"
    );
    let (registry, ..) = stocked().await;
    let told_tag = refused(&app(&registry.address, "9")).await;
    assert!(told_tag.contains(&format!("the registry {0} has no oci://{0}/{REPOSITORY}:9 ('manifest unknown'); correct the name, or push it", registry.address)), "{told_tag}");
}

// Fault (Registries): a registry that does not answer | gives up after its time | - | nothing
#[tokio::test]
async fn a_registry_that_does_not_answer_is_given_up() {
    let silent = Upstream::start(|_| vec![Step::Hold]).await;
    let address = silent.url.strip_prefix("http://").unwrap();
    let app = app_with(address, "1", "answer-timeout = \"200ms\"\n");
    let refused = refused(&app).await;
    assert!(
        refused.contains(&format!("the registry {address} did not answer within 200ms")),
        "{refused}"
    );
}

// Fault (Registries): a registry whose words command a terminal, or have no end | repeats a line of them, written out | - | nothing
#[tokio::test]
async fn a_registrys_words_command_no_terminal() {
    let words = serde_json::json!("\u{1b}[2J\u{202e}\nwasm-host: all is well ".repeat(500));
    let reason = serde_json::json!({ "errors": [{ "code": "X", "message": words }] }).to_string();
    let manifest = serde_json::json!({ "schemaVersion": words }).to_string();
    for (status, body) in [("404 Not Found", reason), ("200 OK", manifest)] {
        let loud = Upstream::start(move |_| vec![Step::Send(json(status, &body))]).await;
        let refused = refused(&app(loud.url.strip_prefix("http://").unwrap(), "1")).await;
        assert!(!refused.contains(['\u{1b}', '\u{202e}']), "{refused:?}");
        assert!(refused.len() < 1500, "{refused}");
        let expected = match status {
            "200 OK" => "its manifest cannot be read: line 1, column ",
            _ => "('\\u{1b}[2J\\u{202e}\\nwasm-host: all is well",
        };
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let (registry, ..) = stocked().await;
    let closed = wasm_host_tests::ports::Closed::take();
    let app = app_with(
        &registry.address,
        "9",
        &format!(
            "[service.b]\ncomponent = \"oci://{0}/b:1\"\n[registry.\"{0}\"]\nplain-http = true\n",
            closed.address
        ),
    );
    let refused = refused(&app).await;
    assert!(
        refused.contains("[service.app]: the registry") && refused.contains("has no oci://"),
        "{refused}"
    );
    assert!(
        refused.contains("[service.b]: the registry") && refused.contains("cannot be reached"),
        "{refused}"
    );
}

/// The manifest of a component of so many bytes, whose digest no bytes have.
fn manifest(size: u64) -> String {
    let part = |kind: &str, size| {
        let digest = "sha256:".to_owned() + &"1".repeat(64);
        serde_json::json!({ "mediaType": kind, "digest": digest, "size": size })
    };
    let layers = [part("application/wasm", size)];
    serde_json::json!({ "schemaVersion": 2, "config": part("x", 2), "layers": layers }).to_string()
}

/// A registry that answers everything with what `answer` makes of the name that is asked for: the digest that it
/// claims, which may be empty, and the content.
async fn lying(answer: fn(&str) -> (String, String)) -> Upstream {
    Upstream::start(move |request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (claimed, body) = answer(path.rsplit('/').next().unwrap_or_default());
        let claimed = match claimed.is_empty() {
            true => String::new(),
            false => format!("docker-content-digest: {claimed}\r\n"),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {MANIFEST}\r\ncontent-length: {}\r\n{claimed}\r\n",
            body.len()
        );
        vec![Step::Send([head.into_bytes(), body.into_bytes()].concat())]
    })
    .await
}
