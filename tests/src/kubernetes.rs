//! The tools of Kubernetes, as `cargo xtask setup` brings them: kubectl with kustomize, helm, and the published schemas.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::host::root;
use crate::within;

fn folder() -> PathBuf {
    root().join("target/kubernetes")
}

/// What a tool writes to standard output; it ends well, or the test with its complaints.
async fn run(command: &mut Command, what: &str) -> String {
    let ran = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = within(what, ran).await;
    let ended =
        ended.unwrap_or_else(|why| panic!("{what}: {why} (`cargo xtask setup` installs it)"));
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{what}: {complaints}");
    String::from_utf8(ended.stdout).unwrap()
}

/// What `kubectl kustomize` makes of a folder.
pub async fn kustomize(overlay: &Path) -> String {
    let mut kubectl = Command::new(folder().join("bin/kubectl"));
    run(kubectl.arg("kustomize").arg(overlay), "kubectl kustomize").await
}

/// What helm says of a chart or makes of it, away from any cluster and from who runs it.
pub async fn helm(arguments: &[&str], chart: &Path) -> String {
    let mut helm = Command::new(folder().join("bin/helm"));
    let home = tempfile::tempdir().unwrap();
    helm.args(arguments).arg(chart).env("HOME", home.path()).env("KUBECONFIG", "/dev/null");
    run(&mut helm, "helm").await
}

/// The objects in texts of YAML, each of them right by the schemas of Kubernetes 1.28 to 1.37.
pub async fn validated(texts: &[&str]) -> Vec<Vec<Value>> {
    let files = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    let mut python = python("validates.py");
    for (index, text) in texts.iter().enumerate() {
        let path = files.path().join(format!("{index}.yaml"));
        std::fs::write(&path, format!("{text}\n---\nkind: End\n")).unwrap();
        python.arg(path);
    }
    let lines = run(&mut python, "the schemas of Kubernetes").await;
    let mut objects = Vec::new();
    for line in lines.lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        match object["kind"] == "End" {
            true => all.push(std::mem::take(&mut objects)),
            false => objects.push(object),
        }
    }
    all
}

fn python(script: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg(root().join("tests/kubernetes").join(script)).env("PYTHONPATH", folder());
    python
}
