//! A Prometheus that scrapes a host.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::host::Host;
use crate::{client, eventually, ports};

/// A running Prometheus.
pub struct Prometheus {
    _folder: TempDir,
    address: String,
    process: Child,
}

impl Prometheus {
    /// Scrape this host, as docs/telemetry.md says to.
    pub async fn start(host: &Host) -> Self {
        // Another process may have come first.
        for _ in 0..10 {
            let mut prometheus = Self::launch(host);
            if prometheus.is_up().await {
                return prometheus;
            }
        }
        panic!("Prometheus ends at once on every port")
    }

    fn launch(host: &Host) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], ports::reserve())).to_string();
        let token = host.control()["token"].as_str().unwrap().to_owned();
        std::fs::write(folder.path().join("token"), token).unwrap();
        let settings = format!(
            "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: wasm-host\n    \
             authorization: {{ credentials_file: {}/token }}\n    \
             static_configs: [{{ targets: [\"{}\"] }}]\n",
            folder.path().display(),
            host.admin
        );
        std::fs::write(folder.path().join("prometheus.yml"), settings).unwrap();
        let process = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is missing: `cargo xtask setup` installs it");
        Self { _folder: folder, address, process }
    }

    /// Wait until it answers; false if it ends instead.
    async fn is_up(&mut self) -> bool {
        eventually("Prometheus", async || {
            if self.process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let is_there = tokio::net::TcpStream::connect(&self.address).await.is_ok();
            is_there.then_some(true)
        })
        .await
    }

    /// The value of an expression, once there is one.
    pub async fn value(&self, expression: &str) -> f64 {
        let asked = format!("/api/v1/query?query={}", encoded(expression));
        eventually(expression, async || {
            let reply = client::send(&self.address, "GET", &asked, &[], "").await;
            if reply.status != 200 {
                // It still reads its own files.
                tokio::time::sleep(Duration::from_millis(50)).await;
                return None;
            }
            let answer = reply.json();
            let value: &Value = answer.pointer("/data/result/0/value/1")?;
            value.as_str()?.parse().ok()
        })
        .await
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `promtool check metrics` has to say of a text; empty if nothing.
pub fn complaints(metrics: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: `cargo xtask setup` installs it");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[judged.stdout, judged.stderr].concat()).into_owned();
    match judged.status.success() {
        true => said,
        false => format!("{}: {said}", judged.status),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
