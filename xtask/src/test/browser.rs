//! The browser test: the reference application as a user gets it, in a real browser.
//!
//! The host is started like in production, on ports of its own choice, and has to end by itself
//! with exit code 0 when it is told to.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Counts, counted};
use crate::shell::{self, MINUTE};
use crate::{Profile, project, serve, web};

const READY: &str = "Serving HTTP on ";

/// A first start creates a database and compiles every component.
const START_LIMIT: Duration = Duration::from_secs(3 * 60);

pub(super) fn run(chromium: Option<&Path>, counts: &mut Counts) -> Result<()> {
    let mut host = Host::start()?;
    let mut test = web::npm(&["run", "e2e"]);
    test.env("APP_URL", &host.address);
    // Some tests start hosts of their own.
    test.env("WASM_HOST", serve::host_binary(Profile::Debug));
    if let Some(chromium) = chromium {
        test.env("CHROMIUM", chromium);
    }
    test.env("DASHBOARD_URL", host.dashboard()?);
    let tested = counted(&mut test, counts).and_then(|()| {
        // Against a control plane that is scripted, which shows what a host of a minute does not have.
        let mut pages = web::npm(&["run", "e2e"]);
        if let Some(chromium) = chromium {
            pages.env("CHROMIUM", chromium);
        }
        counted(pages.current_dir(project::dashboard()), counts)
    });
    let stopped = host.stop();
    let result = tested.and(stopped);
    result.with_context(|| format!("the host's output is in {}", host.log.display()))
}

struct Host {
    process: Child,
    address: String,
    log: PathBuf,
    state: PathBuf,
}

impl Host {
    fn start() -> Result<Self> {
        // Not below the checkout: Postgres may run under a user who cannot enter it.
        let state = env::temp_dir().join(format!("wasm-host-browser-{}", std::process::id()));
        let log = project::notes().join("browser-host.log");
        fs::create_dir_all(&state)?;
        fs::create_dir_all(project::notes())?;
        let mut command = Command::new(serve::host_binary(Profile::Debug));
        command.args(["serve", "wasm-host.toml", "--listen", "127.0.0.1:0"]);
        command.args(["--admin", "127.0.0.1:0", "--state"]).arg(&state);
        project::forget_this_package(&mut command);
        command.current_dir(project::root()).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = shell::spawn(command.stderr(Stdio::piped()))?;
        let stderr = process.stderr.take().context("no standard error")?;

        let (found, address) = mpsc::channel();
        let mut file = File::create(&log)?;
        thread::spawn(move || {
            // To the end: a host whose output nobody reads would block.
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                let _ = writeln!(file, "{line}");
                if let Some(address) = address_in(&line) {
                    let _ = found.send(address);
                }
            }
        });
        let mut host = Self { process, address: String::new(), log, state };
        host.address = match address.recv_timeout(START_LIMIT) {
            Ok(address) => address,
            Err(reason) => {
                let what = match reason {
                    RecvTimeoutError::Timeout => "did not serve within its time",
                    RecvTimeoutError::Disconnected => "ended before it served",
                };
                let output = fs::read_to_string(&host.log).unwrap_or_default();
                bail!("{} {what}; it said:\n{output}", shell::name(&command));
            }
        };
        Ok(host)
    }

    /// The link that signs a browser in.
    fn dashboard(&self) -> Result<String> {
        let mut command = Command::new(serve::host_binary(Profile::Debug));
        command.args(["dashboard", "--state"]).arg(&self.state);
        project::forget_this_package(&mut command);
        let told = command.output().context("`wasm-host dashboard` does not start")?;
        ensure!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
    }

    /// Asks it to end, as an operator would.
    fn stop(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the host ended during the test, with {status}");
        }
        shell::terminate(&self.process)?;
        match shell::ended_within(&mut self.process, MINUTE)? {
            Some(status) if status.code() == Some(0) => Ok(()),
            Some(status) => bail!("the host was asked to end and ended with {status}"),
            None => bail!("the host did not end within a minute of being asked to"),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// `http://127.0.0.1:4321/` of the line by which the host says that it accepts requests.
fn address_in(line: &str) -> Option<String> {
    let (_, address) = line.split_once(READY)?;
    address.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_what_follows_the_announcement() {
        let line = "Serving HTTP on http://127.0.0.1:4321/";
        assert_eq!(address_in(line).as_deref(), Some("http://127.0.0.1:4321/"));
        assert_eq!(address_in("Serving nothing"), None);
    }
}
