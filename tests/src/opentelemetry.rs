//! A program in Python that OpenTelemetry's own library traces.

use std::process::Stdio;

use tokio::process::Command;

use crate::host::root;
use crate::within;

/// What the program said at its end.
pub struct ProgramReport {
    pub trace: String,
    /// What its library had to complain of.
    pub complaints: String,
}

/// Ask for `url`, and send what is seen of that to `collector` with `key`.
pub async fn ask(url: &str, collector: &str, key: &str) -> ProgramReport {
    let asks = Command::new("python3")
        .arg(root().join("tests/opentelemetry/asks.py"))
        .arg(url)
        .env("PYTHONPATH", root().join("target/opentelemetry"))
        .env("OTEL_SERVICE_NAME", "walker")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{collector}"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{key}"))
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("no_proxy", "*")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let told = within("the program in Python", asks).await.expect("python3 starts");
    let complaints = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(
        told.status.success(),
        "{}: {complaints} (`cargo xtask setup` installs its library)",
        told.status
    );
    ProgramReport { trace: String::from_utf8_lossy(&told.stdout).trim().to_owned(), complaints }
}
