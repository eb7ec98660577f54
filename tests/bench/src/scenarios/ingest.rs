//! Telemetry of others: so many spans a second come in while the host serves.
//!
//! What is asked is not how many it can take, but whether it serves as before meanwhile, grows no further, and counts
//! what it leaves out. The sender keeps its pace whatever the answers are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::milliseconds;
use crate::client::Client;
use crate::figures::{Bar, Row, quantile};
use crate::hosts::{Application, Control, service};
use crate::{Effort, Setting};

/// Spans in a second, and in one request: what a batch processor sends by default is 512.
const RATE: usize = 20_000;
const BATCH: usize = 500;

/// Connections that send in turn.
const SENDERS: usize = 4;

/// Between two requests of a client. The load is light: what is looked at is how long each takes.
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) async fn run(setting: &Setting) -> Result<Vec<Row>> {
    let application = Application::new(setting, &service(setting, "p3", "hello-p3", ""))?;
    let host = application.serve().await?;
    let time = time(setting.effort);
    let calm = serve(&host.address, time).await?;
    let sending = send(&application, time);
    let serving = serve(&host.address, time);
    let (sent, busy) = tokio::try_join!(sending, serving)?;
    let memory = host.memory()? / 1e6;
    host.stop().await?;

    let seconds = time.as_secs_f64();
    let calm = Row::new("hello's p99, calm", "ms", vec![calm]);
    let mut busy = Row::new("hello's p99 beside it", "ms", vec![busy]);
    busy.compare(&calm, None);
    Ok(vec![
        Row::new("spans sent", "spans/s", vec![sent.offered as f64 / seconds])
            .bar(Bar::AtLeast(0.99 * RATE as f64)),
        Row::new("spans taken", "spans/s", vec![sent.taken as f64 / seconds]),
        Row::new("spans left out, and told so", "spans/s", vec![sent.refused as f64 / seconds]),
        Row::new("spans that nothing was said of", "spans", vec![sent.unaccounted() as f64])
            .bar(Bar::AtMost(0.0)),
        calm,
        busy,
        Row::new("memory after it", "MB", vec![memory]),
    ])
}

fn time(effort: Effort) -> Duration {
    Duration::from_secs(if effort.quick { 5 } else { 60 })
}

/// The time below which 99 of 100 answers of a client came, in milliseconds.
async fn serve(address: &str, time: Duration) -> Result<f64> {
    let mut client = Client::connect(address).await?;
    let until = Instant::now() + time;
    let mut times = Vec::new();
    while Instant::now() < until {
        let asked = Instant::now();
        client.get("/p3/").await?;
        times.push(milliseconds(asked.elapsed()));
        sleep_until(asked + PAUSE).await;
    }
    Ok(quantile(&times, 0.99))
}

#[derive(Clone, Copy, Default)]
struct Sent {
    offered: usize,
    taken: usize,
    refused: usize,
}

impl Sent {
    fn unaccounted(self) -> usize {
        self.offered.saturating_sub(self.taken + self.refused)
    }
}

/// Keep the pace for so long.
async fn send(application: &Application, time: Duration) -> Result<Sent> {
    let mut senders = Vec::new();
    for number in 0..SENDERS {
        senders.push(sender(application.control().await?, number, time));
    }
    let mut senders = senders.into_iter();
    let mut next = || senders.next().context("as many as SENDERS");
    let (a, b, c, d) = tokio::try_join!(next()?, next()?, next()?, next()?)?;
    Ok([a, b, c, d].into_iter().fold(Sent::default(), |all, sent| Sent {
        offered: all.offered + sent.offered,
        taken: all.taken + sent.taken,
        refused: all.refused + sent.refused,
    }))
}

async fn sender(mut control: Control, number: usize, time: Duration) -> Result<Sent> {
    let mut random = fastrand::Rng::with_seed(number as u64);
    let pause = Duration::from_secs_f64((BATCH * SENDERS) as f64 / RATE as f64);
    let mut turns = interval(pause);
    // What was late is made up for: the pace is what is asked of it.
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = Sent::default();
    for _ in 0..(time.as_secs_f64() / pause.as_secs_f64()) as usize {
        turns.tick().await;
        sent.offered += BATCH;
        let (status, answer) = control.traces(batch(&mut random)?).await?;
        if status == StatusCode::SERVICE_UNAVAILABLE {
            sent.refused += BATCH;
            continue;
        }
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
        let answer = ExportTraceServiceResponse::decode(answer)?;
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
        let rejected = usize::try_from(rejected)?;
        sent.refused += rejected;
        sent.taken += BATCH - rejected;
    }
    Ok(sent)
}

/// Traces of five spans, as a small service has them.
fn batch(random: &mut fastrand::Rng) -> Result<Bytes> {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?;
    let mut spans = Vec::with_capacity(BATCH);
    while spans.len() < BATCH {
        let trace = random.u128(1..).to_be_bytes();
        let root = random.u64(1..).to_be_bytes();
        for part in 0..5 {
            let is_root = part == 0;
            let id = if is_root { root } else { random.u64(1..).to_be_bytes() };
            spans.push(Span {
                trace_id: trace.to_vec(),
                span_id: id.to_vec(),
                parent_span_id: if is_root { Vec::new() } else { root.to_vec() },
                name: if is_root { "GET /orders".to_owned() } else { format!("step {part}") },
                kind: if is_root { 2 } else { 3 },
                start_time_unix_nano: now - 5_000_000,
                end_time_unix_nano: now - 1_000_000,
                attributes: vec![
                    attribute("http.request.method", "GET"),
                    attribute("http.route", "/orders/{id}"),
                    attribute("server.address", "orders.example"),
                ],
                ..Span::default()
            });
        }
    }
    let resource =
        Resource { attributes: vec![attribute("service.name", "orders")], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }];
    Ok(ExportTraceServiceRequest { resource_spans }.encode_to_vec().into())
}

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}
