//! One call of a bucket, whatever kind it is: seen, counted, and ended with its request or when its time is over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;

use super::backend::{Error, Reply};
use super::seen::{BucketAddress, CallSpan};
use crate::context::RequestContext;
use wasm_host_limits::show::show_duration;

/// What the calls of one bucket have in common. Cheap to clone.
#[derive(Clone)]
pub(super) struct Runs(Arc<Inner>);

struct Inner {
    place: BucketAddress,
    timeout: Duration,
    under_way: AtomicUsize,
}

/// A call under way.
struct CallGuard<'a>(&'a AtomicUsize);

impl Runs {
    pub(super) fn new(place: BucketAddress, timeout: Duration) -> Self {
        Self(Arc::new(Inner { place, timeout, under_way: AtomicUsize::new(0) }))
    }

    /// The name of the bucket.
    pub(super) fn name(&self) -> &str {
        &self.0.place.name
    }

    /// Calls at this moment.
    pub(super) fn under_way(&self) -> usize {
        self.0.under_way.load(Ordering::Relaxed)
    }

    /// Make a call of `operation`, which is about so many keys.
    pub(super) fn run<'a, T: Send + 'a>(
        &'a self,
        operation: &'static str,
        keys: usize,
        request: RequestContext,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> Reply<'a, T> {
        Box::pin(async move {
            let Inner { place, timeout: most, under_way } = &*self.0;
            under_way.fetch_add(1, Ordering::Relaxed);
            let _counted = CallGuard(under_way);
            let seen = CallSpan::begin(&request, operation, keys, place);
            let result = tokio::select! {
                biased;
                () = request.cancel().cancelled() => Err(Error::Cancelled),
                result = timeout(*most, call) => result.unwrap_or_else(|_| Err(self.late())),
            };
            seen.ended(place, &result);
            result
        })
    }

    fn late(&self) -> Error {
        Error::TimedOut(format!(
            "the bucket {} has not answered in {} ('timeout' of [keyvalue.{}] sets the bound)",
            self.name(),
            show_duration(self.0.timeout),
            self.name()
        ))
    }
}

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
