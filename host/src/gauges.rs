//! How things are at the moment, as figures: what is counted nowhere else.

use std::fs;
use std::sync::{Arc, OnceLock, Weak};

use crate::serve::Host;
use wasm_host_capabilities::backend::{Condition, Pool};
use wasm_host_engine::state::Grants;
use wasm_host_http::admin::{ServiceStatus, Status as _};
use wasm_host_telemetry::instruments;
use wasm_host_telemetry::metrics::{Figure, Instrument, Point, Reading};

/// All figures of a host, for what keeps them: it is there before the host is.
#[derive(Clone, Default)]
pub(crate) struct Figures(Arc<OnceLock<Weak<Host>>>);

impl Figures {
    pub(crate) fn are_of(&self, host: &Arc<Host>) {
        // A second host would be another process.
        let _ = self.0.set(Arc::downgrade(host));
    }

    pub(crate) fn read(&self) -> Vec<Reading> {
        let host = self.0.get().and_then(Weak::upgrade);
        host.map(|host| host.figures()).unwrap_or_default()
    }
}

/// How the host and its services are now.
pub(crate) fn now(host: &Host) -> Vec<Reading> {
    let services = host.services();
    let of = |instrument, figure: fn(&ServiceStatus) -> f64| {
        let points = services.iter().map(|service| point(&[&service.service], figure(service)));
        reading(instrument, points.collect())
    };
    let ended = services.iter().flat_map(|service| {
        let counts = [
            ("served", service.served),
            ("failed", service.failed.saturating_sub(service.cut)),
            ("cut", service.cut),
            ("refused", service.refused),
            ("left", service.cancelled),
        ];
        counts.map(|(how, count)| point(&[&service.service, how], count as f64))
    });
    let calls = host.backends.calls().into_iter();
    let up = host.conditions.known().into_iter();
    let up = up.map(|(backend, condition)| {
        let is_up = u8::from(condition == Condition::Up);
        point(&[&backend], f64::from(is_up))
    });
    let breakers = host.backends.breakers();
    let open = breakers.iter().map(|(backend, it)| {
        let is_open = u8::from(it.is_open);
        point(&[backend], f64::from(is_open))
    });
    let openings = breakers.iter().map(|(backend, it)| point(&[backend], it.openings as f64));
    let pools = host.backends.pools();
    let of_pools = |instrument, figure: fn(&Pool) -> Option<usize>| {
        let points = pools.iter().filter_map(|(backend, pool)| {
            let value = figure(pool)?;
            Some(point(&[backend], value as f64))
        });
        reading(instrument, points.collect())
    };
    let mut all = vec![
        of(&instruments::ACTIVE, |service| service.in_flight as f64),
        of(&instruments::QUEUED, |service| service.queued as f64),
        of(&instruments::INSTANCES, |service| service.instances as f64),
        reading(&instruments::ENDED, ended.collect()),
        reading(
            &instruments::BACKEND_CALLS,
            calls.map(|(backend, calls)| point(&[&backend], calls as f64)).collect(),
        ),
        of_pools(&instruments::BACKEND_IDLE, |pool| pool.idle),
        of_pools(&instruments::BACKEND_WAITING, |pool| Some(pool.waiting)),
        of_pools(&instruments::BACKEND_MOST, |pool| Some(pool.most)),
        reading(&instruments::BACKEND_UP, up.collect()),
        reading(
            &instruments::SERVICE_MEMORY,
            of_components(host, |grants| grants.memory.used() as f64),
        ),
        reading(
            &instruments::SERVICE_CPU,
            of_components(host, |grants| grants.processor_time.total().as_secs_f64()),
        ),
        reading(&instruments::BREAKER_OPEN, open.collect()),
        reading(&instruments::BREAKER_OPENINGS, openings.collect()),
        reading(&instruments::UPTIME, vec![point(&[], host.began.elapsed().as_secs_f64())]),
    ];
    all.extend(memory().map(|bytes| reading(&instruments::MEMORY, vec![point(&[], bytes as f64)])));
    all
}

/// What services have that run a component.
fn of_components(host: &Host, figure: impl Fn(&Grants) -> f64) -> Vec<Point> {
    let services = host.config.services.keys().filter_map(|name| host.registry.find(name));
    services
        .map(|service| point(&[&service.name], figure(service.active().stable.grants())))
        .collect()
}

/// What the system says. None: it does not.
pub(crate) fn memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn reading(instrument: &'static Instrument, points: Vec<Point>) -> Reading {
    Reading { instrument, points, has_overflow: false }
}

fn point(labels: &[&str], value: f64) -> Point {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Point { labels, value: Figure::Number(value), exemplar: None }
}
