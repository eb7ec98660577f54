//! What is rejected, why, and that nothing else changes.

use std::time::Duration;

use wasm_host_tests::client;
use wasm_host_tests::host::{App, component};
use wasm_host_tests::upstream::Upstream;

use super::{activate, answers, app_with, reason, rejected, serve, verdicts, version};

#[tokio::test]
async fn what_is_no_service_is_rejected_with_the_reason() {
    let host = serve().await;
    let before = host.service("app").await["version"].clone();
    let inner = b"\0asm\x01\0\0\0";
    let empty = b"\0asm\x0d\0\x01\0";
    for (component, expected) in [
        (b"hello".to_vec(), "not WebAssembly"),
        (Vec::new(), "not WebAssembly"),
        (inner.to_vec(), "core WebAssembly module"),
        (b"\0asm\x0d\0\x01\0 and then something".to_vec(), "not a valid component"),
        (empty.to_vec(), "a service exports wasi:http/handler@0.3"),
        (std::fs::read(component("weather")).unwrap(), "nothing grants it postgres"),
        (version("unstartable"), "does not start"),
    ] {
        let told = rejected(&host, component).await;
        assert!(told.contains(expected), "{expected} is not in: {told}");
        assert_eq!(answers(&host).await, "one");
    }
    assert_eq!(host.service("app").await["version"], before);
    let history = host.history("app").await;
    assert_eq!(verdicts(&history)[1..], ["rejected"; 7]);
    // Nothing of what was rejected is kept.
    let kept = std::fs::read_dir(host.state().join("versions")).unwrap();
    let kept = kept.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "wasm"));
    assert_eq!(kept.count(), 1);
}

#[tokio::test]
async fn an_ungranted_import_is_rejected_with_the_line_to_add() {
    let host = serve().await;
    let told = rejected(&host, std::fs::read(component("ollama")).unwrap()).await;
    for expected in ["wasm-host:ollama/", "[service.app]", "ollama = "] {
        assert!(told.contains(expected), "{expected} is not in: {told}");
    }
}

#[tokio::test]
async fn a_component_that_another_service_is_granted_is_rejected_all_the_same() {
    let app = "name = \"swap\"\n[ollama.local]\nurl = \"http://127.0.0.1:1\"\n\
               [service.granted]\ncomponent = \"$(ollama)\"\nroute = \"/granted\"\nollama = \"local\"\n\
               [service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\n";
    let host = App::new(app).serve().await;
    // It is compiled and linked by now, and in use.
    let told = rejected(&host, std::fs::read(component("ollama")).unwrap()).await;
    assert!(told.contains("nothing grants it ollama"), "{told}");
}

#[tokio::test]
async fn the_verdict_lists_what_a_version_imports_more_and_less() {
    let upstream = Upstream::start(|_| Vec::new()).await;
    let app = App::new(
        "name = \"swap\"\n[ollama.local]\n[service.app]\ncomponent = \"$(version-one)\"\nroute = \"/\"\nollama = \"local\"\n",
    );
    let host = app.env("OLLAMA_HOST", &upstream.url).serve().await;
    let reply = host.swap("app", "", std::fs::read(component("ollama")).unwrap()).await;
    let names = |list: &serde_json::Value| {
        let names = list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string());
        names.filter(|name| name.starts_with("wasm-host:ollama/")).collect::<Vec<_>>()
    };
    assert!(!names(&reply.json()["imports_added"]).is_empty(), "{}", reply.text());
    let back = host.swap("app", "", version("one")).await.json();
    assert!(!names(&back["imports_removed"]).is_empty(), "{back}");
    assert_eq!(host.history("app").await[2]["imports_removed"], back["imports_removed"]);
}

#[tokio::test]
async fn a_version_whose_health_path_fails_is_rejected() {
    let host = app_with("health = \"/health\"").serve().await;
    let told = rejected(&host, version("sick")).await;
    assert!(told.contains("GET /health answered 500"), "{told}");
    activate(&host, "two").await;
    assert_eq!(answers(&host).await, "two");
}

#[tokio::test]
async fn a_file_that_vanishes_is_rejected_by_its_path() {
    let host = serve().await;
    let swap = async |body: String| {
        let json = [("content-type", "application/json")];
        host.ask("POST", "/services/app/swap", &json, body).await
    };
    let told = reason(&swap(r#"{"path": "/nowhere/at/all.wasm"}"#.to_string()).await);
    assert!(told.contains("/nowhere/at/all.wasm") && told.contains("No such file"), "{told}");
    let told = reason(&swap(r#"{"path": "/dev/zero"}"#.to_string()).await);
    assert!(told.contains("not a file"), "{told}");
    for body in [r#"{"path": "here.wasm"}"#, r#"{"file": "/x"}"#, "path"] {
        assert_eq!(swap(body.to_string()).await.status, 400, "{body}");
    }
    let there = component("version-two").display().to_string();
    let reply = swap(serde_json::json!({ "path": there }).to_string()).await;
    assert_eq!(reply.json()["verdict"], "activated", "{}", reply.text());
    assert_eq!(reply.json()["path"], there);
    assert_eq!(answers(&host).await, "two");
}

#[tokio::test]
async fn what_cannot_be_kept_on_disk_is_rejected() {
    let host = serve().await;
    let (versions, aside) = (host.state().join("versions"), host.state().join("aside"));
    // Nothing can be written below a file.
    std::fs::rename(&versions, &aside).unwrap();
    std::fs::write(&versions, "").unwrap();
    let told = rejected(&host, version("two")).await;
    assert!(told.contains("its file cannot be kept"), "{told}");
    assert_eq!(answers(&host).await, "one");
    std::fs::remove_file(&versions).unwrap();
    std::fs::rename(&aside, &versions).unwrap();
    // The cache of compiled code is not needed.
    std::fs::remove_dir_all(host.state().join("code")).unwrap();
    std::fs::write(host.state().join("code"), "").unwrap();
    activate(&host, "two").await;
    assert_eq!(answers(&host).await, "two");
    host.logs("compiled code is not kept").await;
}

#[tokio::test]
async fn a_history_that_cannot_be_written_rejects_the_swap() {
    let host = serve().await;
    let record = host.state().join("versions/app.json");
    // A folder in the place of the file: the component can be kept and the history cannot.
    std::fs::create_dir(&record).unwrap();
    let told = rejected(&host, version("two")).await;
    assert!(told.contains("its history cannot be kept"), "{told}");
    assert_eq!(answers(&host).await, "one");
    std::fs::remove_dir(&record).unwrap();
    activate(&host, "two").await;
}

#[tokio::test]
async fn a_version_that_serves_already_changes_nothing() {
    let host = serve().await;
    let outcome = activate(&host, "one").await;
    assert_eq!(outcome["verdict"], "unchanged");
    assert_eq!(host.service("app").await["version"], outcome["digest"].as_str().unwrap()[..12]);
}

#[tokio::test]
async fn of_swaps_that_wait_the_newest_wins_and_a_loop_holds_nobody_up() {
    let app = app_with("").env("WASM_HOST_LOG", "info,wasm_host_service::swap=debug");
    let host = std::sync::Arc::new(app.serve().await);
    let swap = |name: &'static str| {
        let host = host.clone();
        tokio::spawn(async move { host.swap("app", "", version(name)).await })
    };
    // It loops at its instantiation, which is given up after ten seconds.
    let first = swap("stuck");
    // Until it is compiled, a newer one would take its place.
    host.logs("swap 1 is compiled and tried").await;
    let second = swap("sick");
    host.logs("swap 2 waits for its turn").await;
    let third = swap("two");
    host.logs("swap 3 waits for its turn").await;
    let mut asked = 0;
    while !first.is_finished() {
        assert_eq!(answers(&host).await, "one");
        asked += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It would hold up the second one until it is given up. How many there are is for the machine to say.
    assert!(asked > 3, "the loop held the requests up: {asked}");
    assert!(reason(&first.await.unwrap()).contains("did not start within 10s"));
    assert!(reason(&second.await.unwrap()).contains("a newer swap took its place"));
    let third = third.await.unwrap();
    assert_eq!(third.json()["verdict"], "activated", "{}", third.text());
    assert_eq!(answers(&host).await, "two");
}

#[tokio::test]
async fn a_rollback_goes_back_and_forth_between_good_versions() {
    let host = serve().await;
    let rollback = async || host.ask("POST", "/services/app/rollback", &[], "").await;
    let none = rollback().await;
    assert_eq!(none.status, 409);
    assert!(none.text().contains("no earlier version"), "{}", none.text());
    activate(&host, "two").await;
    rejected(&host, version("unstartable")).await;
    for expected in ["one", "two", "one"] {
        let reply = rollback().await;
        assert_eq!(reply.json()["verdict"], "activated", "{}", reply.text());
        assert_eq!(answers(&host).await, expected);
    }
}

#[tokio::test]
async fn a_rollback_to_a_version_whose_file_has_vanished_is_refused() {
    let host = serve().await;
    let from = activate(&host, "two").await["from"].as_str().unwrap().to_string();
    std::fs::remove_file(host.state().join(format!("versions/{from}.wasm"))).unwrap();
    let reply = host.ask("POST", "/services/app/rollback", &[], "").await;
    assert_eq!(reply.status, 409);
    assert!(reply.text().contains("no longer kept"), "{}", reply.text());
    assert_eq!(answers(&host).await, "two");
}

#[tokio::test]
async fn a_drained_service_gets_new_instances_and_cuts_nothing() {
    let host = app_with("idle = \"1h\"").serve().await;
    let mut stream = client::open(&host.address, "GET", "/?pieces=10&ms=100", &[], "").await;
    assert!(stream.next().await.unwrap().is_some());
    let drained = host.ask("POST", "/services/app/drain", &[], "").await;
    assert_eq!(drained.status, 200);
    assert_eq!(drained.json()["instances"], 1);
    assert!(stream.rest().await.is_ok(), "it was cut");
    wasm_host_tests::eventually("the old instance to end", async || {
        (host.service("app").await["instances"] == 0).then_some(())
    })
    .await;
    // An idle one ends at once, too.
    assert_eq!(answers(&host).await, "one");
    assert_eq!(host.service("app").await["instances"], 1);
    host.ask("POST", "/services/app/drain", &[], "").await;
    wasm_host_tests::eventually("the idle instance to end", async || {
        (host.service("app").await["instances"] == 0).then_some(())
    })
    .await;
}
