//! With `[trust]`, nothing is served that no trusted key has signed.

use std::fs;

use wasm_host_tests::client;
use wasm_host_tests::proxy::{Plan, Proxy};
use wasm_host_tests::registry::skopeo;

use super::*;

const TRUST: &str = "[trust]\nkeys = [\"release.pub\"]\n";

/// An application that trusts a key of its own, which it has.
async fn trusting(address: &str, tag: &str) -> App {
    let app = app_with(address, tag, TRUST);
    let made = told(&app.run(&["key", "generate", "release"]).await, Some(0));
    assert!(made.contains("release.key signs: keep it to yourself"), "{made}");
    assert!(made.contains("[trust] keys = [\"release.pub\"]"), "{made}");
    app
}

// Fault (Registries): a component that nobody trusted has signed, at the start and in a swap | refuses it | the version before | nothing
#[tokio::test]
async fn what_no_trusted_key_has_signed_is_refused() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let app = trusting(address, "1").await;
    let other = trusting(address, "1").await;
    let key = ["--sign", "release.key"];
    let one = push(&app, address, "one", "1").await;
    let not_signed = format!(
        "[service.app]: oci://{address}/{REPOSITORY}:1@{one} is not signed, and [trust] wants it to be; push it with --sign"
    );
    let refused_plain = refused(&app).await;
    assert!(refused_plain.contains(&not_signed), "{refused_plain}");
    assert_eq!(pinned(app.path()), "");

    push_with(&other, address, "one", "1", &key).await;
    let refused_other = refused(&app).await;
    assert!(
        refused_other.contains("is signed by none of the keys in [trust] (signatures: 1)"),
        "{refused_other}"
    );
    // Both hold from now on.
    push_with(&app, address, "one", "1", &key).await;
    told(&app.run(&["check"]).await, Some(0));
    told(&other.run(&["check"]).await, Some(0));

    let host = app.serve().await;
    let two = push(&app, address, "two", "2").await;
    let reference = format!("oci://{address}/{REPOSITORY}:2");
    let rejected = told(&app.run(&["swap", "app", &reference]).await, Some(1));
    assert!(rejected.contains(&format!("rejected: {reference}@{two} is not signed")), "{rejected}");
    assert!(host.get("/").await.text().starts_with("begin one"));
    push_with(&app, address, "two", "2", &key).await;
    told(&app.run(&["swap", "app", &reference]).await, Some(0));
    assert!(host.get("/").await.text().starts_with("begin two"));
}

#[tokio::test]
async fn signatures_are_looked_at_also_where_the_registry_is_away() {
    let registry = Registry::start().await;
    let proxy = Proxy::start(&registry.address).await;
    let app = trusting(&proxy.address, "1").await;
    push_with(&app, &proxy.address, "one", "1", &["--sign", "release.key"]).await;
    told(&app.run(&["check"]).await, Some(0));
    proxy.set(Plan { refuse: true, ..Plan::default() });
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    host.stop().await;
    // What was kept is believed no further than the keys go.
    told(&app.run(&["key", "generate", "another"]).await, Some(0));
    fs::rename(app.path().join("another.pub"), app.path().join("release.pub")).unwrap();
    let refused = refused(&app).await;
    assert!(refused.contains("cannot be reached"), "{refused}");
}

#[tokio::test]
async fn pins_put_no_other_component_into_the_place_of_a_signed_one() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let app = trusting(address, "1").await;
    push_with(&app, address, "one", "1", &["--sign", "release.key"]).await;
    push_with(&app, address, "two", "2", &["--sign", "release.key"]).await;
    let digest = |lock: &str| {
        let (_, rest) = lock.split_once("component = \"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    // Both are kept, and the pin of one says that it is the other.
    told(&app.run(&["check"]).await, Some(0));
    let one = pinned(app.path());
    rewrite(&app, &format!("{REPOSITORY}:1"), &format!("{REPOSITORY}:2"));
    fs::remove_file(app.path().join("wasm-host.lock")).unwrap();
    told(&app.run(&["check"]).await, Some(0));
    let two = pinned(app.path());
    let mixed = two.replace(&digest(&two), &digest(&one));
    fs::write(app.path().join("wasm-host.lock"), mixed).unwrap();
    let refused = refused(&app).await;
    let expected = format!("has the component {}, and {} is pinned", digest(&two), digest(&one));
    assert!(refused.contains(&expected), "{refused}");
}

#[tokio::test]
async fn a_key_is_made_once_and_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let registry = Registry::start().await;
    let app = trusting(&registry.address, "1").await;
    let key = app.path().join("release.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&key).unwrap();
    let again = told(&app.run(&["key", "generate", "release"]).await, Some(1));
    assert!(again.contains("cannot write release.pub: File exists"), "{again}");
    assert_eq!(fs::read(&key).unwrap(), before);
    let wrong = ["push", "127.0.0.1:1/x:1", "x.wasm", "--sign", "release.pub"];
    let wrong = told(&app.run(&wrong).await, Some(64));
    assert!(
        wrong.contains("the key release.pub: there is no private key in it; it is an ECDSA key"),
        "{wrong}"
    );
}

#[tokio::test]
async fn signatures_lie_where_cosign_lays_them() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let app = trusting(address, "1").await;
    let digest = push_with(&app, address, "one", "1", &["--sign", "release.key"]).await;
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let image = format!("docker://{address}/{REPOSITORY}:{tag}");
    let raw = skopeo(&["inspect", "--tls-verify=false", "--raw", &image]).await;
    let manifest: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    assert!(
        layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap().len() > 90
    );
    // Signed once more by the same key, it has one signature as before.
    push_with(&app, address, "one", "1", &["--sign", "release.key"]).await;
    assert_eq!(skopeo(&["inspect", "--tls-verify=false", "--raw", &image]).await, raw);
}

// Fault (Registries): a version that was swapped in unsigned, or by a key that is trusted no more | leaves it out at the next start, and rejects a rollback to it | the application file's own component, or the version before | nothing
#[tokio::test]
async fn what_was_swapped_in_is_held_against_the_keys_of_today() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let app = app_with(address, "1", "");
    told(&app.run(&["key", "generate", "release"]).await, Some(0));
    let key = ["--sign", "release.key"];
    push_with(&app, address, "one", "1", &key).await;
    let two = push(&app, address, "two", "2").await;
    let swap = ["swap", "app", &format!("oci://{address}/{REPOSITORY}:2")];
    let host = app.serve().await;
    told(&app.run(&swap).await, Some(0));
    host.stop().await;

    // Without trust it is what serves; with it, nothing vouches for it.
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin two"));
    host.stop().await;
    let file = app.path().join("wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}\n{TRUST}")).unwrap();
    let unknown = format!(
        "that oci://{address}/{REPOSITORY}:2@{two} is signed by a key in [trust] is not known here"
    );
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    host.logs(&format!("its last version is left out: {unknown}")).await;
    let back = told(&app.run(&["rollback", "app"]).await, Some(1));
    assert!(back.contains(&format!("rejected: {unknown}")), "{back}");
    assert!(host.get("/").await.text().starts_with("begin one"));

    // Signed, it serves, and again after a restart, which asks no registry about it.
    push_with(&app, address, "two", "2", &key).await;
    told(&app.run(&swap).await, Some(0));
    host.stop().await;
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin two"));
    told(&app.run(&["rollback", "app"]).await, Some(0));
    assert!(host.get("/").await.text().starts_with("begin one"));
    let back = told(&app.run(&["rollback", "app"]).await, Some(0));
    assert!(back.contains("activated: "), "{back}");
}

#[tokio::test]
async fn a_signature_is_added_to_those_of_others_which_stay_as_they_are() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let (app, other) = (trusting(address, "1").await, trusting(address, "1").await);
    let digest = push_with(&app, address, "one", "1", &["--sign", "release.key"]).await;
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let image = format!("docker://{address}/{REPOSITORY}:{tag}");
    let raw = async || {
        let text = skopeo(&["inspect", "--tls-verify=false", "--raw", &image]).await;
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    // As another tool leaves it: with more to say of a signature, with something that is none, and with one of
    // which the registry has other bytes than it says.
    let mut manifest = raw().await;
    let layers = manifest["layers"].as_array_mut().unwrap();
    let mut foreign = layers[0].clone();
    foreign["mediaType"] = "application/vnd.example".into();
    let mut damaged = layers[0].clone();
    damaged["size"] = 7.into();
    layers[0]["annotations"]["dev.sigstore.cosign/bundle"] = "{}".into();
    layers.insert(0, damaged);
    layers.push(foreign);
    let path = format!("/v2/{REPOSITORY}/manifests/{tag}");
    let kind = [("content-type", "application/vnd.oci.image.manifest.v1+json")];
    let put = client::send(address, "PUT", &path, &kind, manifest.to_string()).await;
    assert_eq!(put.status, 201, "{}", put.text());
    push_with(&other, address, "one", "1", &["--sign", "release.key"]).await;
    let (before, after) = (manifest["layers"].as_array().unwrap(), raw().await);
    let after = after["layers"].as_array().unwrap();
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after[..before.len()], before[..]);
    told(&app.run(&["check"]).await, Some(0));
    told(&other.run(&["check"]).await, Some(0));
}

// Fault (Registries): a component without a trusted signature, in `update` | does not pin it | what is pinned | nothing
#[tokio::test]
async fn an_update_pins_only_what_is_signed() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let app = trusting(address, "1").await;
    let one = push(&app, address, "one", "1").await;
    let refused = told(&app.run(&["update"]).await, Some(1));
    let expected =
        format!("oci://{address}/{REPOSITORY}:1@{one} is not signed, and [trust] wants it to be");
    assert!(refused.contains(&expected), "{refused}");
    assert_eq!(pinned(app.path()), "");
    push_with(&app, address, "one", "1", &["--sign", "release.key"]).await;
    let updated = answer(app.run(&["update"]).await);
    assert!(updated.contains(&format!("is pinned to {one}")), "{updated}");
    // A tag that was moved to something unsigned leaves the pin as it was.
    let before = pinned(app.path());
    let two = push(&app, address, "two", "1").await;
    let refused = told(&app.run(&["update"]).await, Some(1));
    assert!(refused.contains(&format!("{two} is not signed")), "{refused}");
    assert_eq!(pinned(app.path()), before);
}
