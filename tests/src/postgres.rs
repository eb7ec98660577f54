//! A Postgres server that a test starts, stops and starts again, as an operator would, and a pooler in front of it.

pub mod pooler;
pub mod scripted;

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

use crate::{PATIENCE, ports};

/// A server on a port of its own that asks no account for a password but members of the role `asked`.
pub struct Postgres {
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// A new, running server.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(id) = account() {
            chown(folder.path(), Some(id), Some(id)).unwrap();
        }
        let mut postgres = Self { folder, port: 0, server: None };
        let data = postgres.data();
        let made = program("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "app",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-sync",
                "-D",
            ])
            .arg(data)
            .output();
        succeeded("initdb", &made.unwrap());
        let rules = postgres.data().join("pg_hba.conf");
        let rest = std::fs::read_to_string(&rules).unwrap();
        let asked = "host all +asked 127.0.0.1/32 scram-sha-256";
        std::fs::write(rules, format!("{asked}\n{rest}")).unwrap();
        // Another process may have come first.
        for _ in 0..10 {
            postgres.port = ports::reserve();
            if postgres.run() {
                return postgres;
            }
        }
        panic!("the server ends at once on every port")
    }

    pub fn url(&self) -> String {
        format!("postgres://app@127.0.0.1:{}/postgres", self.port)
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `ip:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process of the running server; each session is a child of it.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Let in who wants encryption with encryption, from now on.
    pub fn encrypt(&mut self, certificate: &str, key: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        self.stop();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.data().join(name);
            std::fs::write(&path, text).unwrap();
            // The server takes no key that others could read.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if let Some(id) = account() {
                chown(&path, Some(id), Some(id)).unwrap();
            }
        }
        let settings = self.data().join("postgresql.auto.conf");
        std::fs::write(settings, "ssl = on\n").unwrap();
        self.resume();
    }

    /// Run a statement as an operator would.
    pub fn sql(&self, statement: &str) -> String {
        let output = self.asked(statement);
        succeeded(statement, &output);
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Stop it: what runs is cut off.
    /// Run a shell script as the image of Postgres runs those of a new server, with these variables besides.
    pub fn script(&self, text: &str, variables: &[(&str, &str)]) {
        let psql = program("psql");
        let mut shell = Command::new("sh");
        let folder = Path::new(psql.get_program()).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        shell
            .args(["-c", text])
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("POSTGRES_USER", "app")
            .envs(variables.iter().copied());
        succeeded("the script", &shell.output().unwrap());
    }

    pub fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// End it at once, as if it had crashed: sessions are told nothing, and it recovers when it starts again.
    pub fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    fn end(&mut self, how: Signal) {
        let Some(mut server) = self.server.take() else { return };
        let pid = Pid::from_raw(server.id().cast_signed()).unwrap();
        // A server that is gone already has ended.
        let _ = kill_process(pid, how);
        server.wait().unwrap();
    }

    /// Start it again, with its data.
    pub fn resume(&mut self) {
        assert!(self.run(), "the server ends at once");
    }

    /// Start it on its port, and wait until it serves; false if it ends instead.
    fn run(&mut self) -> bool {
        let child = program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-k"])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(child.unwrap());
        let started = std::time::Instant::now();
        while !self.answers() {
            if self.server.as_mut().unwrap().try_wait().unwrap().is_some() {
                self.server = None;
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "the server does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Whether it is this one that answers: on a port that was taken it is another.
    fn answers(&self) -> bool {
        let folder = self.asked("show data_directory").stdout;
        Path::new(String::from_utf8(folder).unwrap().trim()) == self.data()
    }

    fn asked(&self, statement: &str) -> Output {
        psql(&self.url(), &[statement])
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The server refuses to run as root.
fn account() -> Option<u32> {
    if !getuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let id = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        line.split(':').nth(2)?.parse().ok()
    };
    id("postgres").or_else(|| id("nobody"))
}

/// Run statements as the administrator of a server that does not run.
pub fn offline(data: &Path, database: &str, statements: &[&str]) {
    let mut server = program("postgres")
        .args(["--single", "-j", "-D"])
        .arg(data)
        .args(["-c", "exit_on_error=on", database])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // With `-j`, a statement ends with an empty line.
    let text = format!("{};\n\n", statements.join(";\n\n"));
    server.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    succeeded("a server alone", &server.wait_with_output().unwrap());
}

/// Run statements, one after the other.
fn psql(url: &str, statements: &[&str]) -> Output {
    let mut psql = program("psql");
    // What has the port may be something that says nothing.
    psql.env("PGCONNECT_TIMEOUT", "10").args([url, "-XAtq"]);
    // It would look for certificates in the home of an account that is another.
    psql.env_remove("HOME");
    psql.args(["-v", "ON_ERROR_STOP=1"]);
    for statement in statements {
        psql.args(["-c", statement]);
    }
    psql.output().unwrap()
}

fn program(name: &str) -> Command {
    command(find(name))
}

/// Under an account that servers accept.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some(id) = account() {
        command.uid(id).gid(id);
    }
    command
}

/// In the newest version that is installed, else in the path.
fn find(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| Path::new(name).to_path_buf())
}

fn succeeded(what: &str, output: &Output) {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}
