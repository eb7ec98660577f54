//! What one processor carries: the time that the host takes of the processors for a request, and for a token of one of
//! many live streams. What the load takes is left out, so that it can be told from it how many processors a load needs,
//! also one that is larger than this machine. For figures about replicas see `replicas`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use wasm_host_tests::postgres::Postgres;

use crate::Setting;
use crate::figures::Row;
use crate::hosts::{Application, service};
use crate::process::{self, Server, Times};
use crate::stream::{self, Pace};
use crate::{twins, wrk};

/// Streams that are alive at once, and what each has in a second: as fast as people read.
const STREAMS: usize = 1000;
const TOKENS_PER_SECOND: u32 = 10;

/// Streams that are about to begin.
const AT_A_TIME: usize = 200;

/// How long it may take until all have begun.
const BEGINNING: Duration = Duration::from_secs(60);

const FILE_BYTES: usize = 1000;

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let postgres = tokio::task::spawn_blocking(Postgres::start).await?;
    let upstream = Server::start(&mut process::twin(&["upstream"])?, twins::MARK).await?;
    let files = tempfile::tempdir()?;
    std::fs::write(files.path().join("file.bin"), vec![b'x'; FILE_BYTES])?;
    let init = setting.run.root.join("components/weather/sql/init.sql");
    let room = STREAMS + AT_A_TIME;
    let streams = format!("ollama = \"local\"\nconcurrent = {room}\nper-instance = 128\n");
    let tables = format!(
        "[http]\nconnections = {room}\n[limits]\nconcurrent = {room}\n\
         [postgres.weather]\nurl = \"{}\"\ninit = [\"{}\"]\n\
         [ollama.local]\nurl = \"http://{}\"\nconcurrent = {room}\n\
         [service.files]\nstatic = \"{}\"\n{}{}{}",
        postgres.url(),
        init.display(),
        upstream.address,
        files.path().display(),
        service(setting, "p3", "hello-p3", ""),
        service(setting, "weather", "weather", "postgres = \"weather\"\n"),
        service(setting, "ollama", "ollama", &streams),
    );
    let application = Application::new(setting, &tables)?;
    let host = application.serve().await?;
    let database = postgres.pid();

    let mut rows = Vec::new();
    rows.push(asked(setting, &host, None, "a hello of WASI 0.3", "/p3/").await?.0);
    let (own, others) =
        asked(setting, &host, Some(database), "a forecast", "/weather/forecast").await?;
    rows.push(own);
    rows.extend(others);
    rows.push(asked(setting, &host, None, "a file of 1 kB", "/files/file.bin").await?.0);
    rows.push(streamed(setting, &host).await?);
    host.stop().await?;
    upstream.stop().await?;
    tokio::task::spawn_blocking(move || drop(postgres)).await?;
    Ok(rows)
}

/// Processor time of one request, of the host's and of its database's.
async fn asked(
    setting: &Setting,
    host: &Server,
    database: Option<u32>,
    name: &str,
    path: &str,
) -> Result<(Row, Option<Row>)> {
    let url = format!("http://{}{path}", host.address);
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for _ in 0..setting.effort.rounds {
        wrk::run(&url, setting.effort.warm_up).await?;
        let before = Times::of(host.pid()?)?;
        let databases = database.map(Times::with_children).transpose()?;
        let started = Instant::now();
        let run = wrk::run(&url, setting.effort.measure).await?;
        let requests = run.requests_per_second * started.elapsed().as_secs_f64();
        own.push(Times::of(host.pid()?)?.since(&before).as_secs_f64() * 1e6 / requests);
        if let Some((database, before)) = database.zip(databases) {
            let took = Times::with_children(database)?.since(&before);
            others.push(took.as_secs_f64() * 1e6 / requests);
        }
    }
    let row = Row::new(format!("processor time of {name}"), "us", own);
    let others = (!others.is_empty())
        .then(|| Row::new(format!("processor time of {name}, the database's"), "us", others));
    Ok((row, others))
}

/// Processor time of one token, while many streams live.
async fn streamed(setting: &Setting, host: &Server) -> Result<Row> {
    let wanted = if setting.effort.quick { STREAMS / 10 } else { STREAMS };
    let seconds = u32::try_from(setting.effort.measure.as_secs()).unwrap_or(1);
    let rounds = u32::try_from(setting.effort.rounds).unwrap_or(1);
    let pause = Duration::from_secs(1) / TOKENS_PER_SECOND;
    // They outlast all rounds, however long it takes until all have begun.
    let lasts = seconds * rounds + u32::try_from(BEGINNING.as_secs()).unwrap_or(60);
    let pace = Pace { tokens: lasts * TOKENS_PER_SECOND, pause };
    let begun = Arc::new(AtomicUsize::new(0));
    let mut streams = JoinSet::new();
    let started = Instant::now();
    for number in 0..wanted {
        let (address, counter) = (host.address.clone(), begun.clone());
        streams.spawn(async move {
            let begun = move || {
                counter.fetch_add(1, Ordering::Relaxed);
            };
            stream::read(&address, "/ollama/api/generate", pace, begun).await.map(drop)
        });
        while number + 1 - begun.load(Ordering::Relaxed) >= AT_A_TIME
            || (number + 1 == wanted && begun.load(Ordering::Relaxed) < wanted)
        {
            if let Some(ended) = streams.try_join_next() {
                ended??;
            }
            let begun = begun.load(Ordering::Relaxed);
            ensure!(started.elapsed() < BEGINNING, "only {begun} of {wanted} streams began");
            sleep(Duration::from_millis(5)).await;
        }
    }
    let mut samples = Vec::new();
    for _ in 0..rounds {
        let (before, started) = (Times::of(host.pid()?)?, Instant::now());
        sleep(setting.effort.measure).await;
        let took = Times::of(host.pid()?)?.since(&before);
        let tokens = started.elapsed().as_secs_f64() / pause.as_secs_f64() * wanted as f64;
        samples.push(took.as_secs_f64() * 1e6 / tokens);
    }
    ensure!(streams.len() == wanted, "some streams ended while they were measured");
    // A stream that broke meanwhile is no result; those that live are given up.
    if let Some(ended) = streams.try_join_next() {
        ended?.context("a stream ended too early")?;
    }
    streams.shutdown().await;
    let name = format!("processor time of a token, {wanted} streams of 10 a second");
    Ok(Row::new(name, "us", samples))
}
