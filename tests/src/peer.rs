//! A server outside the host that is none of ours: Python's own, which says what it is told of traces.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::host::root;
use crate::within;

/// A running server. It ends with this.
pub struct Peer {
    /// `http://ip:port`
    pub url: String,
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Peer {
    pub async fn start() -> Self {
        let mut process = Command::new("python3")
            .arg(root().join("tests/opentelemetry/peer.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("python3 starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = within("the server's address", lines.next_line()).await.unwrap();
        Self { url: url.expect("an address"), lines, _process: process }
    }

    /// What the next request for this path says: an object with the values of each header.
    pub async fn asked(&mut self, path: &str) -> Value {
        loop {
            let line = within(path, self.lines.next_line()).await.unwrap();
            let said: Value = serde_json::from_str(&line.expect("a request")).unwrap();
            // A host asks by itself whether a model server is there.
            if said["path"] == path {
                return said;
            }
        }
    }
}
