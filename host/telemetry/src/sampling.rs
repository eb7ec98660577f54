//! Which requests are kept: those that failed or were slow, always; of the others a share, and not more in a second
//! than a person or a disk has use for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Why a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It failed.
    Error,
    /// It was slow.
    Slow,
    /// What asked keeps it, too.
    Parent,
    /// It was one of the share.
    Sampled,
    /// It is no request but something that the host did, such as a swap.
    Operation,
}

impl Kept {
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Parent => "parent",
            Self::Sampled => "sampled",
            Self::Operation => "operation",
        }
    }
}

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
}

impl Sampler {
    /// Keeps none.
    pub(crate) const fn none() -> Self {
        Self { share: 0, interval: 0, burst: 0, paid_until: AtomicU64::new(0), since: None }
    }

    /// Keep `percent` of the traces, and of those at most `per_second`, after a quiet second as many at once.
    pub fn new(percent: usize, per_second: usize) -> Self {
        if per_second == 0 {
            return Self::none();
        }
        let share = (percent as u64).min(100) * (1 << 32) / 100;
        let interval = 1_000_000_000_u64 / per_second as u64;
        let (burst, paid_until) = (1_000_000_000, AtomicU64::new(0));
        Self { share, interval, burst, paid_until, since: Some(Instant::now()) }
    }

    /// Whether to keep this trace. `parent`: what asked has decided so.
    pub(crate) fn keeps(&self, trace: u128, parent: Option<bool>) -> Option<Kept> {
        let why = match parent {
            Some(false) => return None,
            Some(true) => Kept::Parent,
            // The same in every process that sees the trace.
            None if ((trace as u64) & 0xffff_ffff) < self.share => Kept::Sampled,
            None => return None,
        };
        self.has_room().then_some(why)
    }

    /// One cell of the generic cell rate algorithm.
    fn has_room(&self) -> bool {
        let Some(since) = self.since else { return false };
        let now = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let pay = |paid: u64| {
            let is_ahead = paid > now.saturating_add(self.burst);
            (!is_ahead).then(|| paid.max(now).saturating_add(self.interval))
        };
        self.paid_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok()
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
    fn what_asks_decides() {
        let sampler = Sampler::new(0, 100);
        assert_eq!(sampler.keeps(1, Some(true)), Some(Kept::Parent));
        assert_eq!(sampler.keeps(1, Some(false)), None);
        assert_eq!(sampler.keeps(1, None), None);
        assert_eq!(Sampler::new(100, 0).keeps(1, None), None);
        assert_eq!(Sampler::none().keeps(1, Some(true)), None);
    }
}
