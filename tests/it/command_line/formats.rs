//! `--format json`: what a command has made or found, for programs.

use std::fs;

use serde_json::{Value, json};
use wasm_host_tests::host::{App, component};

/// What a command answers a program with.
async fn answer(app: &App, arguments: &[&str]) -> Value {
    let output = app.run(&[arguments, &["--format", "json"]].concat()).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {told}");
    serde_json::from_slice(&output.stdout).expect("one value, and nothing else")
}

#[tokio::test]
async fn commands_that_make_something_say_what_for_programs() {
    let app = App::new(
        "name = \"shop\"\n[service.a]\ncomponent = \"made/a.wasm\"\nsource = \"a\"\nbuild = [\"sh\", \"build.sh\"]\n",
    );
    fs::create_dir(app.path().join("a")).unwrap();
    // What a build prints does not get into it.
    let build = format!("echo building\ncp {} ../made/a.wasm\n", component("hello-p3").display());
    fs::write(app.path().join("a/build.sh"), build).unwrap();
    let built = answer(&app, &["build"]).await;
    let bytes = fs::metadata(component("hello-p3")).unwrap().len();
    assert_eq!(built[0]["service"], "a");
    assert_eq!(built[0]["files"], json!([{ "file": "made/a.wasm", "bytes": bytes }]));
    assert!(built[0]["seconds"].is_number(), "{built}");

    let added = answer(&app, &["add", "cart", "--lang", "python", "--route", "/c"]).await;
    let expected = json!({
        "service": "cart", "language": "python", "route": "/c", "source": "services/cart",
        "application": "wasm-host.toml",
    });
    assert_eq!(added, expected);
    let made = answer(&app, &["new", "other", "--lang", "c", "--port", "9000"]).await;
    let expected = json!({
        "service": "other", "language": "c", "route": "/", "source": "other/services/other",
        "application": "other/wasm-host.toml", "port": 9000,
    });
    assert_eq!(made, expected);
    assert!(app.path().join("other/services/other").is_dir());

    let keys = answer(&app, &["key", "generate", "release"]).await;
    assert_eq!(keys, json!({ "signs": "release.key", "verifies": "release.pub" }));
    assert!(app.path().join("release.key").is_file());

    let manifest = "spin_manifest_version = 2\n[application]\nname = \"spun\"\n\
                    [[trigger.redis]]\nchannel = \"c\"\ncomponent = \"hello\"\n\
                    [[trigger.http]]\nroute = \"/...\"\ncomponent = \"hello\"\n\
                    [component.hello]\nsource = \"hello.wasm\"\n";
    fs::write(app.path().join("spin.toml"), manifest).unwrap();
    let imported = answer(&app, &["import", "-o", "spun.toml"]).await;
    assert_eq!(imported["application"], "spun.toml");
    assert_eq!(
        imported["unsaid"],
        json!(["1 of trigger redis are left out: services of this host answer HTTP"])
    );
}
