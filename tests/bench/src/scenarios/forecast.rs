//! The forecast: a component with a database against the same program without WebAssembly, with as many
//! connections to the same server.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use wasm_host_tests::postgres::Postgres;

use super::{Subject, compare, take_turns};
use crate::Setting;
use crate::client;
use crate::figures::{Bar, Row};
use crate::hosts::{Application, service};
use crate::process::{self, Server};
use crate::twins;

/// Connections of either pool; the host's default.
const POOL: &str = "8";

const UNSEEN: &str = "host, telemetry off";

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    // Its start waits in a way that no runtime should.
    let postgres = tokio::task::spawn_blocking(Postgres::start).await?;
    let url = postgres.url();
    let init = setting.run.root.join("components/weather/sql/init.sql");
    let tables = format!(
        "[postgres.weather]\nurl = \"{url}\"\npool = {POOL}\ninit = [\"{}\"]\n{}",
        init.display(),
        service(setting, "weather", "weather", "postgres = \"weather\"\n")
    );
    let application = Application::new(setting, &tables)?;
    // It fills the database, so it comes first.
    let host = application.serve().await?;
    let blind = Application::new(setting, &format!("{tables}[telemetry]\nenabled = false\n"))?;
    let unseen = blind.serve().await?;
    let twin = &mut process::twin(&["forecast", &url, POOL])?;
    let native = Server::start(twin, twins::MARK).await?;

    let path = "/forecast?days=14";
    let own = form(&client::get(&host.address, &format!("/weather{path}")).await?)?;
    let others = form(&client::get(&native.address, path).await?)?;
    ensure!(own == others, "the answers differ: {own:?} and {others:?}");

    let subjects = [
        Subject::new("hyper and sqlx", &native.address, "/forecast"),
        Subject::new("host", &host.address, "/weather/forecast"),
        Subject::new(UNSEEN, &unseen.address, "/weather/forecast"),
    ];
    let mut rows = take_turns(setting.effort, &subjects).await?;
    compare(&mut rows, "host", "hyper and sqlx", Some(Bar::AtLeast(0.75)));
    compare(&mut rows, "host", UNSEEN, Some(Bar::AtLeast(0.97)));
    native.stop().await?;
    unseen.stop().await?;
    host.stop().await?;
    tokio::task::spawn_blocking(move || drop(postgres)).await?;
    Ok(rows)
}

/// A forecast without what is left to chance: the days, the keys, and that all is there.
fn form(body: &[u8]) -> Result<Vec<(String, Vec<String>)>> {
    let days: Vec<Value> = serde_json::from_slice(body)?;
    days.iter()
        .map(|day| {
            let day = day.as_object().context("not an object")?;
            let celsius = day.get("temperatureC").and_then(Value::as_i64).context("no C")?;
            let fahrenheit = day.get("temperatureF").and_then(Value::as_i64).context("no F")?;
            let exact = celsius as f64 * 1.8 + 32.0;
            ensure!(exact.round() as i64 == fahrenheit, "{celsius} C is not {fahrenheit} F");
            let summary = day.get("summary").and_then(Value::as_str).context("no summary")?;
            ensure!(!summary.is_empty() && summary != "No data available", "no summary was read");
            let date = day.get("date").and_then(Value::as_str).context("no date")?;
            Ok((date.to_string(), day.keys().cloned().collect()))
        })
        .collect()
}
