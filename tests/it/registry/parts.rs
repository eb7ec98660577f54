//! Parts of a composition that a registry has are pinned, locked and trusted as components are.

use super::*;

/// A service whose middleware is of the registry at this address, with more at its end.
fn app_with_middleware(address: &str, more: &str) -> App {
    App::new(&format!(
        "name = \"shop\"\n[service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\n\
         middleware = [\"oci://{address}/shop/auth:1\"]\n\
         [registry.\"{address}\"]\nplain-http = true\n{more}"
    ))
    .env("REGISTRY_AUTH_FILE", "/nonexistent")
}

async fn push_middleware(app: &App, address: &str, more: &[&str]) {
    let file = component("middleware");
    let reference = format!("{address}/shop/auth:1");
    let arguments = ["push", &reference, file.to_str().unwrap(), "--plain-http"];
    answer(app.run(&[&arguments, more].concat()).await);
}

#[tokio::test]
async fn a_part_is_pinned_and_trusted_by_itself() {
    let registry = Registry::start().await;
    let address = &registry.address;
    let app = app_with_middleware(address, "[trust]\nkeys = [\"release.pub\"]\n");
    told(&app.run(&["key", "generate", "release"]).await, Some(0));
    push_middleware(&app, address, &[]).await;
    // At the line of the part.
    let unsigned = refused(&app).await;
    let expected =
        format!("wasm-host.toml:5:15: error: [service.app]: oci://{address}/shop/auth:1@");
    assert!(unsigned.contains(&expected) && unsigned.contains("is not signed"), "{unsigned}");
    push_middleware(&app, address, &["--sign", "release.key"]).await;
    let locked = told(&app.run(&["check", "--locked"]).await, Some(64));
    assert!(locked.contains("is not pinned in"), "{locked}");
    told(&app.run(&["check"]).await, Some(0));
    assert!(pinned(app.path()).contains("shop/auth"), "{}", pinned(app.path()));
    let host = app.serve_with(&["wasm-host.toml", "--locked"]).await;
    let reply = host.get("/").await;
    assert_eq!((reply.header("x-checked"), reply.status.as_u16()), ("middleware-one", 200));
    // The rest is swapped beside a part of the registry, which is vouched for again.
    let two = std::fs::read(component("version-two")).unwrap();
    let swapped = host.swap("app", "", two).await;
    assert_eq!(swapped.status, 200, "{}", swapped.text());
    assert_eq!(swapped.json()["parts"][0]["name"], "auth");
    host.stop().await;
    let updated = answer(app.run(&["update"]).await);
    assert!(updated.contains("shop/auth:1 is still sha256:"), "{updated}");
    // What was published is left out once a part of it is not trusted any more, and so is what the file names.
    std::fs::remove_file(app.path().join("release.pub")).unwrap();
    std::fs::remove_file(app.path().join("release.key")).unwrap();
    told(&app.run(&["key", "generate", "release"]).await, Some(0));
    assert!(refused(&app).await.contains("is signed by none of the keys in [trust]"));
}
