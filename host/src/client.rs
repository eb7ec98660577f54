//! Commands that talk to a running host: they find its control plane by the state folder, ask, and print.
//!
//! They know of the host only what its control plane answers.

pub mod completion;
pub mod dashboard;
pub mod describe;
pub mod export;
pub mod history;
mod kept;
pub mod logs;
pub(crate) mod names;
pub mod ps;
pub mod recordings;
pub mod swap;
pub mod traces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::BytesMut;
use reqwest::{Method, StatusCode, Url};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cli;
use crate::exit::Exit;
use wasm_host_config::Config;
use wasm_host_http::control::{Control, Token};
use wasm_host_limits as limits;
use wasm_host_system::lock;

/// The control plane of one host.
struct Client {
    http: reqwest::Client,
    base: Url,
    token: Token,
    /// Why there is no answer, where nothing takes the connection.
    gone: Absent,
}

/// A host that does not answer.
#[derive(Clone)]
struct Absent {
    what: String,
    /// What to do about it.
    advice: String,
}

impl Absent {
    /// None runs.
    fn none(what: String) -> Self {
        Self { what, advice: "start one with `wasm-host serve`".to_owned() }
    }

    /// One has the state folder, by the number that its process has for itself.
    fn busy(folder: &str, pid: &str) -> Self {
        Self {
            what: format!("the host of {folder} (process {pid}) takes no commands"),
            advice: "it is starting or stopping, or is not reached from here, as in a container"
                .to_owned(),
        }
    }
}

impl std::fmt::Display for Absent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}; {}", self.what, self.advice)
    }
}

/// What came back.
struct ControlResponse {
    status: StatusCode,
    body: Vec<u8>,
}

/// The part of a problem document that people read.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

impl Client {
    /// Find the host of an application.
    fn of(args: &cli::Control) -> Result<Self, Exit> {
        Self::find(args)?.map_err(|absent| anyhow!("{absent}").into())
    }

    /// The same, or why there is none.
    fn find(args: &cli::Control) -> Result<Result<Self, Absent>, Exit> {
        let state_dir = state_dir(args)?;
        let told = state_dir.display().to_string();
        let holder = lock::holder(&state_dir);
        let busy = holder.as_deref().map(|pid| Absent::busy(&told, pid));
        let Some(control) = Control::read(&state_dir)? else {
            return Ok(Err(busy.unwrap_or_else(|| {
                let none = Absent::none(format!("no host is running for {told}"));
                let other = "name the application with --app or its state folder with --state";
                Absent { advice: format!("{}, or {other}", none.advice), ..none }
            })));
        };
        // It is not the number of a process here, where the host is in a container.
        let is_there = busy.is_some();
        let gone = busy.unwrap_or_else(|| {
            let left = Control::path(&state_dir);
            let pid = control.pid;
            Absent::none(format!(
                "no host is running for {told}: process {pid}, which left {}, is gone",
                left.display()
            ))
        });
        if !is_there && !is_alive(control.pid) {
            return Ok(Err(gone));
        }
        let base = Url::parse(&format!("http://{}/", control.address))
            .map_err(|error| anyhow!("the host has no usable address: {error}"))?;
        // Fails if another part of the process has chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // The system's certificates are not needed, and a small machine may have none.
            .tls_certs_only([])
            .connect_timeout(limits::COMMAND_TIMEOUT)
            .build()
            .map_err(|error| anyhow!("no HTTP client: {error}"))?;
        Ok(Ok(Self { http, base, token: control.token, gone }))
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Exit> {
        let request = self.request(Method::GET, path, limits::COMMAND_TIMEOUT)?;
        self.send(request).await?.ok()?.read()
    }

    fn request(
        &self,
        method: Method,
        path: &[&str],
        deadline: Duration,
    ) -> Result<reqwest::RequestBuilder, Exit> {
        let mut url = self.base.clone();
        // Segment by segment, so that a name is never more than one of them.
        url.path_segments_mut()
            .map_err(|()| anyhow!("the host has no usable address"))?
            .clear()
            .extend(path);
        Ok(self.http.request(method, url).bearer_auth(self.token.expose()).timeout(deadline))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<ControlResponse, Exit> {
        let response = request.send().await.map_err(|error| self.explain(error))?;
        let answer = self.whole(response).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // Another program, or another host, has the port by now.
            return Err(anyhow!("{}, and what listens there now is another one", self.gone).into());
        }
        Ok(answer)
    }

    /// An answer with its body, which has a bound.
    async fn whole(&self, mut response: reqwest::Response) -> Result<ControlResponse, Exit> {
        let status = response.status();
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.explain(error))? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > limits::ANSWER_BYTES {
                return Err(anyhow!("the host's answer has no end").into());
            }
        }
        Ok(ControlResponse { status, body: body.into() })
    }

    /// Lines of JSON as they come, until the host ends them.
    async fn lines(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        mut each: impl FnMut(serde_json::Value) -> Result<(), Exit>,
    ) -> Result<(), Exit> {
        // Each piece has the host's sign of life as its deadline, the whole has none.
        let request = self.request(Method::GET, path, limits::FOLLOW_MOST)?.query(query);
        let mut response = request.send().await.map_err(|error| self.explain(error))?;
        if response.status() != StatusCode::OK {
            let status = response.status();
            let body = response.bytes().await.map_err(|error| self.explain(error))?.into();
            return Err(ControlResponse { status, body }.problem());
        }
        let mut rest = BytesMut::new();
        loop {
            let piece = tokio::time::timeout(limits::FOLLOW_SILENCE, response.chunk()).await;
            let piece = piece.map_err(|_| anyhow!("the host has said nothing for too long"))?;
            let Some(piece) = piece.map_err(|error| self.explain(error))? else { return Ok(()) };
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(end + 1);
                if !line.trim_ascii().is_empty() {
                    let line = serde_json::from_slice(&line);
                    each(line.context("the host's answer is none; is it of another version?")?)?;
                }
            }
            if rest.len() as u64 > limits::ANSWER_BYTES {
                return Err(anyhow!("the host's answer has no end").into());
            }
        }
    }

    fn explain(&self, error: reqwest::Error) -> Exit {
        if error.is_connect() {
            return anyhow!("{}", self.gone).into();
        }
        if !error.is_timeout() && (error.is_body() || error.is_decode()) {
            // What the library says of it are words about its own insides.
            let what =
                "the host broke off its answer; if it has ended, `wasm-host serve` starts it again";
            return anyhow!(what).into();
        }
        let what = if error.is_timeout() { "did not answer in time" } else { "broke off" };
        // Without the url, which says nothing new.
        Exit::from(anyhow::Error::new(error.without_url()).context(format!("the host {what}")))
    }
}

impl ControlResponse {
    fn read<T: DeserializeOwned>(&self) -> Result<T, Exit> {
        let read = serde_json::from_slice(&self.body);
        Ok(read.context("the host's answer is none; is it of another version?")?)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Itself, unless it is of a failure.
    fn ok(self) -> Result<Self, Exit> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(self.problem()) }
    }

    /// What the host says went wrong.
    fn problem(&self) -> Exit {
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) => anyhow!("{}", problem.detail).into(),
            Err(_) => anyhow!("the host answered {}", self.status).into(),
        }
    }
}

/// `2031-02-03 04:05:06.789`
fn utc_micros(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|it| jiff::Timestamp::from_microsecond(it).ok());
    time.map_or_else(|| "?".to_owned(), |time| time.strftime("%F %T%.3f").to_string())
}

/// Words that are searched for. In a message about them they would fill the screen.
fn searchable(words: Option<&String>) -> Result<(), Exit> {
    let (bytes, most) = (words.map_or(0, String::len), limits::telemetry::SEARCH_BYTES);
    match bytes > most {
        true => Err(Exit::Usage(format!(
            "wasm-host: error: --search has {bytes} bytes; a search takes at most {most}"
        ))),
        false => Ok(()),
    }
}

/// What a request is called, with the path that was asked for in the place of its route.
fn asked(name: &str, path: Option<&str>) -> String {
    match (name.split_once(' '), path) {
        (Some((method, _)), Some(path)) => format!("{method} {path}"),
        (None, Some(path)) => format!("{name} {path}"),
        (_, None) => name.to_owned(),
    }
}

/// How many of all, in percent; both in a second.
fn share(some: f64, all: f64) -> String {
    match all > 0.0 {
        true => format!("{:.0}%", 100.0 * some / all),
        false => "0%".to_owned(),
    }
}

/// Microseconds in words.
fn duration(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} us"),
        1000..1_000_000 => {
            format!("{:.1} ms", Duration::from_micros(micros).as_secs_f64() * 1000.0)
        }
        _ => format!("{:.2} s", Duration::from_micros(micros).as_secs_f64()),
    }
}

/// Where the host of an application keeps its state: as named, or as `serve` would find it.
fn state_dir(args: &cli::Control) -> Result<PathBuf, Exit> {
    if let Some(state) = &args.state {
        return Ok(state.clone());
    }
    let default = Path::new(cli::APPLICATION_FILE);
    let path = match &args.app {
        Some(app) => app.as_path(),
        // A host without an application file serves one component.
        None if !default.exists() => return Ok(Config::state_dir_alone()),
        None => default,
    };
    if path.extension().is_some_and(|extension| extension == "wasm") {
        return Ok(Config::state_dir_alone());
    }
    Ok(Config::state_dir_of(path)?)
}

fn is_alive(pid: u32) -> bool {
    match Pid::from_raw(pid.cast_signed()) {
        // A process of another user is one all the same.
        Some(pid) => !matches!(test_kill_process(pid), Err(Errno::SRCH)),
        None => false,
    }
}
