//! Neighbours: what a service feels of one that loops on every request and one that eats memory, beside it in
//! the same host.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::milliseconds;
use crate::Setting;
use crate::client::Client;
use crate::figures::{Bar, Row, quantile};
use crate::hosts::{Application, service};

/// Clients of the service that is measured, and the pause of each between two requests: a load at which nothing
/// queues when it is calm.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(5);

/// Clients of the two that misbehave. They ask without a pause.
const LOOPS: usize = 8;
const LEAKS: usize = 4;

/// Time for trouble to come up before it is measured.
const TROUBLE: Duration = Duration::from_millis(500);

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let tables = [
        service(setting, "good", "hello-p3", ""),
        service(setting, "looper", "hostile", "first-byte-timeout = \"1s\"\n"),
        service(
            setting,
            "leaker",
            "greedy",
            "memory = \"64MiB\"\ninstances = 4\nreuse = 1000000\n",
        ),
    ];
    let host = Application::new(setting, &tables.concat())?.serve().await?;
    let time = setting.effort.measure;
    ask(&host.address, time).await?;
    let mut rows = [
        Row::new("p99, calm", "ms", Vec::new()),
        Row::new("p99 beside a loop and a leak", "ms", Vec::new()),
    ];
    let mut memory = Row::new("memory beside a loop and a leak", "MB", Vec::new());
    let [calm, troubled] = &mut rows;
    for _ in 0..setting.effort.rounds {
        calm.samples.push(quantile(&ask(&host.address, time).await?, 0.99));
        let mut trouble = JoinSet::new();
        let paths = [("/looper/loop", LOOPS), ("/leaker/leak?1024", LEAKS)];
        for (path, clients) in paths {
            for _ in 0..clients {
                trouble.spawn(pester(host.address.clone(), path));
            }
        }
        sleep(TROUBLE).await;
        troubled.samples.push(quantile(&ask(&host.address, time).await?, 0.99));
        memory.samples.push(host.memory()? / 1e6);
        trouble.shutdown().await;
        // What was begun for them ends within a second.
        sleep(Duration::from_secs(2)).await;
    }
    troubled.compare(calm, Some(Bar::AtMost(3.0)));
    host.stop().await?;
    Ok(rows.into_iter().chain([memory]).collect())
}

/// The times of all answers, in milliseconds. Every one of them must be good.
async fn ask(address: &str, time: Duration) -> Result<Vec<f64>> {
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(address).await?;
        clients.spawn(async move {
            let (began, mut times) = (Instant::now(), Vec::new());
            while began.elapsed() < time {
                let asked = Instant::now();
                client.get("/good/").await?;
                times.push(milliseconds(asked.elapsed()));
                sleep(PAUSE).await;
            }
            anyhow::Ok(times)
        });
    }
    let mut all = Vec::new();
    while let Some(times) = clients.join_next().await {
        all.extend(times??);
    }
    Ok(all)
}

/// Ask again and again, whatever the answer.
async fn pester(address: String, path: &'static str) {
    loop {
        let Ok(mut client) = Client::connect(&address).await else { continue };
        while client.get(path).await.is_ok() {}
    }
}
