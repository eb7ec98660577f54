//! Starts: from the process to its first answer, and what an idle host holds in memory.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};
use wasm_host_tests::postgres::Postgres;

use super::milliseconds;
use crate::Setting;
use crate::client;
use crate::figures::{Bar, Row};
use crate::hosts::{Application, service};

/// After the last request: instances are gone, what is left is the host's own.
const SETTLE: Duration = Duration::from_millis(2500);

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let postgres = tokio::task::spawn_blocking(Postgres::start).await?;
    let init = setting.run.root.join("components/weather/sql/init.sql");
    let tables = format!(
        "[postgres.weather]\nurl = \"{}\"\ninit = [\"{}\"]\n{}",
        postgres.url(),
        init.display(),
        service(setting, "weather", "weather", "postgres = \"weather\"\n")
    );
    let application = Application::new(setting, &tables)?;
    let (mut compiled, mut cached) = (Vec::new(), Vec::new());
    for _ in 0..setting.effort.rounds {
        application.forget()?;
        compiled.push(first_answer(&application).await?);
        cached.push(first_answer(&application).await?);
    }
    rows.push(Row::new("to the first forecast, compiled", "ms", compiled));
    rows.push(Row::new("to the first forecast, cached", "ms", cached).bar(Bar::AtMost(200.0)));
    tokio::task::spawn_blocking(move || drop(postgres)).await?;

    let counts: &[usize] = if setting.effort.quick { &[1, 100] } else { &[1, 100, 1000] };
    for count in counts {
        let tables =
            (0..*count).map(|number| service(setting, &format!("s{number}"), "hello-p3", ""));
        let application = Application::new(setting, &tables.collect::<String>())?;
        application.serve().await?.stop().await?;
        let started = Instant::now();
        let host = application.serve().await.with_context(|| format!("{count} services"))?;
        let took = milliseconds(started.elapsed());
        client::get(&host.address, "/s0/").await?;
        sleep(SETTLE).await;
        let memory = host.memory()? / 1e6;
        host.stop().await?;
        let name = if *count == 1 { "1 service".to_string() } else { format!("{count} services") };
        rows.push(Row::new(format!("ready with {name}, cached"), "ms", vec![took]));
        rows.push(Row::new(format!("idle memory with {name}"), "MB", vec![memory]));
    }
    Ok(rows)
}

async fn first_answer(application: &Application) -> Result<f64> {
    let started = Instant::now();
    let host = application.serve().await?;
    client::get(&host.address, "/weather/forecast").await?;
    let took = milliseconds(started.elapsed());
    host.stop().await?;
    Ok(took)
}
