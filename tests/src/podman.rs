//! Podman with storage, networks and settings of its own, which plays generated pods. Nothing is pulled: images come
//! from a registry of the test, or are made here.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::host::root;
use crate::images::output;

/// `crun` does not fit the control groups of all machines that run tests, and a machine need have no systemd. Limits of
/// processes are small ones, as containers of this test run beside other tests.
const SETTINGS: &str = r#"[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
events_logger = "file"
cgroup_manager = "cgroupfs"
"#;

pub struct Podman {
    folder: TempDir,
}

impl Podman {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let networks = folder.path().join("networks");
        let settings = format!(
            "{SETTINGS}[network]\nnetwork_backend = \"netavark\"\nnetwork_config_dir = \"{}\"\n",
            networks.display()
        );
        std::fs::write(folder.path().join("containers.conf"), settings).unwrap();
        std::fs::write(folder.path().join("auth.json"), "{}").unwrap();
        Self { folder }
    }

    /// Run `podman`, which must succeed, and give what it prints.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let mut podman = Command::from(self.command(arguments));
        String::from_utf8(output(&mut podman).await.stdout).unwrap()
    }

    /// The same with a command as a user types it: `podman …`, where its paths begin in `folder`.
    pub async fn typed(&self, line: &str, folder: &Path) -> String {
        let words: Vec<_> = line.split_whitespace().collect();
        let arguments = words.strip_prefix(&["podman"]).expect("a command of podman");
        let mut podman = self.command(arguments);
        podman.current_dir(folder);
        String::from_utf8(output(&mut Command::from(podman)).await.stdout).unwrap()
    }

    /// All that a container has said.
    pub async fn logs(&self, container: &str) -> String {
        let said = output(&mut Command::from(self.command(&["logs", container]))).await;
        String::from_utf8([said.stdout, said.stderr].concat()).unwrap()
    }

    /// The process of a container, as this machine sees it.
    pub async fn pid(&self, container: &str) -> i32 {
        let pid = self.run(&["inspect", "--format", "{{.State.Pid}}", container]).await;
        pid.trim().parse().expect("a process")
    }

    /// The address of a pod in its network.
    pub async fn address(&self, pod: &str) -> String {
        let infra = self.run(&["pod", "inspect", "--format", "{{.InfraContainerID}}", pod]).await;
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.run(&["inspect", "--format", format, infra.trim()]).await.trim().to_owned()
    }

    /// An image called as that of Postgres, with the programs of this machine.
    pub async fn make_postgres(&self, name: &str) {
        let archive = self.folder.path().join("postgres.tar");
        let mut script = Command::new("sh");
        script.arg(root().join("tests/kubernetes/postgres-image.sh"));
        std::fs::write(&archive, output(&mut script).await.stdout).unwrap();
        let mut import = vec!["import"];
        for change in [
            "ENTRYPOINT [\"/entrypoint\"]",
            "USER 999",
            "ENV PATH=/postgres:/bin",
            "ENV PGDATA=/var/lib/postgresql/data",
        ] {
            import.extend(["--change", change]);
        }
        import.extend([archive.to_str().unwrap(), name]);
        self.run(&import).await;
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let path = |name: &str| self.folder.path().join(name);
        let mut podman = std::process::Command::new("podman");
        podman.arg("--root").arg(path("root")).arg("--runroot").arg(path("run"));
        podman.arg("--tmpdir").arg(path("tmp")).arg("--log-level=error").args(arguments);
        podman.env("CONTAINERS_CONF", path("containers.conf")).env("DISABLE_HC_SYSTEMD", "true");
        // Logins of this machine are none of the test's.
        podman.env("REGISTRY_AUTH_FILE", path("auth.json"));
        podman.stdin(Stdio::null());
        podman
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}

/// Containers are no children of the test, and none outlives it.
impl Drop for Podman {
    fn drop(&mut self) {
        for arguments in [
            &["pod", "rm", "--force", "--all", "--time=0"][..],
            &["volume", "rm", "--force", "--all"],
            &["network", "prune", "--force"],
            &["system", "reset", "--force"],
        ] {
            let ended =
                self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
            if let Err(error) = ended {
                eprintln!("podman {arguments:?}: {error}");
            }
        }
    }
}
