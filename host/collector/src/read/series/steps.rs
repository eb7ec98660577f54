//! Where points stand in time. Pure.

use super::SeriesQuery;
use wasm_host_limits::telemetry as limits;
use wasm_host_telemetry::clock;

/// From when until when, and how far apart.
pub(super) struct Steps {
    pub(super) from: u64,
    pub(super) until: u64,
    pub(super) step: u64,
    pub(super) count: usize,
}

impl Steps {
    pub(super) fn of(query: &SeriesQuery) -> Self {
        let points = query.points.unwrap_or(limits::POINTS).clamp(1, limits::POINTS_MAX) as u64;
        let until = query.until.min(clock::now()).max(1);
        let since = query.since.min(until - 1);
        let interval = clock::micros(limits::STORE_INTERVAL);
        // Whole intervals, so that no step has more readings than the next one.
        let step = (until - since).div_ceil(points).div_ceil(interval).max(1) * interval;
        let from = since - since % step;
        let count = usize::try_from((until - from).div_ceil(step)).unwrap_or(usize::MAX);
        Self { from, until, step, count }
    }

    pub(super) fn begins(&self, number: usize) -> u64 {
        self.from + number as u64 * self.step
    }

    /// The last one may not be over.
    pub(super) fn seconds(&self, number: usize) -> f64 {
        let interval = clock::micros(limits::STORE_INTERVAL);
        let is_over = self.until.saturating_sub(self.begins(number));
        is_over.clamp(interval, self.step) as f64 / 1e6
    }
}
