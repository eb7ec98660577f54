//! Images: the host's own, and a container engine that runs them.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::host::{binary, root};
use crate::{PATIENCE, eventually, within};

/// The host of the tests as it would be shipped, without symbols, and the image that it makes of itself. Made once.
pub struct Base {
    pub program: PathBuf,
    pub layout: PathBuf,
    /// What the command said.
    pub said: String,
}

pub async fn base() -> &'static Base {
    static BASE: OnceCell<Base> = OnceCell::const_new();
    BASE.get_or_init(|| async {
        let folder = root().join("target/tests/image");
        std::fs::create_dir_all(&folder).unwrap();
        let (program, layout) = (folder.join("wasm-host"), folder.join("base"));
        let mut strip = Command::new("strip");
        output(strip.arg("-o").arg(&program).arg(binary())).await;
        let mut made = Command::new(&program);
        made.args(["image", "base", "--output"]).arg(&layout);
        let made = output(&mut made).await;
        let said = String::from_utf8([made.stdout, made.stderr].concat()).unwrap();
        Base { program, layout, said }
    })
    .await
}

/// Docker's engine, on a socket of its own, without networks: a container has the machine's, or none.
pub struct Docker {
    folder: TempDir,
    _daemon: Child,
}

impl Docker {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut daemon = Command::new("dockerd");
        daemon.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("exec"));
        daemon.arg("--pidfile").arg(path("pid")).arg("--host").arg(socket(folder.path()));
        daemon.args(["--bridge=none", "--iptables=false"]);
        daemon.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let daemon =
            daemon.spawn().expect("dockerd is missing: `cargo xtask test containers` installs it");
        let docker = Self { folder, _daemon: daemon };
        eventually("the engine to answer", async || {
            let asked = docker.command(&["version"]).output().await;
            asked.is_ok_and(|asked| asked.status.success()).then_some(())
        })
        .await;
        docker
    }

    /// Run `docker`, which must succeed, and give what it prints.
    pub async fn run(&self, arguments: &[&str]) -> String {
        String::from_utf8(output(&mut self.command(arguments)).await.stdout).unwrap()
    }

    /// All that a container has said.
    pub async fn logs(&self, container: &str) -> String {
        let said = output(&mut self.command(&["logs", container])).await;
        String::from_utf8([said.stdout, said.stderr].concat()).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut docker = Command::new("docker");
        docker.arg("--host").arg(socket(self.folder.path())).args(arguments);
        // Logins of this machine are none of the test's.
        docker.env("DOCKER_CONFIG", self.folder.path());
        docker.stdin(Stdio::null()).kill_on_drop(true);
        docker
    }

    /// End it, with all of its containers.
    pub async fn stop(mut self) {
        let containers = self.run(&["ps", "--all", "--quiet"]).await;
        for container in containers.lines() {
            self.run(&["rm", "--force", container]).await;
        }
        let daemon = &mut self._daemon;
        if let Some(id) = daemon.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        within("the engine to end", daemon.wait()).await.unwrap();
    }
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("sock").display())
}

/// Run a program, which must succeed.
pub(crate) async fn output(command: &mut Command) -> Output {
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(3 * PATIENCE, run).await.expect("it ends in time");
    let ended = ended.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{command:?}: {said}");
    ended
}
