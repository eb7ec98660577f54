//! An application as an image for containers: all that its file names is there, no secret is, and the same files are the
//! same image.

mod containers;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Output;

use flate2::read::GzDecoder;
use serde_json::Value;
use wasm_host_tests::host::{App, component};
use wasm_host_tests::images::base;
use wasm_host_tests::registry::{Registry, skopeo};

/// A component, a folder of files, and what they are called.
const FILE: &str = "name = \"shop\"\n[service.app]\ncomponent = \"parts/app.wasm\"\nroute = \"/app\"\n\
                    [service.web]\nstatic = \"web\"\nroute = \"/\"\n";

fn app() -> App {
    app_with("")
}

/// The same, with more at its end.
fn app_with(more: &str) -> App {
    let app = App::new(&format!("{FILE}{more}")).env("REGISTRY_AUTH_FILE", "/nonexistent");
    put(&app, "web/index.html", "<h1>shop</h1>");
    put(&app, "web/assets/app.js", "run()");
    std::fs::create_dir_all(app.path().join("parts")).unwrap();
    std::fs::copy(component("version-one"), app.path().join("parts/app.wasm")).unwrap();
    app
}

fn put(app: &App, path: &str, text: &str) {
    let path = app.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Make the image of an application, put onto that of the tests' host. Gives what was said.
async fn build(app: &App, tag: &str, more: &[&str]) -> Output {
    let layout = base().await.layout.to_str().unwrap();
    let build = ["image", "build", "--tag", tag, "--base", layout, "--plain-http"];
    app.run(&[&build[..], more].concat()).await
}

/// The digest that a command has printed behind the name.
#[track_caller]
fn digest(output: &Output, tag: &str) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let digest = printed.trim().strip_prefix(&format!("{tag}@"));
    digest.expect("what it is called").to_owned()
}

/// The files of the layers that are put onto the base, by path.
fn files(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |path: &str| -> Value {
        serde_json::from_slice(&std::fs::read(layout.join(path)).unwrap()).unwrap()
    };
    let path =
        |value: &Value| format!("blobs/{}", value["digest"].as_str().unwrap().replace(':', "/"));
    let manifest = read(&path(&read("index.json")["manifests"][0]));
    let mut all = BTreeMap::new();
    for layer in manifest["layers"].as_array().unwrap().iter().skip(1) {
        let bytes = std::fs::read(layout.join(path(layer))).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            all.insert(entry.path().unwrap().display().to_string(), content);
        }
    }
    all
}

#[tokio::test]
async fn the_host_packs_itself_with_what_it_needs_and_nothing_else() {
    let base = base().await;
    assert!(base.said.contains("sha256:"), "{}", base.said);
    let layout = format!("oci:{}", base.layout.display());
    let config = skopeo(&["inspect", "--config", &layout]).await;
    let config: Value = serde_json::from_str(&config).unwrap();
    let run = &config["config"];
    assert_eq!(run["User"], "65532:65532");
    assert_eq!(run["StopSignal"], "SIGTERM");
    assert_eq!(run["Volumes"], serde_json::json!({ "/state": {} }));
    assert_eq!(run["Labels"]["org.opencontainers.image.title"], "wasm-host");
    // The program itself makes the same image.
    let app = App::new("");
    let program = base.program.to_str().unwrap();
    let said = app
        .before(&format!("shift; set -- {program} \"$@\""))
        .run(&["image", "base", "--output", "x"])
        .await;
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(base.said.contains(said.trim()), "{said}: {}", base.said);
}

#[tokio::test]
async fn the_same_application_is_the_same_image_from_anywhere_and_is_read_by_others() {
    let registry = Registry::start().await;
    let tag = format!("{}/shop/app:7", registry.address);
    let one = digest(&build(&app(), &tag, &["--push"]).await, &tag);
    // Elsewhere, by somebody whose files nobody else may read.
    let other = app().before("umask 077");
    let two = digest(&build(&other, &tag, &["--push", "--output", "here"]).await, &tag);
    assert_eq!(one, two);
    let image = format!("docker://{tag}");
    let seen = skopeo(&["inspect", "--tls-verify=false", &image]).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["Digest"], one);
    assert_eq!(seen["Layers"].as_array().unwrap().len(), 3);
    assert_eq!(seen["Labels"]["org.opencontainers.image.title"], "shop");
    assert_eq!(seen["Labels"]["org.opencontainers.image.version"], "7");
    let layout = other.path().join("here");
    assert_eq!(files(&layout)["app/web/index.html"], b"<h1>shop</h1>");
    // Another text of a page is another image with the same layer of components.
    put(&other, "web/index.html", "<h1>sale</h1>");
    let three = digest(&build(&other, &tag, &["--push", "--output", "here"]).await, &tag);
    assert_ne!(one, three);
    let changed = skopeo(&["inspect", "--tls-verify=false", &image]).await;
    let changed: Value = serde_json::from_str(&changed).unwrap();
    let same = |layer: usize| changed["Layers"][layer] == seen["Layers"][layer];
    assert_eq!([same(0), same(1), same(2)], [true, false, true]);
}

#[tokio::test]
async fn an_image_is_put_onto_one_of_a_registry() {
    let registry = Registry::start().await;
    let base_tag = format!("{}/wasm-host:1", registry.address);
    let layout = format!("oci:{}", base().await.layout.display());
    skopeo(&["copy", "--dest-tls-verify=false", &layout, &format!("docker://{base_tag}")]).await;
    let (tag, app) = (format!("{}/shop/app:7", registry.address), app());
    let onto = ["image", "build", "--tag", &tag, "--base", &base_tag, "--plain-http"];
    let of_registry = digest(&app.run(&onto).await, &tag);
    assert_eq!(of_registry, digest(&build(&app, &tag, &[]).await, &tag));
    // Where neither --push nor --output says so.
    assert!(files(&app.path().join("target/image")).contains_key("app/parts/app.wasm"));
    let missing = app.run(&[&onto[..5], &["registry"]].concat()).await;
    assert_eq!(missing.status.code(), Some(64));
}

#[tokio::test]
async fn without_a_tag_an_image_is_called_what_is_deployed() {
    let layout = base().await.layout.to_str().unwrap();
    let build = ["image", "build", "--base", layout];
    for (more, called) in [
        ("", "localhost/shop:local"),
        ("[deploy]\nimage = \"r.example/shop/app:7\"\n", "r.example/shop/app:7"),
    ] {
        let app = app_with(more);
        digest(&app.run(&build).await, called);
        let made = app.run(&["deploy", "podman"]).await;
        assert!(made.status.success());
        let pod = std::fs::read_to_string(app.path().join("podman/shop.yaml")).unwrap();
        assert!(
            pod.contains(&format!("image: {called}\n"))
                || pod.contains(&format!("image: \"{called}\"\n")),
            "{pod}"
        );
    }
    let app = app_with("[deploy]\nimage = \"shop\"\n");
    let refused = app.run(&build).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(64), "{said}");
    assert!(said.contains("name another with --tag"), "{said}");
}

// Fault (Images): a file that the application file names and that cannot be in an image | makes none, and names all of them | each with its line | nothing
#[tokio::test]
async fn all_that_cannot_be_in_an_image_is_named_at_once() {
    let app = app_with(
        "[postgres.shop]\nurl = \"postgres://${NOT_SET}\"\ninit = [\"../init.sql\", \"/etc/hostname\"]\n\
         [service.built]\ncomponent = \"unbuilt\"\n",
    );
    std::fs::create_dir_all(app.path().join("components/unbuilt")).unwrap();
    let above = app.path().parent().unwrap().join("init.sql");
    std::fs::write(&above, "").unwrap();
    let refused = build(&app, "registry.example/shop/app:7", &[]).await;
    let _ = std::fs::remove_file(above);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(64), "{said}");
    for part in [
        "'../init.sql' is not below",
        "'/etc/hostname' is not below",
        "unbuilt.wasm' cannot be read",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!app.path().join("target/image").exists());
}

#[tokio::test]
async fn no_secret_is_in_an_image_and_none_has_to_be_there_to_make_one() {
    let app = app_with(
        "[service.more]\ncomponent = \"parts/app.wasm\"\nroute = \"/more\"\n\
         environment = { A = \"${SET}\", B = \"${NOT_SET}\", C = \"${file:web/pw}\" }\n\
         [http]\ntls = { certificate = \"/tls/cert.pem\", key = \"key.pem\" }\n\
         [postgres.shop]\nurl = \"${DATABASE}\"\n",
    );
    put(&app, "web/pw", "hunter2-of-a-file");
    put(&app, "web/.env", "hunter2-hidden");
    let app = app.env("SET", "hunter2-of-the-environment");
    let made = build(&app, "registry.example/shop/app:7", &["--output", "out"]).await;
    let said = [&made.stdout[..], &made.stderr[..]].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(made.status.success(), "{said}");
    for outside in [
        "SET, a",
        "NOT_SET, a",
        "DATABASE, a",
        "/app/web/pw, a",
        "/app/key.pem, the",
        "/tls/cert.pem, the",
    ] {
        assert!(said.contains(&format!("not in the image: {outside}")), "{outside}: {said}");
    }
    let files = files(&app.path().join("out"));
    assert!(files.contains_key("app/wasm-host.toml"), "{:?}", files.keys());
    for (path, content) in &files {
        assert!(!path.ends_with("pw") && !path.ends_with("key.pem"), "{path}");
        assert!(!String::from_utf8_lossy(content).contains("hunter2"), "{path}");
    }
    assert!(!said.contains("hunter2"), "{said}");
}

// Fault (Images): a registry of components that is away when a container starts | serves the component that the image has | its answer | nothing
#[tokio::test]
async fn components_of_registries_are_in_the_image_and_need_no_registry() {
    let registry = Registry::start().await;
    let address = registry.address.clone();
    let app = App::new(&format!(
        "name = \"shop\"\n[service.app]\ncomponent = \"oci://{address}/shop/app:1\"\nroute = \"/\"\n\
         [registry.\"{address}\"]\nplain-http = true\n[trust]\nkeys = [\"keys/release.pub\"]\n"
    ))
    .env("REGISTRY_AUTH_FILE", "/nonexistent");
    std::fs::create_dir(app.path().join("keys")).unwrap();
    assert!(app.run(&["key", "generate", "keys/release"]).await.status.success());
    let one = component("version-one");
    let reference = format!("{address}/shop/app:1");
    let push = ["push", &reference, one.to_str().unwrap(), "--plain-http"];
    let pushed = app.run(&[&push[..], &["--sign", "keys/release.key"]].concat()).await;
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let made = build(&app, "registry.example/shop/app:7", &["--output", "out"]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let packed = files(&app.path().join("out"));
    assert!(!packed.contains_key("app/keys/release.key"));
    drop(registry);
    // As a container would have it.
    let elsewhere = App::new("").env("REGISTRY_AUTH_FILE", "/nonexistent");
    for (path, content) in packed {
        let path = elsewhere.path().join(path);
        // A folder has no content, and is made for what is in it.
        if !content.is_empty() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }
    let host = elsewhere.serve_with(&["app/wasm-host.toml", "--locked", "--state", "state"]).await;
    assert!(host.get("/").await.text().starts_with("begin one"));
}
