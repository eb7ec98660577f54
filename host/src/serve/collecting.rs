//! Telemetry from the first moment of a start to the last of a stop.

use std::sync::Arc;

use anyhow::Context as _;

use crate::exit::Exit;
use crate::gauges::Figures;
use wasm_host_collector::{Bounds, Pipeline, Sender};
use wasm_host_config::{Config, TelemetryConfig};
use wasm_host_http::intake::{self, Intake};
use wasm_host_log as log;
use wasm_host_otlp::Otlp;
use wasm_host_telemetry::log::{Level, LogRecord, Source};
use wasm_host_telemetry::sampling::Sampler;
use wasm_host_telemetry::{Collector as _, Telemetry, clock};

/// What telemetry goes through.
pub(super) struct Collected {
    pub telemetry: &'static Telemetry,
    pub collecting: Collecting,
    /// What others send.
    pub intake: Arc<Intake>,
}

/// What writes it, and what sends it. To be stopped.
pub(super) struct Collecting {
    /// None: telemetry is off.
    sender: Option<Sender>,
    pub pipeline: Pipeline,
    /// None: no collector is named.
    pub otlp: Option<Otlp>,
}

impl Collecting {
    /// A line that only the store has: on standard error it stands already.
    pub(super) fn say(&self, why: &str) {
        let Some(sender) = &self.sender else { return };
        sender.log(LogRecord {
            time: clock::now(),
            level: Level::Error,
            service: None,
            source: Source::Host,
            trace: None,
            span: None,
            request: None,
            message: format!("the host does not start: {why}"),
            fields: Vec::new(),
        });
    }
}

/// See what happens from now on, keep it, and send it where the environment says.
pub(super) fn collect(config: &Config, figures: &Figures) -> Result<Collected, Exit> {
    let TelemetryConfig { is_enabled, captures_messages, intake_key, limits, .. } =
        &config.telemetry;
    let sender = Sender::default();
    let sampler = Sampler::new(limits.sample_percent, limits.sample_per_second);
    let telemetry = match is_enabled {
        true => Telemetry::new(Box::new(sender.clone()), sampler, limits.slow, *captures_messages),
        false => Telemetry::none(),
    };
    let telemetry = telemetry.leak();
    let otlp = match is_enabled {
        true => Otlp::from_environment(&config.name, |name| std::env::var(name).ok())
            .map_err(Exit::Usage)?,
        false => None,
    };
    let exporters = otlp.iter().map(Otlp::exporter).collect();
    let bounds = Bounds { bytes: limits.store_bytes, age: limits.store_age };
    let figures = figures.clone();
    let source = Box::new(move || figures.read());
    let pipeline = Pipeline::start(&sender, &config.state_dir, bounds, source, exporters);
    if telemetry.is_on() {
        log::collect(telemetry);
    }
    let pipeline = pipeline.context("the thread that keeps telemetry does not start")?;
    let said = is_enabled.then(|| sender.clone());
    let intake = Arc::new(Intake::new(intake::Wiring {
        sender,
        telemetry,
        key: intake_key.as_ref(),
        own_instance: otlp.as_ref().map(Otlp::instance),
        page_spans_per_second: limits.page_spans_per_second,
    }));
    let collecting = Collecting { sender: said, pipeline, otlp };
    Ok(Collected { telemetry, collecting, intake })
}

/// Write and send what is left.
pub(super) async fn stop(collecting: Option<Collecting>) {
    let Some(Collecting { pipeline, otlp, .. }) = collecting else { return };
    pipeline.stop().await;
    if let Some(otlp) = otlp {
        otlp.stop().await;
    }
}
