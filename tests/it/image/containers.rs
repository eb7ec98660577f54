//! The image in a container, run by Docker's engine. It needs root and a package of some size, so it has a word of its
//! own: `cargo xtask test containers`.

mod pods;

use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::images::Docker;

use super::*;

/// Pulled from a registry, with a root that nobody can write to, no capability, and no user of this machine.
const RUN: [&str; 9] = [
    "run",
    "--detach",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=host",
    "--tmpfs=/tmp",
    "--name=app",
    "--pids-limit=200",
];

/// On ports of its own of this machine, whose network it has.
const SERVE: [&str; 6] = [
    "serve",
    "/app/wasm-host.toml",
    "--listen=127.0.0.1:0",
    "--admin=127.0.0.1:0",
    "--state",
    "/state/host",
];

#[tokio::test]
#[ignore = "it needs root and a container engine: `cargo xtask test containers`"]
async fn a_container_without_rights_serves_the_application_and_ends_when_told() {
    let (registry, docker) = (Registry::start().await, Docker::start().await);
    let tag = format!("{}/shop/app:7", registry.address);
    let app = app();
    let digest = digest(&build(&app, &tag, &["--push"]).await, &tag);
    let image = format!("{}/shop/app@{digest}", registry.address);
    docker.run(&["pull", &image]).await;
    docker.run(&[&RUN[..], &[&image], &SERVE[..]].concat()).await;
    let address = eventually("the container to serve", async || {
        let log = docker.logs("app").await;
        let address = log.split_once("Serving HTTP on http://")?.1.lines().next()?;
        Some(address.trim_end_matches('/').to_owned())
    })
    .await;
    // The compiler, which is a process of its own, has run within it.
    let answer = client::send(&address, "GET", "/app", &[], "").await;
    assert!(answer.text().starts_with("begin one"), "{}", answer.text());
    let page = client::send(&address, "GET", "/", &[], "").await;
    assert_eq!(page.text(), "<h1>shop</h1>");
    let shown = docker.run(&["exec", "app", "/wasm-host", "ps", "--state", "/state/host"]).await;
    assert!(shown.contains("app"), "{shown}");
    let user = docker.run(&["inspect", "app", "--format", "{{.Config.User}}"]).await;
    assert_eq!(user.trim(), "65532:65532");
    docker.run(&["stop", "app"]).await;
    let code = docker.run(&["inspect", "app", "--format", "{{.State.ExitCode}}"]).await;
    assert_eq!(code.trim(), "0", "{}", docker.logs("app").await);
    docker.stop().await;
}

// Fault (Images): an application with a database of the host's own, in a container | ends at once, and says that the database needs a url | - | nothing
#[tokio::test]
#[ignore = "it needs root and a container engine: `cargo xtask test containers`"]
async fn a_database_that_a_container_cannot_have_is_told() {
    let (registry, docker) = (Registry::start().await, Docker::start().await);
    let tag = format!("{}/shop/app:7", registry.address);
    let app = app_with(
        "[postgres.shop]\n[service.data]\ncomponent = \"parts/app.wasm\"\npostgres = \"shop\"\n",
    );
    let built = build(&app, &tag, &["--push"]).await;
    assert!(String::from_utf8_lossy(&built.stderr).contains("[postgres.shop] has no url"));
    docker.run(&["pull", &tag]).await;
    docker.run(&[&RUN[..], &[&tag], &SERVE[..]].concat()).await;
    assert_eq!(docker.run(&["wait", "app"]).await.trim(), "1");
    let log = docker.logs("app").await;
    assert!(log.contains("there is no PostgreSQL here") && log.contains("set `url`"), "{log}");
    docker.stop().await;
}
