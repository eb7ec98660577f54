//! kubectl, as a program that is run: with a deadline, and bounds on what it says.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

use wasm_host_deploy::kubernetes::MANAGER;
use wasm_host_limits::deploy as limits;
use wasm_host_system::printable::Printable;

/// The server says what it would do, and does nothing.
pub(super) const TRIED: &str = "--dry-run=server";

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
            bail!("kubectl {what} failed: {}", shown(&complaints));
        }
        // Such as of what a cluster will not take much longer. Questions are asked again and again.
        if what == "apply" && !complaints.trim().is_empty() && !arguments.contains(&TRIED) {
            say(&complaints);
        }
        Ok(out)
    }

    /// Applies an overlay on the side of the server under our field manager. What others have set there stays.
    pub(super) async fn apply(&self, overlay: &str, also: &[&str]) -> Result<String> {
        let manager = format!("--field-manager={MANAGER}");
        let arguments = ["apply", "--server-side", &manager, "-k", overlay];
        self.run(&[&arguments, also].concat(), limits::KUBECTL_APPLY_TIMEOUT).await
    }

    /// The names of a Secret's keys, none if there is no such Secret. Its values are not asked for.
    pub(super) async fn keys_of_secret(&self, name: &str) -> Result<Keys> {
        let keys = format!(
            "go-template={{{{range $key, $_ := .data}}}}{{{{$key}}}} {{{{end}}}}{{{{\"\\n\"}}}}{{{{range .metadata.managedFields}}}}\
             {{{{if and (eq .manager \"{MANAGER}\") (eq .operation \"Apply\")}}}}{{{{range $key, $_ := (index .fieldsV1 \
             \"f:data\")}}}}{{{{$key}}}} {{{{end}}}}{{{{end}}}}{{{{end}}}}"
        );
        let arguments =
            ["get", "secret", name, "-n", self.namespace, "--ignore-not-found", "-o", &keys];
        let said = self.run(&arguments, limits::KUBECTL_TIMEOUT).await?;
        Ok(Keys::read(&said))
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

/// Tells what a cluster says: so many lines and so much of each, which command no terminal.
pub(super) fn say(text: &str) {
    eprintln!("{}", shown(text));
}

fn shown(text: &str) -> String {
    let mut lines = text.trim_end().lines();
    let mut shown = String::new();
    for line in lines.by_ref().take(limits::KUBECTL_LINES) {
        if !shown.is_empty() {
            shown.push('\n');
        }
        // A string takes everything.
        let _ = Printable::new(&mut shown, limits::KUBECTL_LINE_BYTES).write_str(line);
    }
    match lines.count() {
        0 => shown,
        more => format!("{shown}\n… and {more} more lines"),
    }
}

/// The keys of a Secret by name.
#[derive(Default)]
pub(super) struct Keys {
    all: Vec<String>,
    /// Those that an earlier deployment applied: the next one takes away what it does not apply, too.
    ours: Vec<String>,
}

impl Keys {
    /// A line with all keys, and one with the fields that are ours.
    fn read(said: &str) -> Self {
        let (all, ours) = said.split_once('\n').unwrap_or((said, ""));
        let ours = ours.split_whitespace().filter_map(|field| field.strip_prefix("f:"));
        Self {
            all: all.split_whitespace().map(str::to_owned).collect(),
            ours: ours.map(str::to_owned).collect(),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.all.iter().any(|key| key == name)
    }

    pub(super) fn has_of_ours(&self, name: &str) -> bool {
        self.has(name) && self.ours.iter().any(|key| key == name)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cluster_says_has_an_end_and_commands_no_terminal() {
        assert_eq!(shown("Warning: \u{1b}[2Jx\n"), "Warning: \\u{1b}[2Jx");
        let long = format!("{}\n", "x".repeat(limits::KUBECTL_LINE_BYTES + 9)).repeat(70);
        let said = shown(&long);
        assert_eq!(said.lines().count(), limits::KUBECTL_LINES + 1);
        assert!(said.lines().all(|line| line.len() <= limits::KUBECTL_LINE_BYTES + '…'.len_utf8()));
        assert!(
            said.ends_with(&format!("… and {} more lines", 70 - limits::KUBECTL_LINES)),
            "{said}"
        );
    }
}
