//! A pgbouncer in front of a server.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{Postgres, account, command, psql, succeeded};
use crate::tls::Identity;
use crate::{PATIENCE, ports};

/// A running pooler that lets everybody in.
pub struct Pooler {
    _folder: TempDir,
    port: u16,
    process: Child,
}

impl Pooler {
    /// In front of this server, with these lines in its file. Without any, it does what it does by default.
    pub fn start(postgres: &Postgres, settings: &str) -> Self {
        Self::run(postgres, settings, None)
    }

    /// The same, for those who encrypt.
    pub fn start_encrypted(postgres: &Postgres, settings: &str, identity: &Identity) -> Self {
        Self::run(postgres, settings, Some(identity))
    }

    fn run(postgres: &Postgres, settings: &str, identity: Option<&Identity>) -> Self {
        // Another process may have come first.
        for _ in 0..10 {
            let mut pooler = Self::launch(postgres, settings, identity);
            if pooler.is_up() {
                return pooler;
            }
        }
        panic!("the pooler ends at once on every port")
    }

    fn launch(postgres: &Postgres, settings: &str, identity: Option<&Identity>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, port, server) = (folder.path().display(), ports::reserve(), postgres.port);
        let mut text = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {path}/users\n{settings}\n"
        );
        let mut files = vec![("users", "\"app\" \"\"\n")];
        if let Some(Identity { certificate, key }) = identity {
            files.extend([("certificate", certificate.as_str()), ("key", key)]);
            text.push_str("client_tls_sslmode = require\n");
            text.push_str(&format!("client_tls_cert_file = {path}/certificate\n"));
            text.push_str(&format!("client_tls_key_file = {path}/key\n"));
        }
        files.push(("settings", &text));
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        if let Some(id) = account() {
            chown(folder.path(), Some(id), Some(id)).unwrap();
        }
        let process = command(program())
            .arg(folder.path().join("settings"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is missing: `cargo xtask setup` installs it");
        Self { _folder: folder, port, process }
    }

    pub fn url(&self) -> String {
        format!("postgres://app@{}/postgres", self.address())
    }

    /// `ip:port`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Run statements as another client of the pooler does, each by itself.
    pub fn sql(&self, statements: &[&str]) -> String {
        let output = psql(&self.url(), statements);
        succeeded(&statements.join("; "), &output);
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Wait until it serves; false if it ends instead.
    fn is_up(&mut self) -> bool {
        let started = Instant::now();
        while psql(&self.url(), &["select 1"]).stdout != b"1\n" {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(started.elapsed() < PATIENCE, "the pooler does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The one that `PGBOUNCER` names, to try other versions. Debian keeps its own off the path of plain users.
fn program() -> String {
    let debian = "/usr/sbin/pgbouncer";
    let found = if Path::new(debian).exists() { debian } else { "pgbouncer" };
    std::env::var("PGBOUNCER").unwrap_or_else(|_| found.to_string())
}
