//! Where telemetry is read: of the host that runs, or, without one, of what it left in its state folder.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Absent, Client, state_dir};
use crate::cli;
use crate::exit::Exit;
use wasm_host_collector::Reader;
use wasm_host_config::Config;
use wasm_host_http::admin::telemetry::StoppedHost;
use wasm_host_limits as limits;

pub(super) enum Source {
    Running(Box<Client>),
    Stopped(StoppedHost, Reader),
}

/// What of a session is of interest here.
#[derive(Deserialize)]
struct Session {
    telemetry_off: Option<String>,
}

/// Some of a list.
#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    next: Option<String>,
}

/// Tell why there is nothing, where nothing is kept. The inner error: the host is not there any more, or says nothing.
pub(super) async fn say_if_off(client: &Client) -> Result<Result<(), Absent>, Exit> {
    let asked = client.request(Method::GET, &["api", "session"], limits::SILENT_HOST)?;
    let answered = async {
        let response = asked.send().await?;
        Ok::<_, reqwest::Error>((response.status(), response.json::<Session>().await))
    };
    let session = match answered.await {
        Ok((StatusCode::OK, Ok(session))) => session,
        // The process whose number is known may be on its way out, or another one by now.
        Err(error) if error.is_connect() && !error.is_timeout() => {
            return Ok(Err(client.gone.clone()));
        }
        Err(error) | Ok((StatusCode::OK, Err(error))) if error.is_timeout() => {
            let within = limits::SILENT_HOST;
            return Ok(Err(Absent {
                what: format!("the host at {} has said nothing for {within:?}", client.base),
                advice: "it is stopped, hangs, or has too much to do".to_owned(),
            }));
        }
        Err(_) => {
            return Ok(Err(Absent {
                what: format!("the host at {} broke off its answer", client.base),
                advice: "if it has ended, `wasm-host serve` starts it again".to_owned(),
            }));
        }
        // What listens there is another program, or another host.
        Ok(_) => return Ok(Err(client.gone.clone())),
    };
    if let Some(how) = session.telemetry_off {
        eprintln!("{how}");
    }
    Ok(Ok(()))
}

impl Source {
    /// Says so where what is read is not all that one may expect: on standard error, as a program may read the rest.
    pub(super) async fn of(args: &cli::Control) -> Result<Self, Exit> {
        let absent = match Client::find(args)? {
            Ok(client) => match say_if_off(&client).await? {
                Ok(()) => return Ok(Self::Running(Box::new(client))),
                Err(absent) => absent,
            },
            Err(absent) => absent,
        };
        let state = state_dir(args)?;
        let reader = Reader::of_stopped(&state).await;
        let reader = reader.with_context(|| {
            format!(
                "{}, and what it kept in {} cannot be read; where the folder is another user's, read it as that user",
                absent.what,
                state.display()
            )
        })?;
        let Some(reader) = reader else { return Err(anyhow!("{absent}").into()) };
        eprintln!("{}: this is what it kept", absent.what);
        let file = args.app.as_deref().unwrap_or(Path::new(cli::APPLICATION_FILE));
        if Config::keeps_telemetry(file) == Some(false) {
            eprintln!(
                "telemetry is off in {}: of what a host sees with it, nothing is kept",
                file.display()
            );
        }
        let named = Config::services_of(file).unwrap_or_default();
        let services = named.into_iter().map(|service| service.name).collect();
        Ok(Self::Stopped(StoppedHost::new(reader.clone(), services), reader))
    }

    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<T, Exit> {
        match self {
            Self::Running(client) => {
                let path = [&["api"], path].concat();
                let request = client.request(Method::GET, &path, limits::COMMAND_TIMEOUT)?;
                client.send(request.query(query)).await?.ok()?.read()
            }
            Self::Stopped(kept, reader) => {
                // The host's name is not asked for.
                let asked = Url::parse_with_params("http://kept/", query);
                let asked = asked.map_err(|error| anyhow!("cannot be asked for: {error}"))?;
                let query = asked.query().unwrap_or_default();
                let known = reader.broken();
                let answer = kept.answer(path, query).await.map_err(|why| anyhow!(why))?;
                for path in reader.broken().iter().filter(|path| !known.contains(path)) {
                    eprintln!("{} is broken; what it has is left out", path.display());
                }
                Ok(serde_json::from_slice(&answer).context("what was kept cannot be read")?)
            }
        }
    }

    /// Of a list, as many items as are asked for: a page that is large ends before.
    pub(super) async fn list(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        lines: u32,
    ) -> Result<Vec<Value>, Exit> {
        let lines = lines as usize;
        let (mut items, mut before) = (Vec::new(), None);
        loop {
            let mut query = query.to_vec();
            query.push(("limit", (lines - items.len()).to_string()));
            query.extend(before.map(|before| ("before", before)));
            let page: Page = self.get(path, &query).await?;
            let is_empty = page.items.is_empty();
            items.extend(page.items);
            before = page.next;
            if before.is_none() || is_empty || items.len() >= lines {
                return Ok(items);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wasm_host_collector::{Bounds, Pipeline, Sender};
    use wasm_host_telemetry::Collector as _;
    use wasm_host_telemetry::log::{Level, LogRecord, Source as Speaker};

    use super::*;

    #[tokio::test]
    async fn as_many_lines_come_as_are_asked_for_however_long_they_are() {
        let state = tempfile::tempdir().unwrap();
        let sender = Sender::default();
        let bounds = Bounds { bytes: 1 << 30, age: Duration::from_secs(3600) };
        let pipeline =
            Pipeline::start(&sender, state.path(), bounds, Box::new(Vec::new), Vec::new()).unwrap();
        let reader = pipeline.reader();
        let text = "x".repeat(limits::LOG_LINE_BYTES);
        for number in 0..1100 {
            sender.log(LogRecord {
                time: number,
                level: Level::Info,
                service: None,
                source: Speaker::Host,
                trace: None,
                span: None,
                request: None,
                message: format!("{number} {text} {text}"),
                fields: Vec::new(),
            });
            if number % 100 == 0 {
                reader.flush().await.unwrap();
            }
        }
        reader.flush().await.unwrap();
        let source = Source::Stopped(StoppedHost::new(reader.clone(), Default::default()), reader);
        let listed = source.list(&["logs"], &[], 1000).await;
        let items = listed.unwrap_or_else(|_| panic!("it is not answered"));
        let times: Vec<u64> = items.iter().map(|item| item["time"].as_u64().unwrap()).collect();
        assert!(times.iter().copied().eq((100..1100).rev()), "{}", times.len());
        pipeline.stop().await;
    }
}
