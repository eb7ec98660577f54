//! `new`, `add`, `build` and `wit`: from an empty folder to a service that answers, in each language.
//!
//! What a template needs of the network comes by the tool of its language, as it does for people, and is kept in
//! `target` between runs. Each walk says how long its parts took, for the table in `docs/new.md`.

mod added;
mod asked;
mod composed;
mod helpers;
mod missing;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wasm_host_tests::host::{App, COMPILATION, Host, root};
use wasm_host_tests::is_long;
use wasm_host_tests::upstream::{Step, Upstream, chunk, end, ndjson_head};

/// Crates that are not compiled yet, or an interpreter for the compiler, on a machine that does other things besides.
const BUILD: Duration = Duration::from_secs(600);

/// Variables by which the tools of the tests are found, before those of the machine.
fn tools() -> [(&'static str, String); 3] {
    let tools = root().join("target/toolchains");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([tools.join("bin")].into_iter().chain(std::env::split_paths(&path)));
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    [
        // What Go compiled of its own library is kept, too.
        ("GOCACHE", text(root().join("target/new/go"))),
        ("PATH", path.unwrap().into_string().unwrap()),
        ("PYTHONPATH", text(tools)),
    ]
}

/// An empty folder, with these tools.
fn empty() -> App {
    tools().iter().fold(App::new(""), |app, (name, value)| app.env(name, value))
}

/// A command that must succeed; what it wrote.
async fn good(app: &App, arguments: &[&str]) -> String {
    let output = app.run_within(BUILD, arguments).await;
    let said = said(&output);
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// A command that must fail with this code; what it wrote.
async fn bad(app: &App, code: i32, arguments: &[&str]) -> String {
    let output = app.run_within(BUILD, arguments).await;
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    said(&output)
}

fn said(output: &std::process::Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// A model that says two words.
async fn model() -> Upstream {
    Upstream::start(|_| {
        let line = |word: &str, done: bool| {
            let line = format!("{{\"message\":{{\"content\":\"{word}\"}},\"done\":{done}}}\n");
            Step::Send(chunk(line.as_bytes()))
        };
        vec![
            Step::Send(ndjson_head()),
            line("Not ", false),
            line("today.", true),
            Step::Send(end()),
        ]
    })
    .await
}

/// What a walk needs to know of a language.
struct Walk {
    language: &'static str,
    /// A folder of the repository's `target` that takes the place of the application's, so that what it has from
    /// elsewhere is built once.
    target: Option<&'static str>,
    /// The file that is edited while the service is watched. None: not in a run that is to be short.
    edited: Option<&'static str>,
    /// Where the component is.
    component: &'static str,
    /// What installs what the template needs of its language, in the application's folder.
    install: Option<fn(&Path)>,
}

/// All that a user does, with a database and a model.
async fn walk(walk: Walk) {
    let (app, model) = (empty(), model().await);
    // What is measured is what is shipped.
    let app = if is_long() { app.optimised() } else { app };
    let began = Instant::now();
    let grants = ["--with", "postgres,ollama,keyvalue,config"];
    let made = good(&app, &[&["new", "shop", "--lang", walk.language], &grants[..]].concat()).await;
    assert!(made.contains("services/shop"), "{made}");
    assert_eq!(made.contains("not installed"), walk.install.is_some(), "{made}");
    let folder = app.path().join("shop");
    // Of this walk alone, until its end.
    let _held = walk.target.map(|target| keep(target, &folder));
    if let Some(install) = walk.install {
        install(&folder);
    }
    let service = folder.join("services/shop");
    helpers::add(walk.language, &service);
    helpers::configure(&folder.join("wasm-host.toml"));
    if walk.language == "c" {
        // Each file of tests is a program of its own.
        fs::write(service.join("tests/test_second.c"), "int main(void) { return 0; }\n").unwrap();
    }
    let app = app.before("cd shop").env("OLLAMA_HOST", &model.url);
    let app = app.env(helpers::SECRET.0, helpers::SECRET.1);
    let building = Instant::now();
    good(&app, &["build"]).await;
    let build = building.elapsed();
    let bytes = fs::metadata(folder.join(walk.component)).unwrap().len();
    let tested = good(&app, &["test"]).await;
    let all = format!("{} passed, 0 failed", 10 + helpers::CASES);
    assert!(tested.contains(&all), "{tested}");
    let (passed, said) = unit_tests(&service).await;
    assert!(passed, "{said}");
    let watched = if walk.edited.is_some() { &["wasm-host.toml", "--watch"][..] } else { &[] };
    // Keeps the code of an interpreter for the host, which would otherwise be waited for less.
    good(&app, &["check"]).await;
    let host = app.serve_with(watched).await;
    answers(&host).await;
    if walk.language == "go" {
        // Of the call that was answered with a 500.
        host.logs("there is no such bucket").await;
    }
    let first = began.elapsed();
    let saved = match walk.edited {
        Some(edited) => Some(save(&host, &service.join(edited)).await),
        None => None,
    };
    if saved.is_some() {
        // The greeting is another one by now.
        let (passed, said) = unit_tests(&service).await;
        assert!(!passed, "{said}");
    }
    let language = walk.language;
    println!(
        "{language}: {bytes} bytes, build {build:?}, new to first answer {first:?}, save {saved:?}"
    );
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Run the unit tests of a service by the command that its README has for them; whether they passed, and what was said.
async fn unit_tests(service: &Path) -> (bool, String) {
    let readme = fs::read_to_string(service.join("README.md")).unwrap();
    let mut lines =
        readme.lines().filter_map(|line| line.split_once("# the unit tests, in this folder"));
    let (command, _) = lines.next().expect("a command for the unit tests");
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", command.trim()]).current_dir(service).kill_on_drop(true);
    shell.envs(tools()).env("CARGO_TARGET_DIR", root().join("target/new/rust-tests"));
    let ended = tokio::time::timeout(BUILD, shell.output()).await;
    let ended = ended.expect("unit tests end").unwrap();
    (ended.status.success(), format!("{command}\n{}", said(&ended)))
}

/// Let an application have a `target` that is kept, while the value lives.
fn keep(target: &str, folder: &Path) -> fs::File {
    let kept = root().join("target").join(target);
    fs::create_dir_all(&kept).unwrap();
    let lock = fs::File::create(kept.join("walk.lock")).unwrap();
    lock.lock().unwrap();
    std::os::unix::fs::symlink(kept, folder.join("target")).unwrap();
    lock
}

async fn answers(host: &Host) {
    let reply = host.get("/").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (200, "Hello from shop!\n"),
        "{}",
        host.log()
    );
    let reply = host.get("/greetings").await;
    assert_eq!(
        (reply.status.as_u16(), reply.text()),
        (200, "Hello\nBonjour\nHola\n"),
        "{}",
        host.log()
    );
    helpers::answer(host).await;
    for visits in ["1\n", "2\n"] {
        let reply = host.send("POST", "/visits", "").await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, visits), "{}", host.log());
    }
    let reply = host.get("/motto").await;
    let motto = (200, "Small is beautiful\n");
    assert_eq!((reply.status.as_u16(), reply.text()), motto, "{}", host.log());
    let reply = host.send("POST", "/chat", "Will it rain?").await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, "Not today."), "{}", host.log());
    assert_eq!(host.get("/nothing").await.status, 404, "{}", host.log());
}

/// Edit a source, and wait until what is served has it; how long that took.
async fn save(host: &Host, path: &Path) -> Duration {
    let text = fs::read_to_string(path).unwrap();
    // In Rust the unit test, which comes later in the file, has it as well.
    let edited = text.replacen("Hello from", "Welcome to", 1);
    assert_ne!(edited, text, "{}", path.display());
    let saved = Instant::now();
    fs::write(path, edited).unwrap();
    let serves = async {
        while host.get("/").await.text() != "Welcome to shop!\n" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let served = tokio::time::timeout(BUILD + COMPILATION, serves).await;
    assert!(served.is_ok(), "{}", host.log());
    saved.elapsed()
}

#[tokio::test]
async fn a_service_in_rust_is_made_built_tested_served_and_changed() {
    let component = "target/wasm32-wasip2/release/shop.wasm";
    walk(Walk {
        language: "rust",
        target: Some("new/rust"),
        edited: Some("src/lib.rs"),
        component,
        install: None,
    })
    .await;
}

#[tokio::test]
async fn a_service_in_python_is_made_built_tested_and_served() {
    // Another build of the interpreter takes a minute here.
    let edited = is_long().then_some("src/greeting.py");
    let component = "target/components/shop.wasm";
    walk(Walk { language: "python", target: None, edited, component, install: None }).await;
}

#[tokio::test]
async fn a_service_in_javascript_is_made_built_tested_served_and_changed() {
    let component = "target/components/shop.wasm";
    let install: fn(&Path) = |folder| npm(folder, "shop");
    let (edited, install) = (Some("src/greeting.js"), Some(install));
    walk(Walk { language: "javascript", target: None, edited, component, install }).await;
}

/// The packages that the tests have, of the version that the template names.
fn npm(folder: &Path, service: &str) {
    let installed = root().join("tests/templates/node_modules");
    let service = folder.join("services").join(service);
    let version = |text: &str| {
        let package: serde_json::Value = serde_json::from_str(text).unwrap();
        package["devDependencies"]["componentize-qjs"].clone()
    };
    let own = fs::read_to_string(root().join("tests/templates/package.json")).unwrap();
    let wanted = fs::read_to_string(service.join("package.json")).unwrap();
    assert_eq!(version(&own), version(&wanted));
    assert!(installed.is_dir(), "`cargo xtask setup` installs them");
    std::os::unix::fs::symlink(installed, service.join("node_modules")).unwrap();
}

#[tokio::test]
async fn a_service_in_c_is_made_built_tested_served_and_changed() {
    let component = "target/components/shop.wasm";
    let edited = Some("src/greeting.c");
    walk(Walk { language: "c", target: None, edited, component, install: None }).await;
}

#[tokio::test]
async fn a_service_in_go_is_made_built_tested_served_and_changed() {
    let component = "target/components/shop.wasm";
    let edited = Some("greeting/greeting.go");
    walk(Walk { language: "go", target: None, edited, component, install: None }).await;
}

/// All files below a folder with their texts.
fn all(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((path.clone(), fs::read(path).unwrap())),
            }
        }
    }
    files.sort();
    files
}

#[tokio::test]
async fn what_is_there_is_never_written_over() {
    let app = empty();
    good(&app, &["new", "shop", "--lang", "python"]).await;
    let said = bad(&app, 64, &["new", "shop", "--lang", "rust"]).await;
    assert!(said.contains("shop is there already") && said.contains("wasm-host add"), "{said}");
    let app = app.before("cd shop");
    let folder = app.path().join("shop");
    fs::create_dir_all(folder.join("services/cart")).unwrap();
    fs::write(folder.join("services/cart/README.md"), "mine").unwrap();
    let before = all(&folder);
    let cases: [(&[&str], &str); 7] = [
        (&["cart"], "services/cart/README.md is there already and nothing was made"),
        (&["shop"], "the application has a [service.shop]"),
        (&["basket", "--route", "/"], "have the same route '/'"),
        (&["basket", "--route", "x"], "route 'x' "),
        (&["Basket"], "'Basket' cannot be a name"),
        (&["fn"], "'fn' cannot be the name of a crate"),
        (&[], "a name is missing"),
    ];
    for (arguments, why) in cases {
        let said = bad(&app, 64, &[&["add", "--lang", "rust"], arguments].concat()).await;
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert_eq!(all(&folder), before, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_service_is_added_beside_the_others_with_what_it_needs() {
    let app = empty();
    good(&app, &["new", "shop", "--lang", "python", "--port", "9000", "--route", "/s"]).await;
    let app = app.before("cd shop");
    let folder = app.path().join("shop");
    let file = || fs::read_to_string(folder.join("wasm-host.toml")).unwrap();
    fs::write(folder.join("wasm-host.toml"), file() + "# mine").unwrap();
    good(&app, &["add", "cart-2", "--lang", "rust", "--with", "ollama"]).await;
    good(&app, &["add", "till", "--lang", "rust", "--with", "postgres,ollama"]).await;
    let text = file();
    assert!(text.contains("# mine\n") && text.contains("listen = \"127.0.0.1:9000\""), "{text}");
    assert!(text.contains("route = \"/s\"") && text.contains("route = \"/cart-2\""), "{text}");
    assert!(text.contains("component = \"target/wasm32-wasip2/release/cart_2.wasm\""), "{text}");
    assert_eq!(text.matches("[ollama.local]").count(), 1, "{text}");
    assert!(text.contains("[postgres.till]\ninit = [\"services/till/init.sql\"]"), "{text}");
    assert!(folder.join("vendor/wasm-host-guest/src/lib.rs").is_file());
    // What is not built yet is one line each, with the command.
    let said = bad(&app, 64, &["check"]).await;
    assert!(said.contains("wasm-host build cart-2"), "{said}");
    let said = bad(&app, 64, &["test"]).await;
    assert!(said.contains("run `wasm-host build cart-2`"), "{said}");
}

#[tokio::test]
async fn a_build_that_fails_is_shown_with_its_command_and_code() {
    let app = App::new(
        r#"
name = "x"
[service.a]
component = "out/a.wasm"
build = ["sh", "-c", "echo compiling; echo 'no luck' >&2; exit 3"]
source = "a"
[service.b]
component = "out/b.wasm"
build = ["true"]
[service.c]
static = "a"
"#,
    );
    fs::create_dir(app.path().join("a")).unwrap();
    let said = bad(&app, 1, &["build"]).await;
    assert!(said.contains("compiling\nno luck\n"), "{said}");
    assert!(said.contains("a: `sh -c echo compiling") && said.contains("exit status: 3"), "{said}");
    let said = bad(&app, 1, &["build", "b"]).await;
    assert!(said.contains("b: `true` has not made out/b.wasm"), "{said}");
    let said = bad(&app, 64, &["build", "c"]).await;
    assert!(said.contains("the service c has no 'build'"), "{said}");
    let said = bad(&app, 64, &["build", "d"]).await;
    assert!(said.contains("there is no service d"), "{said}");
}

#[tokio::test]
async fn a_service_is_told_the_interfaces_that_it_is_granted() {
    let app = empty();
    good(&app, &["new", "shop", "--lang", "python", "--with", "postgres"]).await;
    let app = app.before("cd shop");
    let folder = app.path().join("shop/services/shop/wit");
    let printed = good(&app, &["wit", "shop"]).await;
    assert!(printed.contains("import wasm-host:postgres/client@0.1.0;"), "{printed}");
    assert!(!printed.contains("wasm-host:ollama"), "{printed}");
    // A grant is taken back, and another one given.
    let file = app.path().join("shop/wasm-host.toml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("postgres = \"shop\"", "outbound = [\"https://api.example.com\"]");
    fs::write(&file, text).unwrap();
    good(&app, &["wit", "shop", "--output", "services/shop/wit"]).await;
    let world = fs::read_to_string(folder.join("world.wit")).unwrap();
    assert!(world.contains("import wasi:http/client@0.3.0;"), "{world}");
    assert!(!world.contains("postgres") && !folder.join("deps/postgres").exists(), "{world}");
    let printed = good(&app, &["wit", "shop", "--wasi", "0.2"]).await;
    assert!(printed.contains("import wasi:http/outgoing-handler@0.2"), "{printed}");
    fs::write(folder.join("world.wit"), "package my:own;").unwrap();
    let said = bad(&app, 64, &["wit", "shop", "--output", "services/shop/wit"]).await;
    assert!(said.contains("is left alone"), "{said}");
    good(&app, &["add", "till", "--lang", "go"]).await;
    let (wit, bindings) = ("services/till/wit", "services/till/bindings");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[service.till]\n", "[service.till]\npostgres = \"shop\"\n"))
        .unwrap();
    let arguments = ["wit", "till", "--output", wit, "--bindings", bindings];
    good(&app, &arguments).await;
    let package = "wasm_host_postgres_blocking/wit_bindings.go";
    let made = app.path().join("shop").join(bindings).join(package);
    let text = fs::read_to_string(&made).unwrap();
    assert!(text.contains("service/bindings/wasm_host_postgres_types"), "{text}");
    let said = bad(&app, 64, &[&arguments[..], &["--wasi", "0.3"]].concat()).await;
    assert!(said.contains("Go cannot import an `async func`"), "{said}");
    fs::write(&made, "package mine").unwrap();
    let said = bad(&app, 64, &arguments).await;
    assert!(said.contains("is left alone"), "{said}");
}
