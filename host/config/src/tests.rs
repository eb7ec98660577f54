//! What an application file may say, what comes of it, and what is said when it is wrong.

mod authorities;
mod bounds;
mod broken;
mod buckets;
mod builds;
mod cors;
mod deploy;
mod documented;
mod forwarding;
mod fuzz;
mod grammar;
mod named;
mod outbound;
mod parts;
mod patience;
mod replicas;
mod registries;
mod reports;
mod secrets;
mod slips;
mod sqlite;
mod telemetry;
mod whole;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use wasm_host_capabilities::ollama::{ForwardList, Ollama, OllamaConfig, UrlFrom};
use wasm_host_capabilities::postgres::{Postgres, PostgresConfig};
use wasm_host_limits as limits;
use wasm_host_settings::bounds::FixedBound;
use wasm_host_settings::diagnostic::Severity;

/// The application that ships with the host.
const REFERENCE: &str = r#"
name = "aspiring-ollama"

[postgres.weather]
init = ["components/weather/sql/init.sql"]

[ollama.local]
fallback = "demo-ollama"

[service.apiservice]
component = "weather"
route = "/weather"
postgres = "weather"

[service.ollamaservice]
component = "ollama"
route = "/ollama"
ollama = "local"

[service.demo-ollama]
component = "demo-ollama"
internal = true

[service.react]
static = "web/dist"
route = "/"
"#;

/// A folder as an application has it, and an environment.
struct Application {
    folder: TempDir,
    environment: HashMap<String, String>,
}

impl Application {
    fn new() -> Application {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "components/weather/sql/init.sql",
            "components/ollama/Cargo.toml",
            "components/demo-ollama/Cargo.toml",
            "web/dist/index.html",
            "guests/other.wasm",
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        Application { folder, environment: HashMap::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Application {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    fn parse(&self, text: &str) -> Result<Config, Diagnostics> {
        Config::parse(&Source {
            text,
            file: "wasm-host.toml",
            folder: self.folder.path(),
            environment: &|name| self.environment.get(name).cloned(),
        })
    }

    #[track_caller]
    fn config(&self, text: &str) -> Config {
        self.parse(text).unwrap_or_else(|found| panic!("{found}"))
    }

    #[track_caller]
    fn rejected(&self, text: &str) -> String {
        match self.parse(text) {
            Ok(config) => panic!("accepted as {config:#?}"),
            Err(found) => found.to_string(),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

#[track_caller]
fn database<'a>(config: &'a Config, name: &str) -> &'a PostgresConfig {
    config.resources.find_of::<Postgres>(name).expect("the database")
}

#[track_caller]
fn models<'a>(config: &'a Config, name: &str) -> &'a OllamaConfig {
    config.resources.find_of::<Ollama>(name).expect("the model server")
}

fn warnings(config: &Config) -> String {
    config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
