//! The host as a user runs it: an application file in a folder, a state folder, free ports.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Setting;
use crate::client::Client;
use crate::process::{self, Server};

/// What the host prints before its address.
pub(crate) const MARK: &str = "Serving HTTP on http://";

/// An application in a folder of its own.
pub(crate) struct Application {
    folder: TempDir,
    host: PathBuf,
}

impl Application {
    /// `tables` is the application file without its name.
    pub(crate) fn new(setting: &Setting, tables: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("wasm-host.toml"), format!("name = \"bench\"\n{tables}"))?;
        Ok(Self { folder, host: setting.run.host.clone() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The command that serves it.
    pub(crate) fn command(&self, wrapper: Option<Command>) -> Command {
        let mut command = match wrapper {
            Some(mut wrapper) => {
                wrapper.arg(&self.host);
                wrapper
            }
            None => process::program(&self.host),
        };
        command
            .args(["serve", "wasm-host.toml"])
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .current_dir(self.folder.path());
        command
    }

    pub(crate) async fn serve(&self) -> Result<Server> {
        Server::start(&mut self.command(None), MARK).await
    }

    /// Forget compiled code and everything else that a host keeps.
    pub(crate) fn forget(&self) -> Result<()> {
        let state = self.folder.path().join(".wasm-host");
        if state.exists() {
            fs::remove_dir_all(state)?;
        }
        Ok(())
    }

    /// A connection to the control plane of the running host, and the token for it.
    pub(crate) async fn control(&self) -> Result<Control> {
        let text = fs::read(self.folder.path().join(".wasm-host/control.json"))?;
        let file: Value = serde_json::from_slice(&text)?;
        let field = |name: &str| {
            file.get(name).and_then(Value::as_str).map(str::to_string).context(name.to_string())
        };
        let address = field("address")?;
        let address = address.trim_start_matches("http://").trim_end_matches('/').to_string();
        Ok(Control {
            client: Client::connect(&address).await?,
            authorization: format!("Bearer {}", field("token")?),
        })
    }
}

/// The control plane of a running host.
pub(crate) struct Control {
    client: Client,
    authorization: String,
}

impl Control {
    /// Put a component into service. Anything but `activated` is an error.
    pub(crate) async fn swap(&mut self, service: &str, component: Bytes) -> Result<()> {
        let path = format!("/services/{service}/swap");
        let headers =
            [("authorization", &*self.authorization), ("content-type", "application/wasm")];
        let answer = self.client.send(Method::POST, &path, &headers, component).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let verdict = answer.get("verdict").and_then(Value::as_str);
        (verdict == Some("activated")).then_some(()).with_context(|| format!("{answer}"))
    }

    /// Send spans as OTLP; the status, and what it says.
    pub(crate) async fn traces(&mut self, spans: Bytes) -> Result<(StatusCode, Bytes)> {
        let headers =
            [("authorization", &*self.authorization), ("content-type", "application/x-protobuf")];
        self.client.exchange(Method::POST, "/v1/traces", &headers, spans).await
    }
}

/// The table of one service of a component, with more lines for it.
pub(crate) fn service(setting: &Setting, name: &str, component: &str, more: &str) -> String {
    let mut table = String::new();
    let path = self::component(setting, component);
    let _ = writeln!(table, "[service.{name}]\ncomponent = \"{}\"\n{more}", path.display());
    table
}

/// A built component.
pub(crate) fn component(setting: &Setting, name: &str) -> PathBuf {
    setting.run.root.join("target/components").join(format!("{name}.wasm"))
}
