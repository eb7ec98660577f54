//! What goes through a service, whatever answers it: how much of it at once, and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::admission::{Admission, Permit};
use crate::failure::{Failure, Kind};

/// The requests of one service.
pub struct Traffic {
    admission: Arc<Admission>,
    served: AtomicU64,
    failed: AtomicU64,
    cut: AtomicU64,
    refused: AtomicU64,
    cancelled: AtomicU64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its client left.
    Left,
    /// There was no answer.
    Failed,
    /// Its answer began, and broke off.
    Cut,
    /// The host had no room for it and said so.
    Refused,
    /// Nothing more is wanted: the body came to its end, or there is none to be read.
    Whole,
}

impl Ending {
    /// Of a request that was answered before it had a place. One that was cut has not met a host without room.
    pub fn without_a_place(kind: Kind) -> Self {
        if kind == Kind::Cut { Self::Failed } else { Self::Refused }
    }
}

impl Traffic {
    pub fn new(admission: Arc<Admission>) -> Self {
        let (served, failed, cut, refused, cancelled) = Default::default();
        Self { admission, served, failed, cut, refused, cancelled }
    }

    /// Wait for a place. `inside`: for a call of another service of this host.
    ///
    /// # Errors
    /// There is no place in time, or too many wait.
    pub async fn admit(&self, service: &str, inside: bool) -> Result<Permit, Failure> {
        self.admission.admit(service, inside).await
    }

    /// Let no request in any more, also none that waits.
    pub fn close(&self) {
        self.admission.close();
    }

    /// Count a request that has ended.
    pub fn count(&self, ending: Ending) {
        let counted = match ending {
            Ending::Whole => &self.served,
            Ending::Failed => &self.failed,
            Ending::Cut => &self.cut,
            Ending::Refused => &self.refused,
            Ending::Left => &self.cancelled,
        };
        counted.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that are being served, bodies included.
    pub fn in_flight(&self) -> usize {
        self.admission.running()
    }

    /// Requests that wait for admission.
    pub fn queued(&self) -> usize {
        self.admission.waiting()
    }

    /// Requests whose response was handed over whole, on its way to the client.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Requests that got no response.
    pub fn unanswered(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Requests whose response had begun and broke off.
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// Requests that the host had no room for: no place in time, or no instance.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests whose client left before it had all of the response.
    pub fn cancelled(&self) -> u64 {
        self.cancelled.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As those that are cut a moment later: a host that stops is not one that is too small.
    #[test]
    fn a_request_that_is_cut_while_it_waits_is_not_refused() {
        assert_eq!(Ending::without_a_place(Kind::Cut), Ending::Failed);
        assert_eq!(Ending::without_a_place(Kind::Busy), Ending::Refused);
    }
}
