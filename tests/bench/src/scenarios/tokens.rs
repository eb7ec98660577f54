//! Streams of tokens through the Ollama component against the model server itself: what comes later, and
//! what thousands of them hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, getrlimit};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Setting;
use crate::figures::{Bar, Row, quantile};
use crate::hosts::{Application, service};
use crate::process::{self, Server};
use crate::stream::{self, Pace, Shared, TokenTimes};
use crate::twins;

const DIRECT: &str = "/api/generate";
const THROUGH: &str = "/ollama/api/generate";

/// A pace at which nothing queues.
const PACED: Pace = Pace { tokens: 40, pause: Duration::from_millis(10) };

const FLAT_OUT: Pace = Pace { tokens: 50_000, pause: Duration::ZERO };

/// Streams that are alive at once: what is wanted, in the order in which it is measured.
const LIVE: [usize; 2] = [2_000, 10_000];

/// Descriptors that a host needs beside two for each stream.
const OTHER_FILES: usize = 100;

/// Streams that share a connection of HTTP/2, as many as the host lets.
const SHARED: usize = 100;

/// Streams that are about to begin.
const AT_A_TIME: usize = 200;

/// How long it may take until all have begun.
const BEGINNING: Duration = Duration::from_secs(60);

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let upstream = Server::start(&mut process::twin(&["upstream"])?, twins::MARK).await?;
    let many = LIVE.iter().max().copied().unwrap_or_default() + OTHER_FILES;
    let more = format!(
        "ollama = \"local\"\nconcurrent = {many}\ninstances = 100\nper-instance = 128\n\
         reuse = 1000000\n"
    );
    let tables = format!(
        "[http]\nconnections = {many}\n[limits]\nconcurrent = {many}\n[ollama.local]\nurl = \"http://{}\"\nconcurrent = {many}\n{}",
        upstream.address,
        service(setting, "ollama", "ollama", &more)
    );
    let application = Application::new(setting, &tables)?;
    let host = application.serve().await?;

    let mut rows = paced(setting, &upstream.address, &host.address).await?;
    rows.extend(flat_out(setting, &upstream.address, &host.address).await?);
    let live = if setting.effort.quick { &[500][..] } else { &LIVE };
    for wanted in live {
        rows.push(alive(*wanted, &host).await?);
    }
    host.stop().await?;
    upstream.stop().await?;
    Ok(rows)
}

/// One stream at a time, at a pace: what the way through the component adds.
async fn paced(setting: &Setting, direct: &str, through: &str) -> Result<Vec<Row>> {
    let streams = if setting.effort.quick { 10 } else { 30 };
    let mut added: [(&str, f64, Vec<f64>); 4] = [
        ("added to the first token, p50", 0.5, Vec::new()),
        ("added to the first token, p99", 0.99, Vec::new()),
        ("added to each token, p50", 0.5, Vec::new()),
        ("added to each token, p99", 0.99, Vec::new()),
    ];
    let pace = if setting.effort.quick { Pace { tokens: 10, ..PACED } } else { PACED };
    for _ in 0..setting.effort.rounds {
        let (mut first, mut each) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for _ in 0..streams {
            for (way, (address, path)) in [(direct, DIRECT), (through, THROUGH)].iter().enumerate()
            {
                let seen: TokenTimes = stream::read(address, path, pace, || {}).await?;
                if let (Some(first), Some(each)) = (first.get_mut(way), each.get_mut(way)) {
                    first.push(seen.first);
                    each.extend_from_slice(&seen.under_way);
                }
            }
        }
        let difference = |[direct, through]: &[Vec<f64>; 2], share: f64| {
            quantile(through, share) - quantile(direct, share)
        };
        for (at, (_, share, samples)) in added.iter_mut().enumerate() {
            samples.push(difference(if at < 2 { &first } else { &each }, *share));
        }
    }
    let rows = added.into_iter().enumerate().map(|(at, (name, _, samples))| {
        let row = Row::new(name, "us", samples);
        if at == 0 { row.bar(Bar::AtMost(500.0)) } else { row }
    });
    Ok(rows.collect())
}

/// One stream as fast as it goes.
async fn flat_out(setting: &Setting, direct: &str, through: &str) -> Result<Vec<Row>> {
    let mut rows = [
        Row::new("flat out, directly", "tokens/s", Vec::new()),
        Row::new("flat out, through the component", "tokens/s", Vec::new()),
    ];
    for _ in 0..setting.effort.rounds {
        for (row, (address, path)) in rows.iter_mut().zip([(direct, DIRECT), (through, THROUGH)]) {
            let seen = stream::read(address, path, FLAT_OUT, || {}).await?;
            row.samples.push(f64::from(FLAT_OUT.tokens) / (seen.whole / 1e6));
        }
    }
    let [direct, mut through] = rows;
    through.compare(&direct, None);
    Ok(vec![direct, through])
}

/// Many streams at once, all of which must come to their end; the memory that each holds meanwhile.
async fn alive(wanted: usize, host: &Server) -> Result<Row> {
    sleep(Duration::from_secs(2)).await;
    let idle = host.memory()?;
    let begun = Arc::new(AtomicUsize::new(0));
    // Long enough that the first is still there when the last has begun.
    let pace = Pace { tokens: 20, pause: Duration::from_millis(500 + wanted as u64 / 4) };
    let shared = sharing(wanted);
    let mut connection = None;
    let mut streams = JoinSet::new();
    let started = Instant::now();
    for number in 0..wanted {
        let (address, begun) = (host.address.clone(), begun.clone());
        let begin = {
            let begun = begun.clone();
            move || {
                begun.fetch_add(1, Ordering::Relaxed);
            }
        };
        if number < shared {
            if number % SHARED == 0 {
                connection = Some(Shared::connect(&address, THROUGH).await?);
            }
            let connection = connection.clone().context("a connection")?;
            streams.spawn(connection.read(pace, begin));
        } else {
            streams
                .spawn(async move { stream::read(&address, THROUGH, pace, begin).await.map(drop) });
        }
        // As many at a time as backlogs hold.
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
    ensure!(streams.len() == wanted, "some streams ended before all had begun");
    let each = (host.memory()? - idle) / wanted as f64 / 1000.0;
    while let Some(ended) = streams.join_next().await {
        ended??;
    }
    let row = Row::new(format!("memory of each of {wanted} live streams"), "kB", vec![each]);
    Ok(row.bar(Bar::AtMost(60.0)))
}

/// How many of so many streams share connections, for want of descriptors: the host has one for each connection
/// and one for each stream, and only root may have more than the limit.
fn sharing(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).maximum.map_or(usize::MAX, |files| files as usize);
    let missing = (2 * wanted + OTHER_FILES).saturating_sub(files);
    // Each that shares leaves one descriptor, less its part of the connection.
    (missing + missing / 10).next_multiple_of(SHARED).min(wanted)
}
