//! Versions of a registry: the one that is asked has them from there, the others where it put them, and each holds them
//! against its own keys.

use wasm_host_tests::registry::Registry;

use super::*;

const REPOSITORY: &str = "shop/app";

fn app_of(address: &str, url: &str, more: &str) -> App {
    App::new(&format!(
        "name = \"shop\"\n[service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\n\
         [registry.\"{address}\"]\nplain-http = true\n[replicas]\nurl = \"{url}\"\nlease = \"2s\"\n{more}"
    ))
    .env("REGISTRY_AUTH_FILE", "/nonexistent")
}

async fn push(app: &App, reference: &str, more: &[&str]) {
    let file = component("version-two");
    let arguments = ["push", reference, file.to_str().unwrap(), "--plain-http"];
    let pushed = app.run(&[&arguments, more].concat()).await;
    assert!(pushed.status.success(), "{pushed:?}");
}

async fn swap(host: &Host, reference: &str) -> Reply {
    let json = serde_json::json!({ "reference": format!("oci://{reference}") }).to_string();
    host.ask("POST", "/services/app/swap", &[("content-type", "application/json")], json).await
}

/// Push the second version, swap it in at a host, and say what it is called.
async fn swap_from(registry: &Registry, app: &App, host: &Host) -> String {
    let reference = format!("{}/{REPOSITORY}:2", registry.address);
    push(app, &reference, &[]).await;
    let reply = swap(host, &reference).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reference
}

/// It is called after what it is, whatever its tag comes to stand for.
async fn serves_two_of(host: &Host, reference: &str) {
    comes_to_answer(host, "two").await;
    let path = host.history("app").await.last().unwrap()["path"].as_str().unwrap().to_owned();
    assert!(path.starts_with(&format!("oci://{reference}@sha256:")), "{path}");
}

#[tokio::test]
async fn a_version_of_a_registry_reaches_all_under_its_digest() {
    let (server, registry) = (Postgres::start(), Registry::start().await);
    let apps = [(); 2].map(|()| app_of(&registry.address, &server.url(), ""));
    let (first, second) = (apps[0].serve().await, apps[1].serve().await);
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let reference = swap_from(&registry, &apps[0], &first).await;
    serves_two_of(&second, &reference).await;
}

/// As in Kubernetes: what comes later may be let through to no registry, and the tag may be gone there.
// Fault (Replicas): a replica comes later, and the registry of what the others serve is away | gives it the component by the database | what the others serve | nothing
#[tokio::test]
async fn a_replica_that_comes_later_needs_no_registry() {
    let (server, registry) = (Postgres::start(), Registry::start().await);
    let apps = [(); 2].map(|()| app_of(&registry.address, &server.url(), ""));
    let first = apps[0].serve().await;
    is_ready(&first).await;
    let reference = swap_from(&registry, &apps[0], &first).await;
    drop(registry);
    let second = apps[1].serve().await;
    serves_two_of(&second, &reference).await;
}

/// The database is believed what the bytes are, and not what key has signed them.
// Fault (Replicas): a replica that trusts keys comes later, and the registry with the signatures is away | keeps it shut until the registry is there, and says so | nothing | 503
#[tokio::test]
async fn a_signature_is_known_from_the_registry_alone() {
    let (server, registry) = (Postgres::start(), Registry::start().await);
    let plain = app_of(&registry.address, &server.url(), "");
    let trust = "[trust]\nkeys = [\"release.pub\"]\n";
    let trusting = app_of(&registry.address, &server.url(), trust);
    let made = trusting.run(&["key", "generate", "release"]).await;
    assert!(made.status.success(), "{made:?}");
    let first = plain.serve().await;
    is_ready(&first).await;
    let reference = format!("{}/{REPOSITORY}:2", registry.address);
    push(&trusting, &reference, &["--sign", "release.key"]).await;
    let reply = swap(&first, &reference).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    drop(registry);
    let second = trusting.serve().await;
    eventually("what is in the way", async || {
        let ready = second.ask("GET", "/ready", &[], "").await;
        let says_it = ready.text().contains("it cannot serve what the others serve: the registry");
        (ready.status == 503 && says_it).then_some(())
    })
    .await;
    assert_eq!(second.get("/").await.status, 503);
}

// Fault (Replicas): a signature that one replica does not trust | rejects the version everywhere, with the replica and its reason | the version before | nothing
#[tokio::test]
async fn a_replica_that_does_not_trust_a_signature_refuses_for_all() {
    let (server, registry) = (Postgres::start(), Registry::start().await);
    let plain = app_of(&registry.address, &server.url(), "");
    let trust = "[trust]\nkeys = [\"release.pub\"]\n";
    let trusting = app_of(&registry.address, &server.url(), trust);
    let made = trusting.run(&["key", "generate", "release"]).await;
    assert!(made.status.success(), "{made:?}");
    let (first, second) = (plain.serve().await, trusting.serve().await);
    for host in [&first, &second] {
        is_ready(host).await;
    }
    let reference = format!("{}/{REPOSITORY}:2", registry.address);
    push(&plain, &reference, &[]).await;
    let reply = swap(&first, &reference).await;
    assert_eq!(reply.status, 422, "{}", reply.text());
    let reason = reply.json()["reason"].as_str().unwrap().to_owned();
    let expected = format!("{} refused it: ", name(&second).await);
    assert!(reason.starts_with(&expected) && reason.contains("is not signed"), "{reason}");
    assert!(first.get("/").await.text().contains("one"));

    push(&trusting, &reference, &["--sign", "release.key"]).await;
    let reply = swap(&first, &reference).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    comes_to_answer(&second, "two").await;
}
