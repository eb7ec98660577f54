//! Warnings about the requests of one service, as many in a second as somebody reads.
//!
//! Each is of use by itself, and a client can cause as many as it can send requests. So beyond some they are counted,
//! and the count is told. It knows neither requests nor what went wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;

use crate::limits;

/// How many warnings a service has had. Shared by all that warn of it.
pub struct Warnings {
    service: Arc<str>,
    started: Instant,
    /// The second that is counted, and the warnings in it. Two threads at its turn may lose one of the count.
    second: AtomicU64,
    written: AtomicUsize,
    /// Those that nobody has been told of.
    left_out: AtomicU64,
    /// Somebody will tell within a second.
    is_to_be_told: AtomicBool,
}

impl Warnings {
    pub fn new(service: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            service,
            started: Instant::now(),
            second: AtomicU64::new(0),
            written: AtomicUsize::new(0),
            left_out: AtomicU64::new(0),
            is_to_be_told: AtomicBool::new(false),
        })
    }

    /// Of whom they tell.
    pub fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// Write one more warning with `warn`, if there is room for it.
    pub fn write(self: &Arc<Self>, warn: impl FnOnce()) {
        if self.admits_at(self.started.elapsed().as_secs()) {
            return warn();
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        if self.is_to_be_told.swap(true, Ordering::AcqRel) {
            return;
        }
        let telling = Telling(self.clone());
        // Without a runtime there is no waiting, and it is told at once.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(limits::DROPPED_LINES_TOLD).await;
                drop(telling);
            });
        }
    }

    fn admits_at(&self, second: u64) -> bool {
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.written.store(0, Ordering::Relaxed);
        }
        self.written.fetch_add(1, Ordering::Relaxed) < limits::WARNINGS
    }
}

/// Tells what was left out when it is dropped itself, which is early when the host ends.
struct Telling(Arc<Warnings>);

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.is_to_be_told.store(false, Ordering::Release);
        let left_out = self.0.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(
                service = %self.0.service,
                "left out {left_out} warnings about its requests, which had more than {} in a second",
                limits::WARNINGS
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_warnings_and_the_next_one_as_many() {
        let warnings = Warnings::new("test".into());
        for second in [0, 1] {
            let admitted = (0..limits::WARNINGS + 5).filter(|_| warnings.admits_at(second)).count();
            assert_eq!(admitted, limits::WARNINGS);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_out_is_told_once_for_all() {
        let warnings = Warnings::new("test".into());
        let mut written = 0;
        // The clock of the count is not the one that is paused: it may turn in between.
        for _ in 0..limits::WARNINGS * 10 {
            warnings.write(|| written += 1);
        }
        let left_out = || warnings.left_out.load(Ordering::Relaxed);
        assert_eq!(written + left_out() as usize, limits::WARNINGS * 10);
        assert!(warnings.is_to_be_told.load(Ordering::Relaxed));
        tokio::time::sleep(limits::DROPPED_LINES_TOLD * 2).await;
        assert_eq!((left_out(), warnings.is_to_be_told.load(Ordering::Relaxed)), (0, false));
    }
}
