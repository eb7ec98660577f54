//! Calls of buckets in cases: recorded from a running host, and replayed without one.

use super::*;
use wasm_host_tests::host::COMPILATION;

#[tokio::test]
async fn what_was_recorded_is_replayed_with_no_bucket_there() {
    let app = app(MEMORY);
    let host = app.serve_with(&["--record", "recorded"]).await;
    assert_eq!(put(&host, "a", "tea").await.status, 200);
    assert_eq!(text(&host, "GET", "/carts/a", "").await, ok("tea"));
    assert_eq!(text(&host, "POST", "/carts/c?count", "").await, ok("1"));
    assert_eq!(text(&host, "POST", "/carts/?get-many", "a\nb").await, ok("tea\nnone\n"));
    assert_eq!(text(&host, "GET", "/config/", "").await, ok(""));
    let (status, log) = host.stop().await;
    assert!(status.success(), "{log}");
    let recorded = app.path().join("recorded/keeper");
    let mut texts = String::new();
    for file in std::fs::read_dir(&recorded).unwrap() {
        texts += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    for call in ["keyvalue.set", "keyvalue.get\"", "keyvalue.swap", "keyvalue.get-many"] {
        assert!(texts.contains(call), "{call} is not in\n{texts}");
    }
    let (file, cases) = (component("keeper"), recorded.display().to_string());
    let arguments = ["test", file.to_str().unwrap(), "--cases", &cases];
    let output = App::new("").run_within(COMPILATION, &arguments).await;
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{told}");
}

#[tokio::test]
async fn a_case_scripts_what_a_bucket_and_the_configuration_say() {
    let folder = TempDir::new().unwrap();
    let case = r#"
[config]
greeting = "Hei"

[request]
path = "/sessions/ada"

[[call]]
function = "keyvalue.get"
json = { bucket = "sessions", key = "ada" }
answer.json = '"three visits"'

[response]
status = 200
text = "three visits"
"#;
    std::fs::write(folder.path().join("found.toml"), case).unwrap();
    let full = case
        .replace("answer.json = '\"three visits\"'", "answer.failure = '{\"full\":\"no room\"}'")
        .replace(
            "status = 200\ntext = \"three visits\"",
            "status = 503\ntext = \"the bucket did not do it: no room\\n\"",
        );
    std::fs::write(folder.path().join("full.toml"), full).unwrap();
    let told = r#"
[config]
greeting = "Hei"

[request]
path = "/config/greeting"

[response]
status = 200
text = "Hei"
"#;
    std::fs::write(folder.path().join("config.toml"), told).unwrap();
    let (file, cases) = (component("keeper"), folder.path().display().to_string());
    let arguments = ["test", file.to_str().unwrap(), "--cases", &cases];
    let output = App::new("").run_within(COMPILATION, &arguments).await;
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{told}");
}
