//! Static files, small and large, against nginx.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{Subject, compare, take_turns};
use crate::Setting;
use crate::client;
use crate::figures::{Bar, Row};
use crate::hosts::Application;

const FILES: [(&str, usize); 2] = [("1 kB", 1000), ("1 MB", 1_000_000)];

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    // The files are readable for nginx's workers, who are nobody when root starts them.
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    for (_, bytes) in FILES {
        fs::write(folder.path().join(format!("{bytes}.bin")), vec![b'x'; bytes])?;
    }
    let table = format!("[service.files]\nstatic = \"{}\"\n", folder.path().display());
    let application = Application::new(setting, &table)?;
    let host = application.serve().await?;
    let nginx = match &setting.run.nginx {
        Some(program) => Some(Nginx::start(program, folder.path()).await?),
        None => None,
    };

    let mut subjects = Vec::new();
    for (size, bytes) in FILES {
        let path = format!("/files/{bytes}.bin");
        ensure!(client::get(&host.address, &path).await?.len() == bytes, "{path} is not whole");
        subjects.push(Subject::new(format!("host, {size}"), &host.address, &path));
        if let Some(nginx) = &nginx {
            let path = format!("/{bytes}.bin");
            ensure!(client::get(&nginx.address, &path).await?.len() == bytes, "nginx: {path}");
            subjects.push(Subject::new(format!("nginx, {size}"), &nginx.address, &path));
        }
    }
    let mut rows = take_turns(setting.effort, &subjects).await?;
    compare(&mut rows, "host, 1 kB", "nginx, 1 kB", None);
    compare(&mut rows, "host, 1 MB", "nginx, 1 MB", Some(Bar::AtLeast(0.7)));
    if let Some(nginx) = nginx {
        nginx.stop().await?;
    }
    host.stop().await?;
    Ok(rows)
}

/// nginx with a configuration of its own, in the foreground.
struct Nginx {
    child: Child,
    address: String,
    _prefix: TempDir,
}

/// As the distribution sets it up, but for the access log, which the host does not have either.
const CONFIGURATION: &str = "daemon off; pid nginx.pid; error_log stderr warn; worker_processes auto;
events { worker_connections 1024; }
http {
  types { } default_type application/octet-stream;
  sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_timeout 65; keepalive_requests 1000000000;
  access_log off;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server { listen ADDRESS; root ROOT; }
}
";

impl Nginx {
    async fn start(program: &Path, root: &Path) -> Result<Self> {
        let prefix = tempfile::tempdir()?;
        fs::set_permissions(prefix.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        // It cannot be asked for any free port. This one is free now.
        let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string();
        let text =
            CONFIGURATION.replace("ADDRESS", &address).replace("ROOT", &root.display().to_string());
        let file = prefix.path().join("nginx.conf");
        fs::write(&file, text)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(prefix.path()).arg("-c").arg(&file).kill_on_drop(true);
        let child = command.spawn().context("cannot start nginx")?;
        let nginx = Self { child, address, _prefix: prefix };
        let started = Instant::now();
        while client::get(&nginx.address, "/1000.bin").await.is_err() {
            ensure!(started.elapsed() < Duration::from_secs(10), "nginx does not serve");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(nginx)
    }

    async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().context("nginx has ended")?;
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).context("no process")?;
        // Its master tells its workers.
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait().await?;
        Ok(())
    }
}
