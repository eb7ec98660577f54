//! `serve --watch`: what is saved is built and served, and what is broken is not.
//!
//! The builds are shell scripts that take what is "built" from beside the sources: the host knows
//! nothing of how components are made.

use std::fs;
use std::time::Duration;

use wasm_host_tests::eventually;
use wasm_host_tests::host::{App, Host, component};

const CRATE: &str = r#"
name = "watch"

[watch]
build = ["sh", "build.sh"]

[service.greeter]
component = "greeter"
route = "/"

[service.also]
component = "greeter"
"#;

/// Counts its runs, says for which crates, fails if the source says so, and else publishes the
/// component that the source names, whole or not at all.
const BUILD: &str = r#"
echo "$WASM_HOST_CHANGED" >> builds
trap 'echo >> ended' EXIT
version=$(cat components/greeter/src/lib.rs)
if [ -e slow ]; then touch building; while [ -e building ]; do sleep 0.05; done; fi
echo "compiling $version"
if [ "$version" = broken ]; then
    echo "error[E0308]: mismatched types" >&2
    exit 1
fi
cp "$version.wasm" target/components/greeter.partial
mv target/components/greeter.partial target/components/greeter.wasm
"#;

/// An application whose one crate is "built" from two components that exist already.
fn crate_app() -> App {
    let app = App::new(CRATE);
    let folder = app.path();
    fs::create_dir_all(folder.join("components/greeter/src")).unwrap();
    fs::create_dir_all(folder.join("target/components")).unwrap();
    fs::copy(component("hello-p2"), folder.join("one.wasm")).unwrap();
    fs::copy(component("hello-p3"), folder.join("two.wasm")).unwrap();
    fs::copy(folder.join("one.wasm"), folder.join("target/components/greeter.wasm")).unwrap();
    fs::write(folder.join("build.sh"), BUILD).unwrap();
    source(&app, "one");
    app
}

/// Save as editors do: a hidden file beside it, then a rename.
fn source(app: &App, text: &str) {
    let folder = app.path().join("components/greeter/src");
    fs::write(folder.join(".lib.rs.new"), text).unwrap();
    fs::rename(folder.join(".lib.rs.new"), folder.join("lib.rs")).unwrap();
}

async fn watching(app: &App) -> Host {
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    // The build at the start must not meet what a test prepares for the next one.
    eventually("the first build", async || (!lines(app, "ended").is_empty()).then_some(())).await;
    host
}

/// The crates that changed, one line per build.
fn built(app: &App) -> Vec<String> {
    lines(app, "builds")
}

fn lines(app: &App, name: &str) -> Vec<String> {
    let text = fs::read_to_string(app.path().join(name)).unwrap_or_default();
    text.lines().map(str::to_string).collect()
}

async fn logged(host: &Host, text: &str) -> String {
    eventually(&format!("'{text}' in the log"), async || {
        host.log().lines().find(|line| line.contains(text)).map(str::to_string)
    })
    .await
}

async fn serves(host: &Host, version: &str) {
    eventually(version, async || host.get("/").await.text().contains(version).then_some(())).await;
}

#[tokio::test]
async fn a_saved_source_is_built_and_served() {
    let app = crate_app();
    let host = watching(&app).await;
    assert!(host.get("/").await.text().contains("0.2"));
    source(&app, "two");
    let line = logged(&host, "components/greeter/src/lib.rs changed; building").await;
    assert!(line.contains("also, greeter: "), "{line}");
    let line = logged(&host, "greeter: activated").await;
    assert!(line.contains("after the save"), "{line}");
    logged(&host, "also: activated").await;
    assert!(host.get("/also/").await.text().contains("0.3"));
    assert!(host.get("/").await.text().contains("0.3"));
    assert!(
        line.contains(" -> ") && line.contains("(build ") && line.contains(", swap "),
        "{line}"
    );
    // The whole line: the host has one of its own of a component whose compiling takes long.
    let log = host.log();
    assert!(!log.lines().any(|line| line == "compiling two"), "output of a good build: {log}");
    assert_eq!(built(&app), ["greeter", "greeter"]);
    host.logs("cause=\"watch: components/greeter/src/lib.rs\"").await;
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_failed_build_is_shown_and_the_old_version_serves() {
    let app = crate_app();
    // The first build, too: sources may have changed while nobody watched.
    source(&app, "broken");
    let host = watching(&app).await;
    let line = logged(&host, "the build failed").await;
    assert!(line.contains("greeter: ") && line.contains("still serves"), "{line}");
    logged(&host, "error[E0308]: mismatched types").await;
    let log = host.log();
    assert!(log.lines().any(|line| line == "error[E0308]: mismatched types"), "{log}");
    assert!(log.lines().any(|line| line == "compiling broken"), "{log}");
    assert!(host.get("/").await.text().contains("0.2"));
    source(&app, "two");
    serves(&host, "0.3").await;
    source(&app, "broken");
    eventually("the second failure", async || {
        (host.log().matches("mismatched types").count() == 2).then_some(())
    })
    .await;
    assert!(host.get("/").await.text().contains("0.3"));
}

#[tokio::test]
async fn changes_during_a_build_are_one_more_build() {
    let app = crate_app();
    let host = watching(&app).await;
    fs::write(app.path().join("slow"), "").unwrap();
    source(&app, "two");
    eventually("the build", async || app.path().join("building").exists().then_some(())).await;
    for number in 0..5 {
        fs::write(app.path().join(format!("components/greeter/{number}.sql")), "").unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
        // Building blocks nothing.
        assert!(host.get("/").await.text().contains("0.2"));
    }
    // What changed when the build has read it already.
    source(&app, "one");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(built(&app).len(), 2, "two builds at once");
    fs::remove_file(app.path().join("building")).unwrap();
    logged(&host, "0.sql and 5 more changed; building").await;
    // What is swapped in sooner would take the place of a version that is still compiled.
    logged(&host, "greeter: activated").await;
    fs::remove_file(app.path().join("slow")).unwrap();
    eventually("the first version again", async || {
        // Where that build has begun before.
        let _ = fs::remove_file(app.path().join("building"));
        (host.log().matches("greeter: activated").count() == 2).then_some(())
    })
    .await;
    assert!(host.get("/").await.text().contains("0.2"), "the last save wins");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(built(&app).len(), 3, "{}", host.log());
}

#[tokio::test]
async fn half_a_file_is_never_loaded() {
    let app = App::new(
        r#"
name = "files"
[service.greeter]
component = "greeter.wasm"
route = "/"
"#,
    );
    let path = app.path().join("greeter.wasm");
    fs::copy(component("hello-p2"), &path).unwrap();
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    let new = fs::read(component("hello-p3")).unwrap();
    fs::write(&path, &new[..new.len() / 2]).unwrap();
    let line = logged(&host, "is not whole").await;
    assert!(line.contains("greeter: greeter.wasm"), "{line}");
    assert!(host.get("/").await.text().contains("0.2"));
    fs::write(&path, &new).unwrap();
    serves(&host, "0.3").await;
    let line = logged(&host, "after the save").await;
    assert!(line.contains("(swap "), "{line}");

    // Removed and made again with what serves already: nothing happens.
    fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(host.get("/").await.text().contains("0.3"));
    fs::write(&path, &new).unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let log = host.log();
    assert_eq!(log.matches("after the save").count(), 1, "{log}");
    assert!(!log.contains("rejected") && !log.contains("unchanged"), "{log}");

    // No component at all is told, and what served goes on.
    fs::write(&path, "hello").unwrap();
    logged(&host, "not WebAssembly").await;
    assert!(host.get("/").await.text().contains("0.3"));
    // By a rename.
    fs::copy(component("hello-p2"), app.path().join("new")).unwrap();
    fs::rename(app.path().join("new"), &path).unwrap();
    serves(&host, "0.2").await;
}

#[tokio::test]
async fn a_build_that_runs_ends_with_the_host() {
    let app = crate_app();
    fs::write(app.path().join("slow"), "").unwrap();
    fs::write(app.path().join("build.sh"), format!("echo $$ > pid\n{BUILD}")).unwrap();
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    eventually("the build", async || app.path().join("building").exists().then_some(())).await;
    let pid = fs::read_to_string(app.path().join("pid")).unwrap();
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the build outlives the host");
    assert!(!log.contains("the build failed"), "{log}");
}

const SERVICES: &str = r#"
name = "watch"

[service.first]
component = "out/first.wasm"
build = ["sh", "../build.sh", "first"]
source = "first"
route = "/"

[service.second]
component = "out/second.wasm"
build = ["sh", "../build.sh", "second"]
source = "second"
"#;

/// Fails if the source says so, and else publishes the component that the source names.
const SERVICE_BUILD: &str = r#"
echo "$1" >> ../builds
version=$(cat version)
if [ "$version" = broken ]; then
    echo "no luck with $1" >&2
    exit 1
fi
cp "../$version.wasm" "../out/$1.partial"
mv "../out/$1.partial" "../out/$1.wasm"
"#;

#[tokio::test]
async fn each_service_is_built_by_its_own_command_and_fails_alone() {
    let app = App::new(SERVICES);
    let folder = app.path();
    fs::write(folder.join("build.sh"), SERVICE_BUILD).unwrap();
    fs::copy(component("hello-p2"), folder.join("one.wasm")).unwrap();
    fs::copy(component("hello-p3"), folder.join("two.wasm")).unwrap();
    for service in ["first", "second"] {
        fs::create_dir(folder.join(service)).unwrap();
        fs::write(folder.join(service).join("version"), "one").unwrap();
    }
    // Neither is there yet: both are built before anything is served.
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    assert!(host.get("/").await.text().contains("0.2"));
    assert_eq!(built(&app), ["first", "second"]);

    fs::write(folder.join("second/version"), "broken").unwrap();
    let line = logged(&host, "the build failed").await;
    assert!(line.contains("second: ") && line.contains("still serves"), "{line}");
    logged(&host, "no luck with second").await;
    fs::write(folder.join("first/version"), "two").unwrap();
    let line = logged(&host, "first: activated").await;
    assert!(line.contains("after the save"), "{line}");
    assert!(host.get("/").await.text().contains("0.3"));
    // What failed is owed, and tried again with the next build.
    assert!(host.get("/second/").await.text().contains("0.2"));
    fs::write(folder.join("second/version"), "two").unwrap();
    logged(&host, "second: activated").await;
    assert!(host.get("/second/").await.text().contains("0.3"));
    let (status, log) = host.stop().await;
    assert_eq!(status.code(), Some(0), "{log}");

    // What is newer than its sources is not built at the start.
    let builds = built(&app).len();
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    logged(&host, "watching").await;
    fs::write(folder.join("first/version"), "one").unwrap();
    logged(&host, "first: activated").await;
    let more = built(&app);
    assert_eq!(more[builds..], ["first"], "{}", host.log());
}

/// Its sources are in the folder of the file, where it writes its component, and a date that differs each time.
const DATED: &str = r#"
name = "watch"

[service.dated]
component = "dated.wasm"
build = ["sh", "build.sh"]
route = "/"
"#;

#[tokio::test]
async fn a_build_that_writes_among_its_sources_is_not_built_for_ever() {
    let app = App::new(DATED);
    let folder = app.path();
    let script = "echo >> .builds; wc -l < .builds > date.txt; cp $(cat version).wasm dated.wasm\n";
    fs::write(folder.join("build.sh"), script).unwrap();
    fs::copy(component("hello-p2"), folder.join("one.wasm")).unwrap();
    fs::copy(component("hello-p3"), folder.join("two.wasm")).unwrap();
    fs::write(folder.join("version"), "one").unwrap();
    let host = app.serve_with(&["wasm-host.toml", "--watch"]).await;
    logged(&host, "watching").await;
    fs::write(folder.join("version"), "two").unwrap();
    let line = logged(&host, "changed while each of the last 3 builds ran").await;
    assert!(line.contains("dated: date.txt changed"), "{line}");
    serves(&host, "0.3").await;
    // Once before the start and once for the save, then those that were their own cause.
    assert_eq!(lines(&app, ".builds").len(), 1 + 1 + 2, "{}", host.log());
    fs::write(folder.join("version"), "one").unwrap();
    serves(&host, "0.2").await;
}
