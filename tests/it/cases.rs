//! The cases of the repository's own components.

use wasm_host_tests::host::{App, root};

/// Components in Rust, whose cases run in milliseconds each.
const COMPONENTS: [&str; 4] =
    ["components/weather", "components/ollama", "tests/guests/ledger", "tests/guests/blocking-p2"];

async fn run(more: &[&str]) -> serde_json::Value {
    let folders = COMPONENTS.map(|folder| root().join(folder).display().to_string());
    let mut arguments = vec!["test", "--format", "json"];
    arguments.extend(folders.iter().map(String::as_str));
    arguments.extend(more);
    let output = App::new("").run(&arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{more:?}: {told}\n{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// All that is told of each case but its real time.
fn results(report: &serde_json::Value) -> Vec<String> {
    let components = report["components"].as_array().expect("components").iter();
    let mut results = Vec::new();
    for component in components {
        for case in component["cases"].as_array().expect("cases") {
            let mut case = case.clone();
            case.as_object_mut().expect("a case").remove("milliseconds");
            results.push(format!("{} {case}", component["name"]));
        }
    }
    results.sort();
    results
}

#[tokio::test]
async fn twenty_runs_in_random_order_and_in_parallel_have_one_result() {
    let first = results(&run(&["--jobs", "1"]).await);
    assert!(first.len() >= 100, "{} cases", first.len());
    for seed in 1..=20 {
        let seed = seed.to_string();
        assert_eq!(results(&run(&["--jobs", "8", "--shuffle", &seed]).await), first, "{seed}");
    }
}
