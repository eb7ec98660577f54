//! Which requests are kept: those that failed or were slow, always; of the others a share, and not more in a second
//! than a person or a disk has use for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use wasm_host_limits::telemetry::{IMPORTANT_PER_SECOND, SERVICE_IMPORTANT_PER_SECOND};

/// Why a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReason {
    /// It failed.
    Error,
    /// It was slow.
    Slow,
    /// What asked keeps it, too.
    Parent,
    /// It was one of the share.
    Sampled,
    /// A recording leads to it.
    Recorded,
    /// It is no request but something that the host did, such as a swap.
    Operation,
    /// A program with the key sent it.
    Outside,
    /// A page in a browser sent it.
    Page,
}

impl KeepReason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Parent => "parent",
            Self::Sampled => "sampled",
            Self::Recorded => "recorded",
            Self::Operation => "operation",
            Self::Outside => "outside",
            Self::Page => "page",
        }
    }
}

/// Nanoseconds between two of those on the average.
const IMPORTANT_INTERVAL: u64 = 1_000_000_000 / IMPORTANT_PER_SECOND;
const SERVICE_INTERVAL: u64 = 1_000_000_000 / SERVICE_IMPORTANT_PER_SECOND;

/// Decides for traces that neither failed nor were slow.
pub struct Sampler {
    /// Of 2^32.
    share: u64,
    /// Nanoseconds between two that are kept, on the average; zero for no bound.
    interval: u64,
    /// How far ahead of that a burst may be.
    burst: u64,
    /// Nanoseconds from `since` on: when all that were kept would be over at that pace.
    paid_until: AtomicU64,
    since: Option<Instant>,
    /// The same for those that failed or were slow.
    important: AtomicU64,
    /// The same for those beyond it, of each service; these are of the application file.
    services: Mutex<BTreeMap<String, u64>>,
    /// Those of them that were beyond it.
    left_out: AtomicU64,
}

impl Sampler {
    /// Keeps none.
    pub(crate) const fn none() -> Self {
        Self {
            share: 0,
            interval: 0,
            burst: 0,
            paid_until: AtomicU64::new(0),
            since: None,
            important: AtomicU64::new(0),
            services: Mutex::new(BTreeMap::new()),
            left_out: AtomicU64::new(0),
        }
    }

    /// Keep `percent` of the traces, and of those at most `per_second`, after a quiet second as many at once.
    pub fn new(percent: usize, per_second: usize) -> Self {
        // None of those, and those that failed or were slow all the same.
        let paid_until = AtomicU64::new(if per_second == 0 { u64::MAX } else { 0 });
        let per_second = per_second.max(1);
        let share = (percent as u64).min(100) * (1 << 32) / 100;
        let interval = 1_000_000_000_u64 / per_second as u64;
        let since = Some(Instant::now());
        Self { share, interval, burst: 1_000_000_000, since, paid_until, ..Self::none() }
    }

    /// Whether to keep this trace. `parent`: what asked has decided so.
    pub(crate) fn keeps(&self, trace: u128, parent: Option<bool>) -> Option<KeepReason> {
        let why = match parent {
            Some(false) => return None,
            Some(true) => KeepReason::Parent,
            // The same in every process that sees the trace.
            None if ((trace as u64) & 0xffff_ffff) < self.share => KeepReason::Sampled,
            None => return None,
        };
        self.has_room(&self.paid_until, self.interval).then_some(why)
    }

    /// Whether there is room for one more that failed or was slow. Only a flood of them is beyond it, such as a service
    /// that is overloaded makes; what others have to show has room beside that.
    pub(crate) fn keeps_important(&self, service: &str) -> bool {
        let has_room =
            self.has_room(&self.important, IMPORTANT_INTERVAL) || self.has_room_of_its_own(service);
        if !has_room {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Only asked in a flood, so that nothing else takes the lock.
    fn has_room_of_its_own(&self, service: &str) -> bool {
        let now = self.now();
        let mut services = self.services.lock();
        if let Some(paid_until) = services.get_mut(service) {
            let paid = self.pay(*paid_until, now, SERVICE_INTERVAL);
            paid.inspect(|paid| *paid_until = *paid);
            return paid.is_some();
        }
        let paid = self.pay(0, now, SERVICE_INTERVAL);
        services.extend(paid.map(|paid| (service.to_owned(), paid)));
        paid.is_some()
    }

    /// Traces that failed or were slow, and were not kept.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Nanoseconds since the start.
    fn now(&self) -> u64 {
        let since = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn has_room(&self, paid_until: &AtomicU64, interval: u64) -> bool {
        let now = self.now();
        let pay = |paid: u64| self.pay(paid, now, interval);
        paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
    }

    /// One cell of the generic cell rate algorithm: until when it is paid with one more, if there is room for that.
    fn pay(&self, paid: u64, now: u64, interval: u64) -> Option<u64> {
        let is_ahead = paid > now.saturating_add(self.burst);
        (self.since.is_some() && !is_ahead).then(|| paid.max(now).saturating_add(interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_kept_and_the_same_one_everywhere() {
        let (one, other) = (Sampler::new(25, usize::MAX), Sampler::new(25, usize::MAX));
        let kept = |sampler: &Sampler, trace: u128| sampler.keeps(trace, None).is_some();
        let mut count = 0;
        for number in 0..1000_u64 {
            let trace = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7);
            assert_eq!(kept(&one, trace), kept(&other, trace));
            count += u32::from(kept(&one, trace));
        }
        assert!((200..300).contains(&count), "{count}");
    }

    #[test]
    fn no_more_are_kept_at_once_than_in_a_second() {
        let sampler = Sampler::new(100, 10);
        let kept = (0..1000).filter(|_| sampler.keeps(1, None).is_some()).count();
        assert!((10..=20).contains(&kept), "{kept}");
    }

    #[test]
    fn a_flood_of_failures_is_bounded_and_counted() {
        let sampler = Sampler::new(0, 0);
        let kept = (0..10_000).filter(|_| sampler.keeps_important("a")).count() as u64;
        let most = 2 * IMPORTANT_PER_SECOND;
        assert!((IMPORTANT_PER_SECOND..10_000).contains(&kept), "{kept} of at most {most} at once");
        assert_eq!(sampler.left_out(), 10_000 - kept);
    }

    #[test]
    fn what_asks_decides() {
        let sampler = Sampler::new(0, 100);
        assert_eq!(sampler.keeps(1, Some(true)), Some(KeepReason::Parent));
        assert_eq!(sampler.keeps(1, Some(false)), None);
        assert_eq!(sampler.keeps(1, None), None);
        assert_eq!(Sampler::new(100, 0).keeps(1, None), None);
        assert_eq!(Sampler::new(100, 0).keeps(1, Some(true)), None);
        assert_eq!(Sampler::none().keeps(1, Some(true)), None);
    }
}
