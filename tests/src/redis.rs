//! A Redis server that a test starts, stops, and starts again, as an operator would: Debian's `redis-server`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::ports;
use crate::tls::Identity;

/// What it says when it serves.
const READY: &str = "Ready to accept connections";

/// The password of a server that has one.
pub const PASSWORD: &str = "pa55w0rd-of-nobody";

/// A server on a port of its own. What it has been told it keeps until it is dropped.
pub struct Redis {
    folder: TempDir,
    port: u16,
    kind: Kind,
    server: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Asking,
    Encrypted,
    Clustered,
}

impl Redis {
    /// One that lets anybody in.
    pub fn start() -> Self {
        Self::launch(Kind::Open, None)
    }

    /// One that asks for [`PASSWORD`].
    pub fn with_password() -> Self {
        Self::launch(Kind::Asking, None)
    }

    /// One that speaks nothing but TLS.
    pub fn with_tls(identity: &Identity) -> Self {
        Self::launch(Kind::Encrypted, Some(identity))
    }

    /// The only one of a cluster, which has all keys.
    pub fn in_a_cluster() -> Self {
        let server = Self::launch(Kind::Clustered, None);
        server.ask(&["cluster", "addslotsrange", "0", "16383"]);
        server
    }

    fn launch(kind: Kind, identity: Option<&Identity>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(identity) = identity {
            std::fs::write(folder.path().join("cert.pem"), &identity.certificate).unwrap();
            std::fs::write(folder.path().join("key.pem"), &identity.key).unwrap();
        }
        let mut redis = Self { folder, port: 0, kind, server: None };
        // Another process may have come first.
        for _ in 0..10 {
            redis.port = ports::reserve();
            if redis.run() {
                return redis;
            }
        }
        panic!("the server ends at once on every port")
    }

    /// `ip:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// As the application file has it.
    pub fn url(&self) -> String {
        let scheme = if self.kind == Kind::Encrypted { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address())
    }

    /// What it answers to a command.
    pub fn ask(&self, words: &[&str]) -> String {
        let mut client = Command::new("redis-cli");
        client.args(["-p", &self.port.to_string(), "--no-auth-warning"]);
        match self.kind {
            Kind::Open | Kind::Clustered => {}
            Kind::Asking => drop(client.args(["-a", PASSWORD])),
            Kind::Encrypted => drop(client.args(["--tls", "--insecure"])),
        }
        let output = client.args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// End it at once.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Let it do nothing, and close nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let server = self.server.as_ref().expect("it runs");
        kill_process(Pid::from_raw(server.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Start it again, with its data.
    pub fn resume(&mut self) {
        assert!(self.run(), "the server ends at once");
    }

    /// Start it on its port, and wait until it serves; false if it ends instead.
    fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let mut server = Command::new("redis-server");
        server.current_dir(self.folder.path());
        server.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
        match self.kind {
            Kind::Open => drop(server.args(["--port", &port])),
            Kind::Clustered => {
                // The port of the cluster's own is ten thousand above it.
                server.args(["--port", &port, "--cluster-enabled", "yes"]);
            }
            Kind::Asking => drop(server.args(["--port", &port, "--requirepass", PASSWORD])),
            Kind::Encrypted => {
                server.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
                server.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]);
                server.args(["--tls-ca-cert-file", "cert.pem"]);
            }
        }
        let server = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut server = server.expect("redis-server is missing: `cargo xtask setup` installs it");
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let is_ready = lines.any(|line| line.contains(READY));
        // It does not wait until its log is read.
        std::thread::spawn(move || lines.for_each(drop));
        match is_ready {
            true => self.server = Some(server),
            false => drop(server.wait()),
        }
        is_ready
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
