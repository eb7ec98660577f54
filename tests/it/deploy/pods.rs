//! What pods rely on: probes without a token, a host that waits for its database, a role that is made once, and init scripts
//! that run once whatever the replicas.

use wasm_host_tests::client;
use wasm_host_tests::eventually;
use wasm_host_tests::host::App;
use wasm_host_tests::postgres::Postgres;
use wasm_host_tests::proxy::Proxy;

use super::{rich, run};
use wasm_host_tests::kubernetes::{kustomize, validated};

// Fault (Deployment): whoever reaches the port for probes asks for more than them | has the control plane elsewhere, with its token | 404 | nothing
#[tokio::test]
async fn probes_and_figures_need_no_token_and_nothing_else_is_there() {
    let app = App::new(
        "name = \"x\"\n[admin]\nprobes = \"127.0.0.1:0\"\n[service.hello]\ncomponent = \"$(hello-p3)\"\nroute = \"/\"\n",
    );
    let host = app.serve().await;
    let log = host.log();
    let probes = log.lines().find_map(|line| line.strip_prefix("Probes on http://")).unwrap();
    let probes = probes.trim_end_matches('/').to_owned();
    for (path, status, text) in [
        ("/live", 200, "\"live\""),
        ("/ready", 200, "\"ready\""),
        ("/metrics", 200, "wasm_host_requests_queued{service=\"hello\"} 0"),
        ("/services", 404, "there are /live, /ready and /metrics"),
        ("/login?t=x", 404, ""),
        ("/api/export", 404, ""),
        ("/", 404, ""),
    ] {
        let reply = client::send(&probes, "GET", path, &[], "").await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert!(reply.text().contains(text), "{path}: {}", reply.text());
    }
    let reply = client::send(&probes, "POST", "/live", &[], "").await;
    assert_eq!(reply.status, 405);
    // By a name that was bent to this address.
    let reply = client::send(&probes, "GET", "/metrics", &[("host", "evil.example")], "").await;
    assert_eq!(reply.status, 403);
    // The control plane asks for its token as before.
    let admin = host.control()["address"].as_str().unwrap().to_owned();
    assert_eq!(client::send(&admin, "GET", "/metrics", &[], "").await.status, 401);
    host.stop().await;
}

// Fault (Deployment): a database that is not there yet when a host starts | waits for as long as `serve --wait` says | refused connections until it is there | nothing
#[tokio::test]
async fn a_host_waits_for_its_database_and_scripts_run_once_for_all_hosts() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let proxy = Proxy::start(&postgres.address()).await;
    let url = postgres.url().replace(&postgres.address(), &proxy.address);
    let make = || {
        let app = App::new(&format!(
            "name = \"x\"\n[postgres.main]\nurl = \"{url}\"\ninit = \"once.sql\"\n[service.q]\ncomponent = \
             \"$(querier)\"\nroute = \"/\"\npostgres = \"main\"\n"
        ));
        let script = "create table once (); select pg_sleep(0.2);";
        std::fs::write(app.path().join("once.sql"), script).unwrap();
        app
    };
    let apps = [make(), make(), make()];
    let start =
        |app: App| async move { app.serve_with(&["wasm-host.toml", "--wait", "60s"]).await };
    let [one, two, three] = apps.map(start);
    let hosts = async { tokio::join!(one, two, three) };
    let comes = async {
        eventually("hosts that ask", async || (proxy.accepted() > 3).then_some(())).await;
        postgres.resume();
    };
    let ((one, two, three), ()) = tokio::join!(hosts, comes);
    let ran = [&one, &two, &three].map(|host| host.log().matches("ran once.sql").count());
    assert_eq!(ran.iter().sum::<usize>(), 1, "{ran:?}");
    for host in [one, two, three] {
        assert_eq!(
            host.send("POST", "/", "select count(*)::text from once").await.text().trim(),
            "0"
        );
        host.stop().await;
    }
}

/// A host with a database without init scripts, behind a proxy that may be there first.
fn without_scripts(postgres: &Postgres, proxy: &Proxy) -> App {
    let url = postgres.url().replace(&postgres.address(), &proxy.address);
    App::new(&format!(
        "name = \"x\"\n[postgres.main]\nurl = \"{url}\"\n[service.q]\ncomponent = \"$(querier)\"\nroute = \"/\"\n\
         postgres = \"main\"\n"
    ))
}

#[tokio::test]
async fn a_database_without_scripts_is_waited_for_so_that_the_first_request_finds_it() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let proxy = Proxy::start(&postgres.address()).await;
    let app = without_scripts(&postgres, &proxy);
    let starts = app.serve_with(&["wasm-host.toml", "--wait", "60s"]);
    let comes = async {
        eventually("a host that asks", async || (proxy.accepted() > 1).then_some(())).await;
        postgres.resume();
    };
    let (host, ()) = tokio::join!(starts, comes);
    let reply = host.send("POST", "/", "select 'here'").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.text().trim(), "here");
    host.stop().await;
}

// Fault (Deployment): a database without init scripts does not come | serves without it, with a warning, after `serve --wait` or a minute | 503 of what asks it | nothing
#[tokio::test]
async fn a_database_without_scripts_that_does_not_come_ends_no_host() {
    let mut postgres = Postgres::start();
    postgres.stop();
    let proxy = Proxy::start(&postgres.address()).await;
    let app = without_scripts(&postgres, &proxy);
    let host = app.serve_with(&["wasm-host.toml", "--wait", "1s"]).await;
    let log = host.log();
    assert!(log.contains("serving without a database: "), "{log}");
    assert!(log.contains("cannot connect to the database"), "{log}");
    assert_eq!(host.send("POST", "/", "select 1").await.status, 503);
    host.stop().await;
}

#[tokio::test]
async fn a_database_that_refuses_is_waited_for_by_nobody() {
    let postgres = Postgres::start();
    let url = postgres.url().replace("/postgres", "/absent");
    let app = App::new(&format!(
        "name = \"x\"\n[postgres.main]\nurl = \"{url}\"\ninit = \"a.sql\"\n[service.q]\ncomponent = \"$(querier)\"\n\
         postgres = \"main\"\n"
    ));
    std::fs::write(app.path().join("a.sql"), "select 1;").unwrap();
    let ended = app
        .run(&["serve", "--wait", "1h", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .await;
    assert_eq!(ended.status.code(), Some(1));
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(told.contains("cannot connect to the database `absent`"), "{told}");
}

/// The script that the servers of a cluster run, in a real server: what it makes of the password is what the host sends.
#[tokio::test]
async fn the_role_of_a_new_server_is_the_applications_and_has_its_password() {
    const PASSWORD: &str = "!@#%;'\"\\$x y";
    let app = rich();
    run(&app, &["deploy", "kubernetes", "--output", "k8s"]).await;
    let base = kustomize(&app.path().join("k8s/base")).await;
    let objects = validated(&[&base]).await.remove(0);
    let scripts = objects
        .iter()
        .find(|object| object["metadata"]["name"] == "postgres-cart-scripts")
        .unwrap();
    let script = scripts["data"]["10-role.sh"].as_str().unwrap();
    let postgres = Postgres::start();
    postgres.script(script, &[("ROLE", "my-cart"), ("ROLE_PASSWORD", PASSWORD)]);
    // From here on the server asks for the password.
    postgres.sql("create role asked; grant asked to \"my-cart\"");
    let seen = postgres.sql(
        "select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = 'my-cart'",
    );
    assert!(seen.contains('f'), "{seen}");
    let url = format!("postgresql://my-cart:${{PW}}@{}/my-cart", postgres.address());
    let file = format!(
        "name = \"x\"\n[postgres.main]\nurl = \"{url}\"\n[service.q]\ncomponent = \"$(querier)\"\nroute = \"/\"\n\
         postgres = \"main\"\n"
    );
    let host = App::new(&file).env("PW", PASSWORD).serve().await;
    for (statement, expected) in [
        ("select current_user::text", "my-cart"),
        ("create table mine (a int)", ""),
        ("select has_database_privilege('postgres', 'create')::text", "false"),
    ] {
        let reply = host.send("POST", "/", statement).await;
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        assert_eq!(reply.text().trim(), expected, "{statement}");
    }
    host.stop().await;
    let host = App::new(&file).env("PW", "another").serve().await;
    assert_eq!(host.send("POST", "/", "select 1").await.status, 503);
    host.stop().await;
}

#[tokio::test]
async fn a_container_without_a_shell_can_wait_before_it_stops() {
    let app = App::new("");
    let began = std::time::Instant::now();
    run(&app, &["pause", "300ms"]).await;
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(app.run(&["pause", "25h"]).await.status.code(), Some(64));
}
