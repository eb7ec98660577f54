//! The pods that `deploy podman` writes, played by podman: an application of two hosts with a database beside them,
//! started by the commands that are printed, while it is asked all the time.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use wasm_host_tests::client::{self, Attempt};
use wasm_host_tests::podman::Podman;
use wasm_host_tests::ports;
use wasm_host_tests::proxy::{Plan, Proxy};
use wasm_host_tests::{PATIENCE, eventually, within};

use super::*;

/// Clients that ask all the time.
const CLIENTS: usize = 4;

/// As much as a statement takes while a pod is replaced.
const LONG_STATEMENT: &str = "select 'slept' from pg_sleep(1.5)";

fn pods(port: u16, page: &str) -> App {
    let app = App::new(&format!(
        "name = \"shop\"\n[http]\nlisten = \"127.0.0.1:{port}\"\n[postgres.main]\ninit = \"once.sql\"\n\
         [service.data]\ncomponent = \"parts/querier.wasm\"\nroute = \"/data\"\npostgres = \"main\"\n\
         [service.web]\nstatic = \"web\"\nroute = \"/\"\n[deploy]\nreplicas = 2\n"
    ))
    .env("REGISTRY_AUTH_FILE", "/nonexistent");
    put(&app, "web/index.html", page);
    // Twice, it fails.
    put(&app, "once.sql", "create table once (at int); insert into once values (1);");
    std::fs::create_dir_all(app.path().join("parts")).unwrap();
    std::fs::copy(component("querier"), app.path().join("parts/querier.wasm")).unwrap();
    app
}

/// Two that are side by side, as those of two hosts are.
fn two_ports() -> u16 {
    loop {
        let (one, other) = (ports::reserve(), ports::reserve());
        if other == one + 1 {
            return one;
        }
    }
}

/// Make an image of it, put it where podman has it, and write pods with it. Gives what was said.
async fn ship(podman: &Podman, app: &App, tag: &str) -> String {
    digest(&build(app, tag, &["--push"]).await, tag);
    podman.run(&["pull", "--quiet", "--tls-verify=false", tag]).await;
    let made = app.run(&["deploy", "podman", "--image", tag]).await;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "{said}");
    said
}

/// The host of a pod is ready. Gives where it answers, within the network of the pods.
async fn ready(podman: &Podman, pod: &str) -> String {
    let address = podman.address(pod).await;
    eventually("a pod to be ready", async || {
        let asked = attempt("GET", "/ready", "").send(&format!("{address}:8082")).await;
        asked.is_ok_and(|(status, _)| status == 200).then_some(())
    })
    .await;
    format!("{address}:8080")
}

fn attempt<'a>(method: &'a str, path: &'a str, body: &str) -> Attempt<'a> {
    let (headers, body) = (&[][..], body.to_owned().into());
    Attempt { from: Ipv4Addr::UNSPECIFIED, method, path, headers, body, patience: PATIENCE }
}

/// What a statement gives, or why it does not.
async fn try_sql(address: &str, statement: &str) -> Result<String, String> {
    let (status, body) = attempt("POST", "/data", statement).send(address).await?;
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    if status == 200 { Ok(text) } else { Err(format!("{status}: {text}")) }
}

async fn sql(address: &str, statement: &str) -> String {
    try_sql(address, statement).await.expect("a statement that is answered")
}

/// Requests, one after the other from each client and each by a connection of its own, until it is told to end.
struct Load {
    clients: JoinSet<()>,
    is_over: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Load {
    fn start(address: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (answered, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (address, is_over) = (address.to_owned(), is_over.clone());
            let (answered, failed) = (answered.clone(), failed.clone());
            clients.spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    match try_sql(&address, "select 'one' from pg_sleep(0.02)").await {
                        Ok(text) if text == "one" => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(text) => failed.lock().unwrap().push(text),
                        Err(error) => failed.lock().unwrap().push(error),
                    }
                }
            });
        }
        Self { clients, is_over, answered, failed }
    }

    /// Until some more requests have been answered.
    async fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("answers", async || {
            (self.answered.load(Ordering::Relaxed) > before + 3 * CLIENTS).then_some(())
        })
        .await;
    }

    async fn end(mut self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        within("the clients", async { while self.clients.join_next().await.is_some() {} }).await;
        std::mem::take(&mut *self.failed.lock().unwrap())
    }
}

fn leading_to(address: &str) -> Plan {
    Plan { moved_to: Some(address.to_owned()), ..Plan::default() }
}

/// Stop the host of a pod, as the documentation says, and play its file anew. What it was asked before is answered to its
/// end.
async fn replace(podman: &Podman, line: &str, app: &App, address: &str) {
    let asked = address.to_owned();
    let runs = tokio::spawn(async move { sql(&asked, LONG_STATEMENT).await });
    let statement = "select count(*)::text from pg_stat_activity where state = 'active' and query like '%slept%(1.5)%'";
    eventually("the statement to run", async || {
        // It sees itself.
        let count: usize = sql(address, statement).await.parse().unwrap();
        (count > 1).then_some(())
    })
    .await;
    let pod = line.rsplit_once('/').and_then(|(_, file)| file.strip_suffix(".yaml")).unwrap();
    podman.typed(&format!("podman stop --time 35 {pod}-host"), app.path()).await;
    assert_eq!(runs.await.unwrap(), "slept");
    podman.typed(&line.replace("kube play", "kube play --replace"), app.path()).await;
}

// Fault (Deployment): a host's pod is killed under load | is started again by podman, and serves | answers by its other replicas | those that it had under way
#[tokio::test]
#[ignore = "it needs root and podman: `cargo xtask test containers`"]
async fn pods_are_killed_and_replaced_under_load_and_no_other_request_fails() {
    let (registry, podman) = (Registry::start().await, Podman::new());
    podman.make_postgres("docker.io/library/postgres:17.6").await;
    let port = two_ports();
    let app = pods(port, "<h1>shop 1</h1>");
    let tag = |version: &str| format!("{}/shop/app:{version}", registry.address);
    let said = ship(&podman, &app, &tag("1")).await;
    let lines: Vec<String> =
        said.lines().filter(|line| line.starts_with("podman ")).map(str::to_owned).collect();
    assert_eq!(lines.len(), 4, "a network, a database, two hosts: {said}");
    for line in &lines {
        podman.typed(line, app.path()).await;
    }
    let [one, other] = [ready(&podman, "shop-1").await, ready(&podman, "shop-2").await];
    // On this machine by their ports, and one script for both.
    for port in [port, port + 1] {
        let page = client::send(&format!("127.0.0.1:{port}"), "GET", "/", &[], "").await;
        assert_eq!(page.text(), "<h1>shop 1</h1>");
    }
    assert_eq!(sql(&one, "select count(*)::text from once").await, "1");
    sql(&one, "insert into once values (2)").await;
    let user = podman.run(&["inspect", "--format", "{{.Config.User}}", "shop-1-host"]).await;
    assert!(user.trim().starts_with("65532"), "{user}");

    let proxy = Proxy::start(&one).await;
    let load = Load::start(&proxy.address);
    load.goes_on().await;
    let pid = podman.pid("shop-1-host").await;
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    // As a Service does of a pod that is not ready. Requests that came until then went to the one that was killed.
    proxy.set(leading_to(&other));
    load.goes_on().await;
    let cut_off = std::mem::take(&mut *load.failed.lock().unwrap());
    load.goes_on().await;
    assert!(load.failed.lock().unwrap().is_empty(), "{:?}", load.failed.lock().unwrap());
    let one = ready(&podman, "shop-1").await;
    assert_ne!(podman.pid("shop-1-host").await, pid);
    println!("{} requests were cut off with the pod: {cut_off:?}", cut_off.len());

    put(&app, "web/index.html", "<h1>shop 2</h1>");
    ship(&podman, &app, &tag("2")).await;
    replace(&podman, &lines[2], &app, &one).await;
    let one = ready(&podman, "shop-1").await;
    proxy.set(leading_to(&one));
    load.goes_on().await;
    replace(&podman, &lines[3], &app, &other).await;
    let other = ready(&podman, "shop-2").await;
    proxy.set(leading_to(&other));
    load.goes_on().await;
    for address in [&one, &other] {
        let page = client::send(address, "GET", "/", &[], "").await;
        assert_eq!(page.text(), "<h1>shop 2</h1>");
    }
    assert_eq!(load.end().await, Vec::<String>::new());
    // A database is replaced with what it has.
    podman.typed(&lines[1].replace("kube play", "kube play --replace"), app.path()).await;
    let kept = eventually("the database to be back", async || {
        try_sql(&one, "select count(*)::text from once").await.ok()
    })
    .await;
    assert_eq!(kept, "2");
}
