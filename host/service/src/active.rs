//! Which version takes the next request: one, or two while a canary runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::version::Version;

/// The versions that a service serves with. Replaced as a whole, with one pointer swap.
pub struct ActiveVersions {
    pub stable: Arc<Version>,
    pub canary: Option<Canary>,
}

/// A version that is tried on some of the requests.
pub struct Canary {
    pub version: Arc<Version>,
    /// Its share of the requests, 1 to 99.
    pub percent: u8,
    turn: AtomicU64,
}

impl ActiveVersions {
    pub fn only(version: Arc<Version>) -> Arc<Self> {
        Arc::new(Self { stable: version, canary: None })
    }

    pub fn with_canary(stable: Arc<Version>, version: Arc<Version>, percent: u8) -> Arc<Self> {
        let canary = Canary { version, percent, turn: AtomicU64::new(0) };
        Arc::new(Self { stable, canary: Some(canary) })
    }

    /// All versions that may take a request.
    pub fn versions(&self) -> Vec<Arc<Version>> {
        let canary = self.canary.as_ref().map(|canary| canary.version.clone());
        std::iter::once(self.stable.clone()).chain(canary).collect()
    }

    /// The version for one request.
    pub fn pick(&self) -> &Arc<Version> {
        match &self.canary {
            Some(canary) if canary.takes_next() => &canary.version,
            _ => &self.stable,
        }
    }
}

impl Canary {
    fn takes_next(&self) -> bool {
        takes(self.turn.fetch_add(1, Ordering::Relaxed), self.percent)
    }
}

/// Exactly `percent` of every hundred turns, spread evenly among them.
fn takes(turn: u64, percent: u8) -> bool {
    let (turn, percent) = (turn % 100, u64::from(percent));
    (turn + 1) * percent / 100 > turn * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_takes_its_share_and_not_all_at_once() {
        for percent in [1, 10, 33, 50, 99] {
            let taken: Vec<u64> = (0..100).filter(|turn| takes(*turn, percent)).collect();
            assert_eq!(taken.len(), usize::from(percent));
            let widest = taken.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(100);
            assert!(widest <= 100 / u64::from(percent) + 1, "{percent}: {taken:?}");
        }
    }
}
