//! A component that misbehaves fails its own case, within its deadline, and the run goes on.

use super::{Cases, case};

const FINE: &str = "request.path = \"/env\"\n[response]\nstatus = 200\n";

#[tokio::test]
async fn loops_traps_and_memory_fail_their_own_case_and_the_run_goes_on() {
    let cases = Cases::new(&[
        ("a-loop", "timeout = \"500ms\"\nrequest.path = \"/loop\"\n[response]\nstatus = 200\n"),
        ("b-trap", "request.path = \"/trap\"\n[response]\nstatus = 200\n"),
        ("c-memory", "request.path = \"/grow\"\n[response]\nstatus = 200\n"),
        ("d-body", "request.path = \"/trap-in-body\"\n[response]\nstatus = 200\n"),
        ("e-fine", FINE),
    ]);
    let (code, report) = cases.report("hostile", &["--jobs", "1"]).await;
    assert_eq!(code, Some(1));
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &4.into()), "{report:#}");
    assert_eq!(case(&report, "a-loop")["end"], "computing");
    assert_eq!(case(&report, "b-trap")["end"], "trap");
    assert!(case(&report, "b-trap")["backtrace"].as_str().unwrap().contains("wasm backtrace"));
    assert!(case(&report, "c-memory")["log"].as_str().unwrap().contains("memory allocation"));
    assert_eq!(case(&report, "d-body")["end"], "trap");
    assert_eq!(case(&report, "e-fine")["verdict"], "passed");
}

#[tokio::test]
async fn a_trap_can_be_what_is_expected() {
    let cases = Cases::new(&[
        (
            "trap",
            "request.path = \"/trap\"\n[response]\nend = \"trap\"\nreason = \"unreachable\"\n",
        ),
        (
            "body",
            "request.path = \"/fail-in-body\"\n[response]\nstatus = 200\ntext = \"half of it\"\n\
             end = \"error\"\nreason = \"the rest is gone\"\n",
        ),
    ]);
    let (code, report) = cases.report("hostile", &[]).await;
    assert_eq!(code, Some(0), "{report:#}");
}

#[tokio::test]
async fn every_case_has_an_instance_of_its_own() {
    let count = "request.path = \"/count\"\n[response]\nstatus = 200\ntext = \"1\"\n";
    let cases = Cases::new(&[("a", count), ("b", count), ("c", count)]);
    assert_eq!(cases.report("hostile", &["--jobs", "1"]).await.0, Some(0));
}

#[tokio::test]
async fn ten_minutes_of_silence_take_no_time() {
    let cases = Cases::new(&[(
        "stall",
        r#"
request.path = "/forecast?days=1"
[[call]]
query = "select summary from weathersummaries"
answer.columns = ["summary text"]
answer.rows = [["Mild"], { after = "10m" }, ["Hot"]]
[response]
status = 200
"#,
    )]);
    let began = std::time::Instant::now();
    let (code, report) = cases.report("weather", &[]).await;
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(case(&report, "stall")["virtual_milliseconds"], 600_000);
    assert!(began.elapsed().as_secs() < 300);
}

#[tokio::test]
async fn a_wait_for_nothing_ends_with_the_case_s_patience() {
    let cases = Cases::new(&[(
        "silent",
        "patience = \"30m\"\nrequest.path = \"/silent\"\n[response]\nstatus = 200\n",
    )]);
    let (code, report) = cases.report("hostile", &[]).await;
    assert_eq!(code, Some(1));
    assert_eq!(case(&report, "silent")["end"], "waiting");
    assert_eq!(case(&report, "silent")["virtual_milliseconds"], 1_800_000);
}

#[tokio::test]
async fn what_a_component_waits_for_passes_in_virtual_time() {
    // A drop every 20 ms of the component's own waiting.
    let cases = Cases::new(&[(
        "drip",
        r#"
request.path = "/drip"
request.leave-after-bytes = 11
[response]
status = 200
chunks = [
    { at = "0s", text = "drip\n" },
    { at = "20ms", text = "drip\n" },
    { at = "40ms", text = "d" },
]
"#,
    )]);
    let (code, report) = cases.report("hostile", &[]).await;
    assert_eq!(code, Some(0), "{report:#}");
}

#[tokio::test]
async fn a_component_that_would_not_wait_any_longer_does_not_in_a_test_either() {
    for (name, request, told) in [
        ("caller-p2", "path = \"/5000?http://other/x\"", "HttpResponseTimeout"),
        (
            "caller",
            "path = \"/fetch?http://other/x\"\nheaders = { x-first-byte = \"5000\" }",
            "HttpResponseTimeout",
        ),
    ] {
        let case_text = format!(
            "[request]\n{request}\n[[call]]\nhttp = \"GET http://other/x\"\nanswer.after = \"10m\"\n\
             cancelled = true\n"
        );
        let cases = Cases::new(&[("waits", &case_text)]);
        let (code, report) = cases.report(name, &["--bless"]).await;
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(case(&report, "waits")["virtual_milliseconds"], 5000, "{report:#}");
        assert!(cases.text("waits").contains(told), "{}", cases.text("waits"));
    }
}

#[tokio::test]
async fn a_call_fails_with_the_error_that_the_case_names() {
    for (why, told) in [("connection-timeout", "ConnectionTimeout"), ("gone", "Unavailable")] {
        let case_text = format!(
            "request.path = \"/fetch?http://other/x\"\n[[call]]\nhttp = \"GET http://other/x\"\n\
             answer.unreachable = \"{why}\"\n"
        );
        let cases = Cases::new(&[("fails", &case_text)]);
        let (code, report) = cases.report("caller", &["--bless"]).await;
        assert_eq!(code, Some(0), "{report:#}");
        assert!(cases.text("fails").contains(told), "{}", cases.text("fails"));
    }
}
