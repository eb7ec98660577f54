//! Swaps: how long one takes, and what a steady load feels of one after the other.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::milliseconds;
use crate::figures::{Bar, Row, quantile};
use crate::hosts::{Application, Control, component, service};
use crate::{Setting, wrk};

/// Between two swaps of the steady load: as often as somebody saves who saves all the time.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let effort = setting.effort;
    let application = Application::new(setting, &service(setting, "p3", "hello-p3", ""))?;
    let host = application.serve().await?;
    let mut control = application.control().await?;
    let plain = fs::read(component(setting, "hello-p3"))?;
    let version = |number: usize| Bytes::from(renamed(&plain, number));
    let url = format!("http://{}/p3/", host.address);

    let versions = effort.rounds * 2;
    let (mut compiled, mut cached) = (Vec::new(), Vec::new());
    for number in 0..versions {
        compiled.push(time(&mut control, version(number)).await?);
        // The one before is on disk, compiled.
        if number > 0 {
            cached.push(time(&mut control, version(number - 1)).await?);
        }
    }

    // Never the one that serves: that would be no swap.
    let mut next = versions - 1;
    let (mut calm, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        wrk::run(&url, effort.warm_up).await?;
        calm.push(wrk::run(&url, effort.measure).await?.p99);
        // The last swap comes to its end as well: given up in the middle, it would take the connection with it.
        let over = Cell::new(false);
        let load = async {
            let run = wrk::run(&url, effort.measure).await;
            over.set(true);
            run
        };
        let swapping = async {
            while !over.get() {
                time(&mut control, version(next)).await?;
                next = (next + 1) % versions;
                sleep(PAUSE).await;
            }
            anyhow::Ok(())
        };
        let (run, swapped) = tokio::join!(load, swapping);
        swapped?;
        busy.push(run?.p99);
    }
    host.stop().await?;

    let calm = Row::new("p99 under load, calm", "ms", calm);
    let mut busy = Row::new("p99 under load, swapping five times a second", "ms", busy);
    busy.compare(&calm, Some(Bar::AtMost(2.0)));
    let worst = Row::new("from file to serving, cached, worst", "ms", vec![quantile(&cached, 1.0)]);
    Ok(vec![
        Row::new("from file to serving, compiled", "ms", compiled),
        Row::new("from file to serving, cached", "ms", cached).bar(Bar::AtMost(50.0)),
        worst,
        calm,
        busy,
    ])
}

async fn time(control: &mut Control, component: Bytes) -> Result<f64> {
    let started = Instant::now();
    control.swap("p3", component).await?;
    Ok(milliseconds(started.elapsed()))
}

/// The same component as another file: a custom section, which means nothing, with a number in it.
fn renamed(component: &[u8], number: usize) -> Vec<u8> {
    let name = format!("bench-{number:03}");
    let mut bytes = component.to_vec();
    let length = name.len() as u8;
    bytes.extend_from_slice(&[0, length + 1, length]);
    bytes.extend_from_slice(name.as_bytes());
    bytes
}
