//! A collector of OpenTelemetry's protocol that prints what it is sent: Rotel, of PyPI.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::host::root;
use crate::{eventually, ports};

/// A running collector.
pub struct Rotel {
    folder: TempDir,
    process: Child,
    /// Where it takes OTLP over gRPC, and over HTTP.
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

impl Rotel {
    pub async fn start() -> Self {
        // Another process may have come first.
        for _ in 0..10 {
            let mut rotel = Self::launch();
            if rotel.is_up().await {
                return rotel;
            }
        }
        panic!("the collector ends at once on every port")
    }

    fn launch() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [grpc, http] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], ports::reserve())));
        let printed = File::create(folder.path().join("printed")).unwrap();
        let mut rotel = Command::new(program());
        rotel.args(["start", "--exporter", "blackhole", "--debug-log-verbosity", "detailed"]);
        for signal in ["traces", "metrics", "logs"] {
            rotel.args(["--debug-log", signal]);
        }
        rotel.args(["--otlp-grpc-endpoint", &grpc.to_string()]);
        rotel.args(["--otlp-http-endpoint", &http.to_string()]);
        rotel.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
        let process = rotel.spawn().expect("rotel is missing: `cargo xtask setup` installs it");
        Self { folder, process, grpc, http }
    }

    /// Wait until it listens on both; false if it ends instead.
    async fn is_up(&mut self) -> bool {
        eventually("the collector", async || {
            if self.process.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let is_there = async |at| tokio::net::TcpStream::connect(at).await.is_ok();
            (is_there(self.grpc).await && is_there(self.http).await).then_some(true)
        })
        .await
    }

    /// All that it has printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("printed")).unwrap()
    }
}

fn program() -> PathBuf {
    root().join("target/opentelemetry/rotel/rotel-agent")
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
