//! What a tag stands for is written down once, and followed until `update`.

use wasm_host_tests::host::component;
use wasm_host_tests::proxy::{Damage, Plan, Proxy};
use wasm_host_tests::registry::{Registry, skopeo};
use wasm_host_tests::{eventually, within};

use super::*;

#[tokio::test]
async fn what_is_pushed_is_read_by_others_and_comes_back_as_it_was() {
    let (registry, digest, _) = stocked().await;
    let address = &registry.address;
    let image = format!("docker://{address}/{REPOSITORY}:1");
    let raw = skopeo(&["inspect", "--tls-verify=false", "--raw", &image]).await;
    let manifest: serde_json::Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    let config = skopeo(&["inspect", "--tls-verify=false", "--config", "--raw", &image]).await;
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!((&config["os"], &config["architecture"]), (&"wasip2".into(), &"wasm".into()));
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(exports.iter().any(|name| name.as_str().unwrap().starts_with("wasi:http/")));
    // The same component again is the same manifest.
    let app = app(address, "1");
    assert_eq!(push(&app, address, "one", "again").await, digest);

    let reference = format!("oci://{address}/{REPOSITORY}:1");
    let pulled = app.run(&["pull", &reference, "-o", "back.wasm", "--plain-http"]).await;
    assert_eq!(answer(pulled), format!("back.wasm: {reference}@{digest}\n"));
    let back = std::fs::read(app.path().join("back.wasm")).unwrap();
    assert!(back == std::fs::read(component("version-one")).unwrap());
    let pulled = app.run(&["pull", &reference, "--plain-http", "--format", "json"]).await;
    let pulled: serde_json::Value = serde_json::from_str(&answer(pulled)).unwrap();
    assert_eq!(pulled["reference"], format!("{reference}@{digest}"));
    assert!(app.path().join(pulled["file"].as_str().unwrap()).is_file(), "{pulled}");
    let seen = app.run(&["inspect", &reference, "--plain-http"]).await;
    let seen = told(&seen, Some(0));
    assert!(seen.contains(&format!("file      {reference}@{digest}\n")), "{seen}");
}

#[tokio::test]
async fn what_skopeo_copies_is_served_as_well() {
    let (registry, digest, _) = stocked().await;
    let (from, to) = (&registry, Registry::start().await);
    let copied = format!("docker://{}/{REPOSITORY}:copied", to.address);
    let source = format!("docker://{}/{REPOSITORY}:1", from.address);
    let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo(&[&["copy", "--preserve-digests"], &insecure[..], &[&source, &copied]].concat()).await;
    let app = app(&to.address, "copied");
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    assert!(pinned(app.path()).contains(&digest));
}

// Fault (Registries): a tag that was moved | serves what is pinned, and `check` says so | what is pinned | nothing
#[tokio::test]
async fn a_tag_that_moves_is_told_and_not_followed() {
    let (registry, one, two) = stocked().await;
    let address = &registry.address;
    let app = app(address, "latest");
    push(&app, address, "one", "latest").await;
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    host.logs(&format!("{REPOSITORY}:latest is pinned to {one}")).await;
    host.stop().await;
    let lock = pinned(app.path());
    assert!(lock.contains(&format!("manifest = \"{one}\"")), "{lock}");
    let checked = told(&app.run(&["check"]).await, Some(0));
    assert!(!checked.contains("warning"), "{checked}");

    push(&app, address, "two", "latest").await;
    let checked = told(&app.run(&["check"]).await, Some(0));
    let moved = format!(
        "wasm-host.toml:2:1: warning: [service.app]: oci://{address}/{REPOSITORY}:latest stands for {two} by now, and {one} is \
         pinned, which serves; `wasm-host update` takes the new one\n"
    );
    assert!(checked.contains(&moved), "{checked}");
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    host.stop().await;
    assert_eq!(pinned(app.path()), lock);

    let updated = answer(app.run(&["update"]).await);
    let reference = format!("app: oci://{address}/{REPOSITORY}:latest");
    let missing = told(&app.run(&["update", "ap"]).await, Some(64));
    let expected = "no service ap has its component from a registry; did you mean app?";
    assert!(missing.contains(expected), "{missing}");
    assert_eq!(updated, format!("{reference} {one} -> {two}\n"));
    let updated = answer(app.run(&["update", "app"]).await);
    assert_eq!(updated, format!("{reference} is still {two}\n"));
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin two"));
}

#[tokio::test]
async fn locked_refuses_what_is_not_pinned() {
    let (registry, one, _) = stocked().await;
    let app = app(&registry.address, "1");
    let reference = format!("oci://{}/{REPOSITORY}:1", registry.address);
    let expected = format!(
        "wasm-host.toml:2:1: error: [service.app]: {reference} is not pinned in wasm-host.lock; run `wasm-host update`, and \
         keep the file with the application file"
    );
    let refused = told(&app.run(&["check", "--locked"]).await, Some(64));
    assert!(refused.contains(&expected), "{refused}");
    let refused = told(&app.run(&["serve", "--locked"]).await, Some(64));
    assert!(refused.contains(&expected), "{refused}");
    // What only looks pins nothing either.
    let looked = told(&app.run(&["inspect", "--service", "app"]).await, Some(0));
    assert!(looked.contains("imports"), "{looked}");
    assert_eq!(pinned(app.path()), "");
    let updated = answer(app.run(&["update"]).await);
    assert_eq!(updated, format!("app: {reference} is pinned to {one}\n"));
    assert!(told(&app.run(&["check", "--locked"]).await, Some(0)).contains("ok, 1 service"));
    let host = app.serve_with(&["--locked"]).await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    // What is named by its digest is pinned to another one then.
    rewrite(
        &app,
        &format!("{REPOSITORY}:1"),
        &format!("{REPOSITORY}@{}", "sha256:".to_owned() + &"0".repeat(64)),
    );
    let refused = told(&app.run(&["check", "--locked"]).await, Some(64));
    assert!(refused.contains("is not pinned in wasm-host.lock"), "{refused}");
}

// Fault (Registries): a registry that is away at a start | serves what is pinned and kept, without asking | its answer | nothing
#[tokio::test]
async fn a_registry_that_is_away_stops_no_start_whose_components_are_kept() {
    let (registry, ..) = stocked().await;
    let proxy = Proxy::start(&registry.address).await;
    let app = app(&proxy.address, "1");
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    host.stop().await;
    proxy.set(Plan { refuse: true, ..Plan::default() });
    let asked = proxy.accepted();
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    assert_eq!(proxy.accepted(), asked, "it is not asked");
    host.stop().await;
    // `check` asks, and says that it got no answer.
    let checked = told(&app.run(&["check"]).await, Some(0));
    assert!(checked.contains("has moved is not known: the registry 127.0.0.1:"), "{checked}");
    // Updating fails as a whole and changes nothing.
    let lock = pinned(app.path());
    let failed = told(&app.run(&["update"]).await, Some(1));
    assert!(failed.contains("cannot be reached") && failed.contains("wasm-host.lock is as it was"));
    assert_eq!(pinned(app.path()), lock);
}

// Fault (Registries): a registry that is away, and nothing kept | does not start, with the reason | - | nothing
#[tokio::test]
async fn a_registry_that_is_away_is_told_where_nothing_is_kept() {
    let closed = wasm_host_tests::ports::Closed::take();
    let app = app(&closed.address, "1");
    let refused = refused(&app).await;
    let expected = format!(
        "wasm-host.toml:2:1: error: [service.app]: the registry {} cannot be reached: ",
        closed.address
    );
    assert!(refused.contains(&expected) && refused.contains("refused"), "{refused}");
    let refused = told(&app.run(&["serve"]).await, Some(64));
    assert!(refused.contains(&expected), "{refused}");
}

#[tokio::test]
async fn what_is_pinned_and_gone_is_told_with_what_takes_its_place() {
    let (registry, one, _) = stocked().await;
    let address = &registry.address;
    let app = app(address, "1");
    told(&app.run(&["update"]).await, Some(0));
    skopeo(&["delete", "--tls-verify=false", &format!("docker://{address}/{REPOSITORY}:1")]).await;
    let refused = refused(&app).await;
    let expected = format!(
        "the registry {address} has no oci://{address}/{REPOSITORY}:1@{one} ('manifest unknown'); what is pinned is gone there; \
         `wasm-host update` takes what the tag stands for now"
    );
    assert!(refused.contains(&expected), "{refused}");
}

#[tokio::test]
async fn what_was_kept_and_is_damaged_is_asked_for_anew() {
    let (registry, ..) = stocked().await;
    let app = app(&registry.address, "1");
    told(&app.run(&["check"]).await, Some(0));
    let folder = app.path().join(".wasm-host/registry");
    let kept = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, &bytes).unwrap();
    let checked = told(&app.run(&["check"]).await, Some(0));
    assert!(checked.contains("is damaged; it is asked for anew"), "{checked}");
    assert!(std::fs::read(&kept).unwrap() == std::fs::read(component("version-one")).unwrap());
}

#[tokio::test]
async fn pins_that_cannot_be_read_are_told_and_left_alone() {
    let (registry, ..) = stocked().await;
    let app = app(&registry.address, "1");
    let merged = "version = 1\n<<<<<<< HEAD\n";
    std::fs::write(app.path().join("wasm-host.lock"), merged).unwrap();
    let expected = "wasm-host.lock: line 2: ";
    let told_check = refused(&app).await;
    assert!(told_check.contains(expected), "{told_check}");
    assert!(told_check.contains("restore it from your version control"), "{told_check}");
    let told_update = told(&app.run(&["update"]).await, Some(1));
    assert!(told_update.contains(expected), "{told_update}");
    assert_eq!(pinned(app.path()), merged);
}

/// An application with a second service, of a registry that the test can cut off.
async fn with_two_registries(address: &str, tag: &str) -> (App, Proxy) {
    let proxy = Proxy::start(address).await;
    let more = format!(
        "[service.b]\ncomponent = \"oci://{0}/{REPOSITORY}:1\"\nroute = \"/b\"\n\
         [registry.\"{0}\"]\nplain-http = true\n",
        proxy.address
    );
    (app_with(address, tag, &more), proxy)
}

/// How many components are kept.
fn kept(app: &App) -> usize {
    std::fs::read_dir(app.path().join(".wasm-host/registry")).map_or(0, Iterator::count)
}

// Fault (Registries): another process pins a reference while one is slow with another | both are in `wasm-host.lock`, the newer pin too | everything | nothing
#[tokio::test]
async fn what_another_process_pins_meanwhile_is_not_lost() {
    let (registry, _, two) = stocked().await;
    let address = &registry.address;
    let (app, proxy) = with_two_registries(address, "latest").await;
    push(&app, address, "one", "latest").await;
    let down = Damage { stalled: true, ..Damage::default() };
    proxy.set(Plan { down, ..Plan::default() });
    let mut checking = app.start(&["check"]);
    eventually("the component of the first registry", async || (kept(&app) == 1).then_some(()))
        .await;
    // It has the old content in mind, and waits for the other registry.
    push(&app, address, "two", "latest").await;
    let updated = answer(app.run(&["update", "app"]).await);
    assert!(updated.contains(&format!("is pinned to {two}")), "{updated}");
    proxy.heal();
    let ended = within("the check", checking.wait()).await.unwrap();
    assert_eq!(ended.code(), Some(0));
    let lock = pinned(app.path());
    let of = |reference: &str| {
        let (_, rest) = lock.split_once(&format!("[component.\"oci://{reference}\"]\n")).unwrap();
        rest.lines().next().unwrap().to_owned()
    };
    assert_eq!(of(&format!("{address}/{REPOSITORY}:latest")), format!("manifest = \"{two}\""));
    assert!(of(&format!("{}/{REPOSITORY}:1", proxy.address)).starts_with("manifest = "), "{lock}");
}

// Fault (Registries): one of two registries is away in `update` | changes nothing, and says which; the services of the other one can be updated alone | - | nothing
#[tokio::test]
async fn an_update_with_one_registry_away_changes_nothing() {
    let (registry, one, two) = stocked().await;
    let address = &registry.address;
    let (app, proxy) = with_two_registries(address, "latest").await;
    push(&app, address, "one", "latest").await;
    answer(app.run(&["update"]).await);
    push(&app, address, "two", "latest").await;
    let before = pinned(app.path());
    proxy.set(Plan { refuse: true, ..Plan::default() });
    let failed = told(&app.run(&["update"]).await, Some(1));
    assert!(failed.contains(&format!("the registry {} cannot be", proxy.address)), "{failed}");
    assert!(failed.contains("wasm-host.lock is as it was"), "{failed}");
    assert_eq!(pinned(app.path()), before);
    let updated = answer(app.run(&["update", "app"]).await);
    assert!(updated.contains(&format!("{one} -> {two}")), "{updated}");
    assert!(pinned(app.path()).contains(&format!("oci://{}/", proxy.address)));
}

#[tokio::test]
async fn two_processes_fill_one_cache_at_the_same_time() {
    let (registry, one, _) = stocked().await;
    let app = app(&registry.address, "1");
    let (first, second) = tokio::join!(app.run(&["check"]), app.run(&["check"]));
    told(&first, Some(0));
    told(&second, Some(0));
    assert_eq!(kept(&app), 1);
    assert!(pinned(app.path()).contains(&one));
    let checked = told(&app.run(&["check", "--locked"]).await, Some(0));
    assert!(!checked.contains("damaged"), "{checked}");
}

// Fault (Registries): a folder in which `wasm-host.lock` cannot be written | starts, and says so | everything | nothing
#[tokio::test]
async fn a_lock_file_that_cannot_be_written_stops_no_start() {
    let (registry, ..) = stocked().await;
    let state = tempfile::tempdir().unwrap();
    let state = format!("[state]\ndir = \"{}\"\n", state.path().join("state").display());
    // Beside a file that only this process has, nothing can be made, whoever the user is.
    let app = app_with(&registry.address, "1", &state).before("exec 3<wasm-host.toml");
    let named = "/proc/self/fd/3";
    let checked = told(&app.run(&["check", named]).await, Some(0));
    let expected = "/proc/self/fd/3.lock cannot be written: ";
    assert!(checked.contains(expected), "{checked}");
    assert!(checked.contains(": the next start asks for the tags anew"), "{checked}");
    let host = app.serve_with(&[named]).await;
    assert!(host.get("/").await.text().starts_with("begin one"));
    let refused = told(&app.run(&["update", "--app", named]).await, Some(1));
    assert!(refused.contains(expected), "{refused}");
}
