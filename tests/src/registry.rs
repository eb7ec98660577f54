//! A real registry: Debian's `docker-registry`, on a port that it takes itself.

use std::fs;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::tls::Identity;
use crate::{PATIENCE, within};

/// The user that a registry with logins knows, and the password.
pub const USER: &str = "anna";
pub const PASSWORD: &str = "s3cret";

/// Both as `htpasswd -B` writes them.
const HTPASSWD: &str = "anna:$2y$04$ofjVnHyOHmTvcTT6DAICGOU8qZFuoyknvx.jca8uDa0zrLHygsWuK\n";

/// What the registry says when it has its port.
const LISTENS: &str = "listening on 127.0.0.1:";

/// A running registry. Its content goes with it.
pub struct Registry {
    folder: TempDir,
    /// `ip:port`
    pub address: String,
    _process: Child,
    _log: JoinHandle<()>,
}

impl Registry {
    /// One that anybody may read from and write to, in clear text.
    pub async fn start() -> Self {
        Self::launch("", None).await
    }

    /// One that lets only [`USER`] in.
    pub async fn with_login() -> Self {
        let auth = "auth: { htpasswd: { realm: test, path: htpasswd } }\n";
        Self::launch(auth, None).await
    }

    /// One that speaks TLS.
    pub async fn with_tls(identity: &Identity) -> Self {
        Self::launch("", Some(identity)).await
    }

    async fn launch(auth: &str, identity: Option<&Identity>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let mut tls = "";
        if let Some(identity) = identity {
            put("cert.pem", &identity.certificate);
            put("key.pem", &identity.key);
            tls = ", tls: { certificate: cert.pem, key: key.pem }";
        }
        put("htpasswd", HTPASSWD);
        put(
            "config.yml",
            &format!(
                "version: 0.1\nlog: {{ level: info }}\nstorage: {{ filesystem: {{ rootdirectory: content }}, \
                 delete: {{ enabled: true }} }}\nhttp: {{ addr: \"127.0.0.1:0\", secret: test{tls} }}\n{auth}"
            ),
        );
        let mut process = Command::new("docker-registry")
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry is missing: `cargo xtask setup` installs it");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = within("the registry's port", async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once(LISTENS) {
                    return rest.chars().take_while(char::is_ascii_digit).collect::<String>();
                }
                said.push_str(&line);
            }
            panic!("the registry ended: {said}")
        })
        .await;
        // It waits for nobody who reads its log.
        let log = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = format!("127.0.0.1:{port}");
        Self { folder, address, _process: process, _log: log }
    }

    /// Change what it has stored under a digest: a damaged disk.
    pub fn damage(&self, digest: &str) {
        let path = self.blob(digest);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.last_mut().unwrap();
        *last = last.wrapping_add(1);
        fs::write(path, bytes).unwrap();
    }

    fn blob(&self, digest: &str) -> std::path::PathBuf {
        let digits = digest.strip_prefix("sha256:").unwrap();
        let place = format!("docker/registry/v2/blobs/sha256/{}/{digits}/data", &digits[..2]);
        self.folder.path().join("content").join(place)
    }
}

/// Run `skopeo`, which must succeed, and give what it prints.
pub async fn skopeo(arguments: &[&str]) -> String {
    let skopeo =
        Command::new("skopeo").args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(PATIENCE, skopeo).await.expect("skopeo ends in time");
    let ended = ended.expect("skopeo is missing: `cargo xtask setup` installs it");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "skopeo {arguments:?}: {said}");
    String::from_utf8(ended.stdout).unwrap()
}
