//! kubectl, as a program that is run: with a deadline, and bounds on what it says.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use wasm_host_limits::deploy as limits;

/// One cluster and one namespace of it.
pub(super) struct Kubectl<'a> {
    pub context: &'a str,
    pub namespace: &'a str,
}

impl Kubectl<'_> {
    /// What it writes. The error has what it complains about.
    pub(super) async fn run(&self, arguments: &[&str], deadline: Duration) -> Result<String> {
        let mut command = Command::new("kubectl");
        command
            .args(["--context", self.context])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .context("cannot run kubectl; install it, or apply the files with another tool")?;
        let (out, complaints) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let (out, complaints, status) = tokio::join!(read(out), read(complaints), child.wait());
            anyhow::Ok((out?, complaints?, status?))
        };
        let what = arguments.first().copied().unwrap_or_default();
        let ended = timeout(deadline, ended).await;
        let (out, complaints, status) = ended
            .map_err(|_| anyhow!("kubectl {what} did not end within {} s", deadline.as_secs()))??;
        if !status.success() {
            let lines: Vec<_> = complaints.lines().take(limits::KUBECTL_LINES).collect();
            bail!("kubectl {what} failed: {}", lines.join("\n"));
        }
        Ok(out)
    }

    /// Objects of its namespace, as JSON.
    pub(super) async fn get(&self, kinds: &str, selector: &str) -> Result<Value> {
        let arguments = [
            "get",
            kinds,
            "-n",
            self.namespace,
            "-l",
            selector,
            "-o",
            "json",
            "--show-managed-fields",
        ];
        self.json(&arguments).await
    }

    /// What answers in JSON.
    pub(super) async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.run(arguments, limits::KUBECTL_TIMEOUT).await?;
        serde_json::from_str(&text).context("what kubectl answers is no JSON")
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limits::KUBECTL_BYTES).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 == limits::KUBECTL_BYTES {
        bail!("kubectl answers with more than {} bytes", limits::KUBECTL_BYTES);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
