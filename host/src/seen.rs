//! What there was of each service in the last minute, from the figures that were collected.

use std::collections::BTreeSet;

use wasm_host_capabilities as capability;
use wasm_host_capabilities::backend::asked;
use wasm_host_capabilities::figures::Figure;
use wasm_host_collector::{Reader, Recent as Measured, TraceQuery};
use wasm_host_http::admin::resources::{Recent, RecentFailure};
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::attributes;
use wasm_host_telemetry::instruments::{CLIENT_DURATION, SERVER_DURATION};
use wasm_host_telemetry::metrics::Reading;

/// Asks the collector on behalf of the control plane.
pub(crate) struct TelemetryReader(pub(crate) Reader);

impl TelemetryReader {
    /// The requests that a service answered.
    pub(crate) fn service(&self, service: &str) -> Recent {
        recent(self.0.recent(SERVER_DURATION.name, &[("service", service)]))
    }

    /// The requests that one version of it answered.
    pub(crate) fn version(&self, service: &str, version: &str) -> Recent {
        let labels = [("service", service), (attributes::VERSION, version)];
        recent(self.0.recent(SERVER_DURATION.name, &labels))
    }

    /// The calls of a service to one of its grants, such as `postgres.weather` or `service.other`.
    pub(crate) fn calls(&self, service: &str, grant: &str) -> Recent {
        let (kind, name) = grant.split_once('.').unwrap_or((grant, ""));
        let figures = match capability::ALL.iter().find(|capability| capability.key() == kind) {
            Some(capability) => capability.figures(name),
            None => vec![Figure::new(&CLIENT_DURATION, [("server.address", name)])],
        };
        let recents = figures.iter().map(|figure| {
            let labels = figure.labels.iter().map(|(label, value)| (*label, &**value));
            let labels: Vec<_> = [("service", service)].into_iter().chain(labels).collect();
            recent(self.0.recent(figure.instrument.name, &labels))
        });
        recents.fold(Recent::default(), added)
    }

    /// Those of all services to a backend. The percentiles are the worst of a service: those of several cannot be
    /// made into one.
    pub(crate) fn backend<'s>(
        &self,
        backend: &str,
        services: impl Iterator<Item = &'s str>,
    ) -> Recent {
        services.map(|service| self.calls(service, backend)).fold(Recent::default(), added)
    }

    /// The names that there are rows of. None: the store does not say it now.
    pub(crate) async fn names(&self) -> Option<BTreeSet<String>> {
        asked(self.0.services()).await?.ok()
    }

    /// What was not kept, as there was no room for it or it could not be written.
    pub(crate) fn dropped(&self) -> Reading {
        self.0.dropped().reading()
    }

    /// The last requests of a service that failed.
    pub(crate) async fn failures(&self, service: &str) -> Vec<RecentFailure> {
        let query = TraceQuery {
            service: Some(service.to_owned()),
            errors: true,
            limit: Some(limits::LAST_FAILURES),
            ..TraceQuery::default()
        };
        // What cannot be asked is not shown, and the rest of the page is.
        let failed = self.0.traces(&query).await.map(|page| page.items).unwrap_or_default();
        let mut failures = Vec::with_capacity(failed.len());
        for item in failed {
            let reason = self.reason(service, &item.trace).await;
            failures.push(RecentFailure {
                time: item.start,
                trace: item.trace,
                status: item.status.and_then(|status| status.try_into().ok()),
                message: item.name,
                path: item.path,
                reason,
            });
        }
        failures
    }
}

impl TelemetryReader {
    /// Why a trace failed: by what the service says of it first, and else by what another one says.
    async fn reason(&self, service: &str, trace: &str) -> Option<String> {
        let detail = self.0.trace(trace.parse().ok()?).await.ok()??;
        let failed = || detail.spans.iter().filter(|span| span.message.is_some());
        let own = failed().find(|span| span.service == service).or_else(|| failed().next());
        own.and_then(|span| span.message.clone())
    }
}

fn added(all: Recent, one: Recent) -> Recent {
    Recent {
        rate: all.rate + one.rate,
        errors: all.errors + one.errors,
        p50: all.p50.max(one.p50),
        p99: all.p99.max(one.p99),
    }
}

fn recent(measured: Measured) -> Recent {
    let micros = |seconds: f64| (seconds * 1e6).round() as u64;
    let Measured { rate, errors, p50, p99 } = measured;
    Recent { rate, errors, p50: p50.map(micros), p99: p99.map(micros) }
}
