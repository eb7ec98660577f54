//! The server's process: started, kept running, and stopped.
//!
//! Every wait has an end.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgSslMode};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::binaries::Binaries;
use super::folder::{Folder, make_private};
use super::log::{self, Tail};
use super::{ADMINISTRATOR, reserve, shown};
use wasm_host_capabilities::postgres::url::Address;
use wasm_host_limits::embedded_postgres as limits;
use wasm_host_limits::postgres::CLIENT_CHECK;

/// A server that runs, and is started again when it dies.
#[derive(Debug)]
pub(super) struct Process {
    place: ListenAddress,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
    running: Running,
}

/// The server's process at the moment: another one after each restart, none in between. A number
/// that is kept longer may be another program's by then.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<Option<Pid>>>);

/// A server that does not accept connections yet. It is told to stop when this is dropped: a start may be given up
/// at any time.
struct Unready<'c>(&'c mut Child);

/// Where the server listens.
#[derive(Clone, Debug)]
struct ListenAddress {
    port: u16,
    socket: Option<PathBuf>,
}

/// All that is needed to start it, again and again.
struct Launch {
    program: PathBuf,
    version: u32,
    home: PathBuf,
    data: PathBuf,
    log: PathBuf,
    name: String,
    connections: u32,
    account: Option<super::account::Account>,
}

impl Process {
    pub(super) async fn start(
        folder: &Folder,
        binaries: &Binaries,
        name: &str,
        connections: u32,
    ) -> anyhow::Result<Self> {
        let socket = folder.private("socket")?;
        let socket = (socket.as_os_str().len() <= limits::SOCKET_PATH_BYTES).then_some(socket);
        let launch = Launch {
            program: binaries.program("postgres"),
            version: binaries.version,
            home: folder.home().to_path_buf(),
            data: folder.data(),
            log: folder.log_file(),
            name: name.to_string(),
            connections,
            account: folder.account(),
        };
        let mut attempt = 1;
        loop {
            let place = ListenAddress { port: free_port()?, socket: socket.clone() };
            let (mut child, tail) = launch.spawn(&place)?;
            let address = place.administrator(folder, "postgres");
            let error = match ready(&mut child, &address, &tail).await {
                Ok(()) => {
                    let stop = CancellationToken::new();
                    let running = Running::default();
                    running.set(pid(&child).ok());
                    let kept =
                        keep(launch, place.clone(), child, tail, running.clone(), stop.clone());
                    return Ok(Self { place, stop, keeper: tokio::spawn(kept), running });
                }
                Err(error) => error,
            };
            shut_down(child).await;
            // The first clears by another port, the second when the last processes of a killed
            // server are gone.
            let passing = ["Address already in use", "shared memory block"];
            if attempt == limits::START_ATTEMPTS || !passing.iter().any(|text| tail.contains(text))
            {
                return Err(error);
            }
            attempt += 1;
            sleep(limits::START_RETRY).await;
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.place.port
    }

    pub(super) fn host(&self) -> String {
        self.place.host()
    }

    pub(super) fn administrator(&self, folder: &Folder, database: &str) -> Address {
        self.place.administrator(folder, database)
    }

    /// Forget the process, as a host that is killed does.
    #[cfg(test)]
    pub(super) fn abandon(self) {
        self.keeper.abort();
        std::mem::forget(self);
    }

    /// Whatever process runs.
    pub(super) fn running(&self) -> Running {
        self.running.clone()
    }

    /// Tells whatever process runs when it is called to stop.
    pub(super) fn interrupt(&self) -> impl FnOnce() + Send + 'static {
        let running = self.running.clone();
        move || running.interrupt()
    }

    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.keeper).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.keeper.is_finished() {
            // The keeper does the same, if the runtime still lets it.
            self.stop.cancel();
            self.running.interrupt();
        }
    }
}

impl Running {
    fn set(&self, pid: Option<Pid>) {
        *self.0.lock() = pid;
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        *self.0.lock()
    }

    fn interrupt(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

impl Drop for Unready<'_> {
    fn drop(&mut self) {
        if let Ok(pid) = pid(self.0) {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

impl ListenAddress {
    /// The socket is the shorter way.
    fn host(&self) -> String {
        match &self.socket {
            Some(folder) => folder.to_string_lossy().into_owned(),
            None => "127.0.0.1".to_string(),
        }
    }

    /// Returns when its socket has been there and is not any more: what looks for files that nothing has touched for long
    /// takes it away, for instance. The server does not notice, and lets in only what comes another way.
    async fn lost(&self) {
        let Some(folder) = &self.socket else { return std::future::pending().await };
        let socket = folder.join(format!(".s.PGSQL.{}", self.port));
        let (begun, mut has_been_there) = (Instant::now(), false);
        loop {
            // Not to be found out is no reason. It is made before anything that takes long.
            match tokio::fs::try_exists(&socket).await {
                Ok(false) if has_been_there || begun.elapsed() > limits::SOCKET_MADE => return,
                Ok(true) => has_been_there = true,
                _ => {}
            }
            sleep(if has_been_there { limits::SOCKET_LOOK } else { limits::POLL }).await;
        }
    }

    fn administrator(&self, folder: &Folder, database: &str) -> Address {
        let password = folder.password_for(ADMINISTRATOR);
        Address::new(&self.host(), self.port, ADMINISTRATOR, &password, database)
            .with_ssl_mode(PgSslMode::Disable)
    }
}

impl Launch {
    fn spawn(&self, place: &ListenAddress) -> anyhow::Result<(Child, Tail)> {
        reserve::spend(&self.home);
        if let Some(socket) = &place.socket {
            make_private(socket, self.account)?;
        }
        let socket = place.socket.as_deref().unwrap_or(Path::new(""));
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_string(),
            format!("port={}", place.port),
            format!("unix_socket_directories={}", socket.display()),
            "unix_socket_permissions=0700".to_string(),
            format!("max_connections={}", self.connections),
            format!("max_locks_per_transaction={}", limits::LOCKS),
            format!("temp_file_limit={}kB", limits::TEMPORARY_KIB),
            format!("cluster_name={}", self.name),
            "password_encryption=scram-sha-256".to_string(),
            "logging_collector=off".to_string(),
            "log_destination=stderr".to_string(),
            // Statements hold what users typed, and may hold passwords.
            "log_statement=none".to_string(),
            "log_min_error_statement=panic".to_string(),
        ];
        if self.version >= 14 {
            // A host that was killed leaves no statement running.
            settings.push(format!("client_connection_check_interval={}", CLIENT_CHECK.as_millis()));
        }
        // No setting of memory can be forbidden to a role, so what binds is the system's. Its processes have what
        // theirs has.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -v \"$1\"; shift; exec \"$@\"", "sh"]);
        command.arg(limits::PROCESS_KIB.to_string()).arg(&self.program);
        command.arg("-D").arg(&self.data);
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        command
            .env_clear()
            .env("LC_ALL", "C")
            .current_dir(&self.data)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for the host, which needs the server until its last request is done.
            .process_group(0);
        if let Some(account) = self.account {
            account.apply(&mut command);
        }
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", shown(&self.program)))?;
        let stderr = child.stderr.take().context("the server has no stderr")?;
        Ok((child, log::follow(stderr, self.log.clone())))
    }
}

/// Wait until the server accepts connections.
async fn ready(child: &mut Child, address: &Address, tail: &Tail) -> anyhow::Result<()> {
    let deadline = Instant::now() + limits::START_TIMEOUT;
    let unready = Unready(child);
    loop {
        if let Ok(Some(status)) = unready.0.try_wait() {
            // Its last words may still be in the pipe.
            sleep(limits::LAST_WORDS).await;
            let reason = tail.reason().unwrap_or_else(|| "nothing".to_string());
            bail!("Postgres ended while starting ({status}) and said: {reason}");
        }
        let attempt = timeout(limits::LOGIN_TIMEOUT, PgConnection::connect_with(address.options()));
        match attempt.await {
            Ok(Ok(connection)) => {
                let _ = connection.close().await;
                std::mem::forget(unready);
                return Ok(());
            }
            Ok(Err(sqlx::Error::Database(error))) if error.code().as_deref() != Some("57P03") => {
                return Err(anyhow!(
                    "Postgres refuses the host: {}; if its data is older than the secret beside it, \
                     restore the secret, or remove the state folder",
                    error.message()
                ));
            }
            _ if Instant::now() > deadline => bail!(
                "Postgres did not accept connections within {} s; see its log",
                limits::START_TIMEOUT.as_secs()
            ),
            _ => sleep(limits::POLL).await,
        }
    }
}

/// Start the server again when it dies, until it is to stop.
async fn keep(
    launch: Launch,
    place: ListenAddress,
    mut child: Child,
    mut tail: Tail,
    running: Running,
    stop: CancellationToken,
) {
    let mut wait = limits::RESTART_WAIT_FIRST;
    loop {
        let started = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return shut_down(child).await,
            status = child.wait() => {
                running.set(None);
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                let reason = tail.reason().unwrap_or_else(|| "nothing".to_string());
                tracing::error!(
                    "embedded Postgres ended by itself ({status}), said `{reason}`, and is started again"
                );
            }
            () = place.lost() => {
                shut_down(child).await;
                running.set(None);
                tracing::error!(
                    "the socket of embedded Postgres was taken away, so that it let nobody in; it is started again"
                );
            }
        }
        if started.elapsed() > limits::RESTART_WAIT_LAST {
            wait = limits::RESTART_WAIT_FIRST;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
            wait = (wait * 2).min(limits::RESTART_WAIT_LAST);
            match launch.spawn(&place) {
                Ok((started, said)) => {
                    (child, tail) = (started, said);
                    running.set(pid(&child).ok());
                    break;
                }
                Err(error) => tracing::error!("cannot restart embedded Postgres: {error:#}"),
            }
        }
    }
}

async fn shut_down(mut child: Child) {
    for (signal, limit) in
        [(Signal::INT, limits::STOP_TIMEOUT), (Signal::QUIT, limits::QUIT_TIMEOUT)]
    {
        if let Ok(pid) = pid(&child) {
            let _ = kill_process(pid, signal);
        }
        if timeout(limit, child.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(?signal, "embedded Postgres does not stop");
    }
    let _ = child.kill().await;
}

fn pid(child: &Child) -> anyhow::Result<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw)
        .context("the server has ended")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
