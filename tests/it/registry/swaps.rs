//! A reference in the place of a file, while the host runs.

use futures_util::future::join_all;
use wasm_host_tests::eventually;
use wasm_host_tests::upstream::{Step, Upstream};

use super::*;

#[tokio::test]
async fn a_swap_takes_what_a_registry_has() {
    let (registry, one, two) = stocked().await;
    let address = &registry.address;
    let app = app(address, "1");
    let host = app.serve().await;
    let reference = format!("oci://{address}/{REPOSITORY}");
    let swapped = answer(app.run(&["swap", "app", &format!("{reference}:2")]).await);
    assert!(swapped.starts_with("activated: "), "{swapped}");
    assert!(host.get("/").await.text().starts_with("begin two"));
    let history = host.history("app").await;
    assert_eq!(history[0]["path"], format!("{reference}:1@{one}"));
    assert_eq!(history[1]["path"], format!("{reference}:2@{two}"));
    assert_eq!(history[1]["cause"], format!("wasm-host swap {reference}:2"));
    // What is pinned is what the application file means, which has not changed.
    assert!(!pinned(app.path()).contains(&two));
    let back = answer(app.run(&["rollback", "app"]).await);
    assert!(back.starts_with("activated: "), "{back}");
    assert!(host.get("/").await.text().starts_with("begin one"));

    let exact = format!("{reference}@{two}");
    let json = serde_json::json!({ "reference": exact }).to_string();
    let headers = [("content-type", "application/json")];
    let reply = host.ask("POST", "/services/app/swap", &headers, json).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(host.get("/").await.text().starts_with("begin two"));
    // And what was swapped in serves after a restart, as any other.
    host.stop().await;
    let host = app.serve().await;
    assert!(host.get("/").await.text().starts_with("begin two"));
}

// Fault (Registries): a reference to nothing, in a swap | rejects it with the registry's reason | the version before | nothing
#[tokio::test]
async fn a_swap_to_what_a_registry_does_not_have_is_rejected() {
    let (registry, ..) = stocked().await;
    let address = &registry.address;
    let app = app(address, "1");
    let host = app.serve().await;
    let missing = format!("oci://{address}/{REPOSITORY}:9");
    let rejected = told(&app.run(&["swap", "app", &missing]).await, Some(1));
    assert!(
        rejected.contains(&format!("rejected: the registry {address} has no {missing}")),
        "{rejected}"
    );
    assert!(host.get("/").await.text().starts_with("begin one"));
    let wrong = told(&app.run(&["swap", "app", "oci://nothing"]).await, Some(64));
    assert!(wrong.contains("there is no repository behind the host"), "{wrong}");
    let headers = [("content-type", "application/json")];
    for body in ["{\"reference\": \"oci://nothing\"}", "{\"reference\": 1}", "{}"] {
        let reply = host.ask("POST", "/services/app/swap", &headers, body).await;
        assert_eq!(reply.status, 400, "{}", reply.text());
    }
}

// Fault (Registries): a registry that says nothing, while components of it are swapped in | takes places of other references alone, and says when there are none | uploads | nothing
#[tokio::test]
async fn a_slow_registry_takes_no_place_from_uploads() {
    let silent = Upstream::start(|_| vec![Step::Hold]).await;
    let address = silent.url.strip_prefix("http://").unwrap();
    let app = App::new(&format!(
        "name = \"shop\"\n[service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\n\
         [registry.\"{address}\"]\nplain-http = true\n"
    ))
    .env("REGISTRY_AUTH_FILE", "/nonexistent");
    let host = app.serve().await;
    let named = serde_json::json!({ "reference": format!("oci://{address}/x:1") }).to_string();
    let headers = [("content-type", "application/json")];
    let ask = || host.ask("POST", "/services/app/swap", &headers, named.clone());
    let rest = async {
        eventually("all questions", async || (silent.requests().len() == 4).then_some(())).await;
        let refused = ask().await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.text().contains("4 components of registries are under way"));
        let two = std::fs::read(component("version-two")).unwrap();
        let swapped = host.swap("app", "", two).await;
        assert_eq!(swapped.status, 200, "{}", swapped.text());
        assert!(host.get("/").await.text().starts_with("begin two"));
    };
    tokio::select! {
        _ = join_all([(); 4].map(|()| ask())) => panic!("the registry says nothing"),
        () = rest => {}
    }
}
