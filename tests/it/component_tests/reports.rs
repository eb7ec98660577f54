//! Tables, JSON, JUnit, exit codes, `--bless`, `--filter`, `--shuffle`.

use super::{Cases, case};

const FORECAST: &str = r#"# What a forecast is.
clock = "2026-01-31T23:59:30Z"
request.path = "/forecast?days=1"

[[call]]
query = "select summary from weathersummaries"
answer.columns = ["summary text"]
answer.rows = [["Mild"]] # one word

[response]
status = 201 # wrong
json = '[]'
"#;

const ROOT: &str = "request.path = \"/\"\n[response]\nstatus = 200\n";

#[tokio::test]
async fn a_failure_shows_what_was_expected_and_what_was_seen() {
    let cases = Cases::new(&[("forecast", FORECAST), ("root", ROOT)]);
    let output = cases.run("weather", &[]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for expected in [
        "CASE ",
        "weather/forecast  FAILED",
        "weather/root      ok",
        "- status 201",
        "+ status 200",
        "2026-02-01",
        "1 passed, 1 failed",
    ] {
        assert!(told.contains(expected), "{expected} is not in:\n{told}");
    }
}

#[tokio::test]
async fn bless_writes_down_what_was_seen_and_nothing_else() {
    let cases = Cases::new(&[("forecast", FORECAST), ("root", ROOT)]);
    let (code, report) = cases.report("weather", &["--bless"]).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(case(&report, "forecast")["verdict"], "blessed");
    assert_eq!(cases.text("root"), ROOT);
    let blessed = cases.text("forecast");
    assert!(blessed.contains("status = 200 # wrong"), "{blessed}");
    let kept = |text: &str| text.split("[response]").next().unwrap().to_string();
    assert_eq!(kept(&blessed), kept(FORECAST));
    assert_eq!(cases.report("weather", &[]).await.0, Some(0));
}

#[tokio::test]
async fn json_in_a_case_is_a_text_or_a_table_of_toml() {
    let show = r#"
[request]
method = "POST"
path = "/api/show"
json = { name = "demo:latest" }

[[call]]
ollama = "POST /api/show"
json = '{"model":"demo:latest"}'
answer.json = { model_info = {} }

[response]
status = 200
json.model_info = {}
"#;
    let no_time = "[request]\npath = \"/\"\njson = { at = 2026-01-31 }\n";
    let cases = Cases::new(&[("show", show)]);
    let (code, report) = cases.report("ollama", &[]).await;
    assert_eq!(code, Some(0), "{report:#}");

    let wrong = Cases::new(&[("time", no_time)]);
    let output = wrong.run("ollama", &[]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("time.toml:3: error: json: there are no times in JSON"), "{told}");
}

#[tokio::test]
async fn what_bless_cannot_mend_stays_a_failure_and_says_why() {
    let printed = "log = [\"never printed\"]\nrequest.path = \"/\"\n[response]\nstatus = 200\n";
    let in_one_line = format!("call = []\n{ROOT}").replace("200", "201");
    let cases = Cases::new(&[("printed", printed), ("in-one-line", &in_one_line)]);
    let (code, report) = cases.report("weather", &["--bless"]).await;
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(case(&report, "printed")["verdict"], "blessed");
    assert_eq!(cases.text("printed"), printed.split_once('\n').unwrap().1);
    assert_eq!(case(&report, "in-one-line")["verdict"], "failed");
    let why = case(&report, "in-one-line")["not_blessed"].as_str().unwrap();
    assert!(why.contains("[[call]]"), "{why}");
    assert_eq!(cases.text("in-one-line"), in_one_line);
}

#[tokio::test]
async fn a_component_without_a_case_is_not_passed_over() {
    let cases = Cases::new(&[("root", ROOT)]);
    let root = cases.path();
    for name in ["weather", "ollama"] {
        let folder = root.join("components").join(name).join("cases");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::create_dir_all(root.join("target/components")).unwrap();
        let built = wasm_host_tests::host::component(name);
        let here = root.join(format!("target/components/{name}.wasm"));
        std::fs::copy(built, here).unwrap();
    }
    std::fs::copy(root.join("cases/root.toml"), root.join("components/weather/cases/root.toml"))
        .unwrap();
    let both = ["test", "components/weather", "components/ollama"];
    let output = cases.0.run(&both).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("there is no case in components/ollama/cases"), "{told}");
    let output = cases.0.run(&[&both[..], &["--filter", "weather/"]].concat()).await;
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn exit_codes_tell_failures_from_mistakes_and_from_no_case_at_all() {
    let cases = Cases::new(&[("root", ROOT)]);
    assert_eq!(cases.run("weather", &[]).await.status.code(), Some(0));
    assert_eq!(cases.run("weather", &["--filter", "nothing"]).await.status.code(), Some(1));
    assert_eq!(cases.run("weather", &["--jobs", "0"]).await.status.code(), Some(64));
    assert_eq!(cases.run("gone", &[]).await.status.code(), Some(64));
    assert_eq!(Cases::new(&[]).run("weather", &[]).await.status.code(), Some(1));
    let wrong = Cases::new(&[("a", "request.path = \"/\"\npaht = 1\n"), ("b", "request = 1\n")]);
    let output = wrong.run("weather", &[]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{told}");
    assert!(told.contains("a.toml:2: error: unknown field `paht`"), "{told}");
    assert!(told.contains("b.toml:1: error: "), "{told}");
}

#[tokio::test]
async fn build_servers_get_junit() {
    let cases = Cases::new(&[("forecast", FORECAST), ("root", ROOT)]);
    cases.run("weather", &["--junit", "report.xml"]).await;
    let xml = std::fs::read_to_string(cases.path().join("report.xml")).unwrap();
    for expected in [
        "<testsuites tests=\"2\" failures=\"1\"",
        "<testsuite name=\"weather\" tests=\"2\" failures=\"1\"",
        "<testcase classname=\"weather\" name=\"root\"",
        "<failure message=\"not as expected: response\">",
        "&quot;date&quot;: &quot;2026-02-01&quot;",
    ] {
        assert!(xml.contains(expected), "{expected} is not in:\n{xml}");
    }
}

#[tokio::test]
async fn the_same_result_in_any_order_and_number() {
    let cases: Vec<(String, String)> = (0..20)
        .map(|number| {
            let path = format!("request.path = \"/forecast?days={}\"\n", number % 14 + 1);
            let call = "[[call]]\nquery = \"select summary from weathersummaries\"\n\
                        answer.columns = [\"summary text\"]\nanswer.rows = [[\"Mild\"], [\"Hot\"]]\n";
            (format!("case-{number}"), format!("seed = {number}\n{path}{call}"))
        })
        .collect();
    let cases: Vec<(&str, &str)> = cases.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    let cases = Cases::new(&cases);
    assert_eq!(cases.run("weather", &["--bless"]).await.status.code(), Some(0));
    for seed in ["1", "2", "3"] {
        let (code, report) = cases.report("weather", &["--shuffle", seed, "--jobs", "8"]).await;
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(report["passed"], 20);
        assert_eq!(report["shuffle_seed"].to_string(), seed);
    }
}

#[tokio::test]
async fn the_folder_of_a_component_is_enough() {
    let cases = Cases::new(&[("root", ROOT)]);
    let root = cases.path();
    for folder in ["target/components", "components/weather"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let built = wasm_host_tests::host::component("weather");
    std::fs::copy(built, root.join("target/components/weather.wasm")).unwrap();
    std::fs::rename(root.join("cases"), root.join("components/weather/cases")).unwrap();
    let output = cases.0.run(&["test", "components/weather"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("weather/root  ok"), "{told}");
}
