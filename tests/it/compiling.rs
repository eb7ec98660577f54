//! What a component makes the compiler do has bounds, and costs other services nothing.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wasm_host_tests::client::{Attempt, Reply};
use wasm_host_tests::handmade::{loops, takes_long_to_compile};
use wasm_host_tests::host::{App, COMPILATION, Host, compiler, component, has_ended};
use wasm_host_tests::{eventually, within};

/// Between two requests beside a compiler.
const REST: Duration = Duration::from_millis(50);

/// Two services, and compilers with these bounds.
fn app(limits: &str) -> App {
    App::new(&format!(
        "name = \"compiling\"\n[service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\n\
         [service.neighbour]\ncomponent = \"$(version-two)\"\nroute = \"/neighbour\"\n\
         environment = {{ TOKEN = \"${{SECRET}}\" }}\n[limits]\n{limits}\n"
    ))
    .env("SECRET", "not-for-compilers")
}

/// Put a component into service while others do something. A compiler makes way for all that is more urgent, so that on
/// a busy machine its verdict takes long.
fn swap(host: &Arc<Host>, component: Vec<u8>) -> tokio::task::JoinHandle<Reply> {
    let (admin, token) = (host.admin.clone(), host.authorization());
    tokio::spawn(async move {
        let asked = Attempt {
            from: Ipv4Addr::LOCALHOST,
            method: "POST",
            path: "/services/app/swap",
            headers: &[("authorization", &token), ("content-type", "application/wasm")],
            body: component.into(),
            patience: COMPILATION,
        };
        let (status, body) = asked.send(&admin).await.expect("a verdict");
        let status = status.try_into().expect("a status");
        Reply { status, headers: Default::default(), body: body.into() }
    })
}

fn reason(reply: &Reply) -> String {
    assert_eq!(reply.status, 422, "{}", reply.text());
    reply.json()["reason"].as_str().unwrap().to_owned()
}

async fn answers(host: &Host, path: &str, version: &str) {
    let reply = host.get(path).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.text(), format!("begin {version}\nend {version}\n"));
}

async fn activates(host: &Host, name: &str) {
    let reply = host.swap("app", "", fs::read(component(name)).unwrap()).await;
    assert_eq!(reply.json()["verdict"], "activated", "{}", reply.text());
}

/// A component that is too much for a compiler is refused, and only its swap notices.
async fn is_refused(limits: &str, bomb: Vec<u8>, reasons: [&str; 2]) {
    let host = Arc::new(app(limits).serve().await);
    let swapping = swap(&host, bomb);
    while !swapping.is_finished() {
        answers(&host, "/neighbour", "two").await;
        answers(&host, "/", "one").await;
        // Without a rest they would leave the compiler, which is less urgent, next to nothing of a small machine.
        tokio::time::sleep(REST).await;
    }
    let why = reason(&swapping.await.unwrap());
    assert!(reasons.iter().all(|reason| why.contains(reason)), "{why}");
    assert!(host.compilers().is_empty());
    host.logs("service=\"app\"").await;
    activates(&host, "version-two").await;
    answers(&host, "/", "two").await;
}

// Fault (The machine): a component that keeps a compiler busy | ends the compiler at its bound, rejects the swap | nothing | nothing
#[tokio::test]
async fn what_takes_a_compiler_too_long_is_refused_and_its_neighbours_are_served() {
    // A busy machine may come to the bound of the time that passes before. That the compiler has the other one, too, is
    // seen in `a_compiler_is_less_urgent_than_requests_knows_no_secret_and_has_its_bounds`.
    let reasons = ["the uploaded file", "'compile-cpu-timeout' in [limits]"];
    is_refused("compile-cpu-timeout = \"5s\"", takes_long_to_compile(), reasons).await;
}

// Fault (The machine): a component that takes a compiler's memory | the same | nothing | nothing
#[tokio::test]
async fn what_takes_a_compiler_too_much_memory_is_refused_and_its_neighbours_are_served() {
    let reasons = ["within 256 MiB of memory", "'compile-memory' in [limits]"];
    is_refused("compile-memory = \"256MiB\"", loops(2, 400_000, 500), reasons).await;
}

// Fault (The machine): a swap while such a component is compiled | ends that compiler, rejects the older swap | nothing | nothing
#[tokio::test]
async fn a_swap_does_not_wait_for_one_that_is_compiled() {
    let host = Arc::new(app("").serve().await);
    let swapping = swap(&host, takes_long_to_compile());
    let compiler = host.compiler().await;
    activates(&host, "version-two").await;
    let why = reason(&swapping.await.unwrap());
    assert_eq!(why, "a newer swap took its place while it was compiled");
    has_ended(compiler).await;
    answers(&host, "/", "two").await;
}

#[tokio::test]
async fn a_compiler_is_less_urgent_than_requests_knows_no_secret_and_has_its_bounds() {
    let limits = "compile-cpu-timeout = \"4m\"\ncompile-memory = \"1GiB\"";
    let host = Arc::new(app(limits).serve().await);
    let swapping = swap(&host, takes_long_to_compile());
    let compiler = host.compiler().await;
    let read = |name| fs::read_to_string(format!("/proc/{compiler}/{name}")).unwrap();
    assert!(!read("environ").contains("not-for-compilers"), "{}", read("environ"));
    eventually("it to make way", async || {
        // `NUMBER (NAME) STATE ...`: how nice it is is the 19th field.
        let stat = read("stat");
        let nice = stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse::<i32>().ok()?;
        (nice >= 10).then_some(())
    })
    .await;
    let limits = read("limits");
    let limit = |name: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().ok()
    };
    assert_eq!(limit("Max cpu time"), Some(240), "{limits}");
    assert_eq!(limit("Max data size"), Some(1024 * 1024 * 1024), "{limits}");
    swapping.abort();
}

// Fault (The machine): a host that is killed while it has a component compiled | the compiler ends by itself | a reset | nothing
#[tokio::test]
async fn a_compiler_ends_with_a_host_that_is_killed() {
    let host = Arc::new(app("").serve().await);
    let swapping = swap(&host, takes_long_to_compile());
    let compiler = host.compiler().await;
    swapping.abort();
    let _ = swapping.await;
    Arc::into_inner(host).unwrap().kill().await;
    has_ended(compiler).await;
}

/// An application of one component that takes long to compile, and where that is.
fn bomb(limits: &str) -> (App, PathBuf) {
    let app = App::new(&format!(
        "name = \"bomb\"\n[service.bomb]\ncomponent = \"bomb.wasm\"\n[limits]\n{limits}\n"
    ));
    let file = app.path().join("bomb.wasm");
    fs::write(&file, takes_long_to_compile()).unwrap();
    (app, file)
}

#[tokio::test]
async fn commands_that_are_ended_leave_no_compiler_behind() {
    let (app, file) = bomb("");
    fs::create_dir(app.path().join("cases")).unwrap();
    fs::write(
        app.path().join("cases/any.toml"),
        "[request]\npath = \"/\"\n[response]\nstatus = 200\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    for command in [&["serve"][..], &["check"], &["test", file, "--cases", "cases"]] {
        let mut host = app.start(command);
        let pid = host.id().unwrap();
        let compiler = compiler(pid).await;
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::TERM).unwrap();
        within("the command to end", host.wait()).await.unwrap();
        has_ended(compiler).await;
    }
}

// Fault (The machine): such a component at the start | does not start, and says which bound | - | nothing
#[tokio::test]
async fn what_takes_a_compiler_too_long_is_refused_by_check_and_at_the_start() {
    let (app, _) = bomb("compile-cpu-timeout = \"1s\"");
    for command in ["check", "serve"] {
        let output = app.run(&[command]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("wasm-host.toml:2:1: error: [service.bomb]: "), "{said}");
        // Within a bound of the processor's time, or of that of a busy machine, which follows from it.
        assert!(said.contains("('compile-cpu-timeout' in [limits] sets "), "{said}");
    }
}
