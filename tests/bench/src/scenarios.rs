//! What is measured. Each scenario starts its own programs and ends them.

mod carries;
mod files;
mod forecast;
mod hello;
mod ingest;
mod neighbours;
mod replicas;
mod request;
mod start;
mod swap;
mod tokens;

use std::time::Duration;

use anyhow::Result;

use crate::figures::Row;
use crate::{Effort, Setting, wrk};

pub(crate) const REQUEST: &str = "request";

/// In the order in which they run.
pub(crate) const NAMES: [&str; 11] = [
    "hello",
    "forecast",
    "tokens",
    "files",
    "swap",
    "neighbours",
    "ingest",
    "start",
    "carries",
    "replicas",
    REQUEST,
];

pub(crate) async fn run(name: &str, setting: &Setting) -> Result<Vec<Row>> {
    match name {
        "hello" => hello::run(setting).await,
        "forecast" => forecast::run(setting).await,
        "tokens" => tokens::run(setting).await,
        "files" => files::run(setting).await,
        "swap" => swap::run(setting).await,
        "neighbours" => neighbours::run(setting).await,
        "ingest" => ingest::run(setting).await,
        "start" => start::run(setting).await,
        "carries" => carries::run(setting).await,
        "replicas" => replicas::run(setting).await,
        _ => request::run(setting).await,
    }
}

/// Somebody who is asked under load.
struct Subject {
    name: String,
    url: String,
}

impl Subject {
    fn new(name: impl Into<String>, address: &str, path: &str) -> Self {
        Self { name: name.into(), url: format!("http://{address}{path}") }
    }
}

/// Let them take turns; requests per second of each.
async fn take_turns(effort: Effort, subjects: &[Subject]) -> Result<Vec<Row>> {
    let rows = subjects.iter().map(|subject| Row::new(&subject.name, "req/s", Vec::new()));
    let mut rows: Vec<Row> = rows.collect();
    for _ in 0..effort.rounds {
        for (subject, row) in subjects.iter().zip(&mut rows) {
            wrk::run(&subject.url, effort.warm_up).await?;
            row.samples.push(wrk::run(&subject.url, effort.measure).await?.requests_per_second);
        }
    }
    Ok(rows)
}

/// A row by its subject. The names are the scenario's own, so one that is missing is measured by nobody.
fn compare(rows: &mut [Row], own: &str, other: &str, bar: Option<crate::figures::Bar>) {
    let (mut owns, mut others) = (None, None);
    for (at, row) in rows.iter().enumerate() {
        if row.subject == own {
            owns = Some(at);
        } else if row.subject == other {
            others = Some(at);
        }
    }
    if let (Some(own), Some(other)) = (owns, others)
        && let Ok([own, other]) = rows.get_disjoint_mut([own, other])
    {
        own.compare(other, bar);
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
