//! Where telemetry is read: of the host that runs, or, without one, of what it left in its state folder.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Client, state_dir};
use crate::cli;
use crate::exit::Exit;
use wasm_host_collector::Reader;
use wasm_host_config::Config;
use wasm_host_http::admin::telemetry::Kept;
use wasm_host_limits as limits;

pub(super) enum Source {
    Running(Box<Client>),
    Stopped(Kept),
}

/// What of a session is of interest here.
#[derive(Deserialize)]
struct Session {
    telemetry_off: Option<String>,
}

/// Tell why there is nothing, where nothing is kept. The inner error: the host is not there any more.
pub(super) async fn say_if_off(client: &Client) -> Result<Result<(), String>, Exit> {
    let asked = client.request(Method::GET, &["api", "session"], limits::COMMAND_TIMEOUT)?;
    let response = match asked.send().await {
        // The process whose number is known may be on its way out, or another one by now.
        Err(error) if error.is_connect() => return Ok(Err(client.gone.clone())),
        Err(error) => return Err(client.explain(error)),
        // What listens there is another program, or another host.
        Ok(other) if other.status() == StatusCode::UNAUTHORIZED => {
            return Ok(Err(client.gone.clone()));
        }
        Ok(response) => response,
    };
    let session: Session = client.whole(response).await?.ok()?.read()?;
    if let Some(how) = session.telemetry_off {
        eprintln!("{how}");
    }
    Ok(Ok(()))
}

impl Source {
    /// Says so where what is read is not all that one may expect: on standard error, as a program may read the rest.
    pub(super) async fn of(args: &cli::Control) -> Result<Self, Exit> {
        let gone = match Client::find(args)? {
            Ok(client) => match say_if_off(&client).await? {
                Ok(()) => return Ok(Self::Running(Box::new(client))),
                Err(gone) => gone,
            },
            Err(gone) => gone,
        };
        let state = state_dir(args)?;
        let reader = Reader::of_stopped(&state).await;
        let reader = reader.with_context(|| format!("cannot read {}", state.display()))?;
        let Some(reader) = reader else { return Err(anyhow!(gone).into()) };
        eprintln!("no host is running for {}: this is what it kept", state.display());
        let file = args.app.as_deref().unwrap_or(Path::new(cli::APPLICATION_FILE));
        let named = Config::services_of(file).unwrap_or_default();
        let services = named.into_iter().map(|service| service.name).collect();
        Ok(Self::Stopped(Kept::new(reader, services)))
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
            Self::Stopped(kept) => {
                // The host's name is not asked for.
                let asked = Url::parse_with_params("http://kept/", query);
                let asked = asked.map_err(|error| anyhow!("cannot be asked for: {error}"))?;
                let query = asked.query().unwrap_or_default();
                let answer = kept.answer(path, query).await.map_err(|why| anyhow!(why))?;
                Ok(serde_json::from_slice(&answer).context("what was kept cannot be read")?)
            }
        }
    }
}
