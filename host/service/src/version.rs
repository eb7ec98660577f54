//! One immutable loaded version of a component. What belongs to it lives and dies with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use wasm_host_capabilities::outgoing::HttpRequest;
use wasm_host_engine::compile::Code;
use wasm_host_engine::compose::{Part, Role};
use wasm_host_engine::state::Grants;
use wasm_host_engine::worker::{
    self, CallResult, Handler, Policy, RequestState, Retirement, Shared,
};
use wasm_host_limits as limits;
use wasm_host_system::digest::Digest;
use wasm_host_system::threads;

/// A component that was compiled, checked, linked and tried.
pub struct Version {
    pub digest: Digest,
    /// Where it was read.
    pub path: PathBuf,
    /// The interfaces it imports.
    pub imports: Vec<String>,
    /// Those for which an instance of it serves one request at a time.
    pub blocking: Arc<[String]>,
    /// What it was put together from, without the files. None of them: it is one component.
    parts: Vec<Part>,
    /// One for each serving thread and one for all other threads, as far as there are instances for all. Each has
    /// instances of its own; together they have as many as the service may.
    handlers: Vec<Handler>,
    /// For requests that are observed, if any may be.
    observed: Option<Handler>,
    /// For the other services that have it, too, which the cache of code gives it while it is in use.
    _code: Arc<Code>,
    /// Apart from the version, so that a body whose client does not read it keeps no code in memory.
    pub counts: Arc<Counts>,
    instances: Arc<Shared>,
    grants: Arc<Grants>,
    per_instance: usize,
    /// Some of its instances are kept although no request comes.
    keeps_warm: bool,
}

/// What became of a version's requests.
#[derive(Default)]
pub struct Counts {
    in_flight: AtomicUsize,
    served: AtomicU64,
    cut_off: AtomicU64,
    answered: AtomicU64,
    errors: AtomicU64,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug)]
pub struct Drained {
    pub took: Duration,
    /// Requests that were ended at the deadline.
    pub cut: usize,
}

impl Version {
    /// For serving threads with these runtimes.
    pub fn new(
        digest: Digest,
        path: PathBuf,
        imports: Vec<String>,
        code: Arc<Code>,
        policy: &Policy,
        observed: Option<Policy>,
        runtimes: &[Handle],
    ) -> Self {
        let handlers = policy.instances().clamp(1, runtimes.len() + 1);
        let serving = handlers.min(runtimes.len());
        let handler = |number| match runtimes.get(number) {
            Some(home) => {
                let warm = share(policy.warm(), serving, number);
                Handler::keeping(policy.clone(), warm, home.clone())
            }
            None => Handler::new(policy.clone()),
        };
        Self {
            digest,
            path,
            imports,
            blocking: policy.blocking().clone(),
            parts: Vec::new(),
            _code: code,
            counts: Arc::default(),
            instances: policy.shared().clone(),
            grants: policy.grants().clone(),
            handlers: (0..handlers).map(handler).collect(),
            observed: observed.map(Handler::new),
            per_instance: policy.per_instance(),
            keeps_warm: policy.warm() > 0,
        }
    }

    /// Have a request answered, waiting for an instance until `until`, or until it is not wanted (`wants`)
    /// any more. One that `is_observed` has an instance of its own; only where there is no room for that, it
    /// is answered as any other, and what observes it is not told of an instance.
    ///
    /// # Errors
    /// There was no room in that time, or the guest gave no final answer.
    pub async fn call(
        &self,
        state: &Arc<RequestState>,
        request: HttpRequest,
        until: Instant,
        wants: impl Fn() -> bool,
        is_observed: bool,
    ) -> CallResult {
        let Some(own) = self.observed.as_ref().filter(|_| is_observed) else {
            return worker::call(|| self.handlers(), state, request, until, wants).await;
        };
        let handlers = || std::iter::once(own).chain(self.handlers());
        worker::call(handlers, state, request, until, wants).await
    }

    /// Which to ask: first the handler of this thread, then the others, in case all instances are theirs.
    fn handlers(&self) -> impl Iterator<Item = &Handler> {
        let own = threads::current().unwrap_or(self.handlers.len() - 1) % self.handlers.len();
        let first = if self.keeps_warm { self.warm_one(own) } else { own };
        self.handlers.iter().cycle().skip(first).take(self.handlers.len())
    }

    /// The handler of this number, or where that has no instance, another one that has one to spare.
    fn warm_one(&self, own: usize) -> usize {
        if self.handlers.get(own).is_some_and(Handler::is_warm) {
            return own;
        }
        self.handlers.iter().position(Handler::is_free).unwrap_or(own)
    }

    /// Make the instances that it is to keep and does not have. The log says what cannot be made; it is made when it is
    /// needed.
    pub async fn warm_up(&self) {
        if !self.keeps_warm {
            return;
        }
        let starts = join_all(self.handlers.iter().map(Handler::warm_up));
        if timeout(limits::SMOKE_TIMEOUT, starts).await.is_err() {
            let waited = limits::SMOKE_TIMEOUT;
            tracing::warn!(version = %self.digest, "its warm instances were not there after {waited:?}");
        }
    }

    /// Requests that one instance serves at the same time.
    pub fn per_instance(&self) -> usize {
        self.per_instance
    }

    /// Instances that are alive.
    pub fn live_instances(&self) -> usize {
        self.instances.live_instances()
    }

    /// What its service is granted, and takes of it, whatever the version.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Let it come to its end: idle instances now, busy ones when their last body ends.
    pub fn retire(&self) -> Retirement {
        self.instances.retire()
    }

    /// The retirement that stands, if there is one.
    pub fn retirement(&self) -> Option<Retirement> {
        self.instances.retirement()
    }

    pub fn is_retired(&self) -> bool {
        self.instances.is_retired()
    }

    /// It serves again after all.
    pub fn resume(&self) {
        self.instances.resume();
    }

    /// Replace its instances: idle ones now, busy ones when their last body ends.
    pub fn renew(&self) {
        self.instances.renew();
    }

    /// Wait until nothing of it runs. At the deadline, end what still does. None if the retirement was
    /// taken back: what runs then is not to be ended.
    pub async fn drained(&self, retirement: Retirement, deadline: Duration) -> Option<Drained> {
        let started = Instant::now();
        let mut cut = 0;
        while self.counts.in_flight() > 0 || self.live_instances() > 0 {
            if !self.instances.stands(retirement) {
                return None;
            }
            let late = started.elapsed().saturating_sub(deadline);
            if late > Duration::ZERO {
                cut += self.instances.cut();
                let handlers = self.handlers.iter().chain(&self.observed);
                cut += handlers.map(Handler::cut).sum::<usize>();
            }
            if is_drained_enough(late, cut, self.counts.in_flight()) {
                break;
            }
            sleep(limits::DRAIN_POLL).await;
        }
        Some(Drained { took: started.elapsed(), cut })
    }
}

impl Version {
    pub(crate) fn of_parts(mut self, parts: Vec<Part>) -> Self {
        self.parts = parts;
        self
    }

    /// What it was put together from. None of them: it is one component.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The SHA-256 of a part, or without a name of what the service's own component is in it.
    pub fn digest_of(&self, part: Option<&str>) -> Option<&str> {
        match part {
            None if self.parts.is_empty() => Some(self.digest.full()),
            None => self.parts.iter().find(|it| it.role == Role::Service).map(|it| &*it.digest),
            Some(name) => self.parts.iter().find(|it| it.name == name).map(|it| &*it.digest),
        }
    }
}

impl Drop for Version {
    fn drop(&mut self) {
        // Nothing else does it for one that was never put into service.
        self.retire();
    }
}

/// Whether what still runs at this time after the deadline is not waited for any more: what a guest does for no
/// request; and after a while what was cut, since a client that reads nothing does not see it, and must not hold the
/// version.
fn is_drained_enough(late: Duration, cut: usize, in_flight: usize) -> bool {
    let for_nobody = late > Duration::ZERO && cut == 0 && in_flight == 0;
    for_nobody || late > limits::CUT_GRACE
}

/// The share of number `number` of a whole that `among` share evenly.
fn share(whole: usize, among: usize, number: usize) -> usize {
    let (each, rest) = (whole / among.max(1), whole % among.max(1));
    each + usize::from(number < rest)
}

impl Counts {
    /// A request begins. The other calls say how it ends.
    pub fn begin(&self) {
        // With `is_retired`: either what drains the version sees this request, or this request sees that the
        // version is retired. That takes one order of all four accesses.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    /// It goes to another version instead.
    pub fn pass_on(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// The component answered, or failed to: `error` for a trap, no answer, or a status of 5xx.
    pub fn answer(&self, error: bool) {
        self.errors.fetch_add(u64::from(error), Ordering::Relaxed);
        self.answered.fetch_add(1, Ordering::Release);
    }

    /// The component broke off after it had begun to answer.
    pub fn broke_off(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// A request ends. `whole` if all of its response was delivered.
    pub fn end(&self, whole: bool) {
        let ended = if whole { &self.served } else { &self.cut_off };
        ended.fetch_add(1, Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Requests whose response was delivered whole.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Requests that got no response of the component, or not all of it.
    pub fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// Answers so far, and how many of them were errors.
    pub fn answers(&self) -> (u64, u64) {
        let answered = self.answered.load(Ordering::Acquire);
        (answered, self.errors.load(Ordering::Relaxed).min(answered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_has_a_moment_to_end_and_what_was_forgotten_has_none() {
        let moment = Duration::from_millis(1);
        for (late, cut, in_flight, enough) in [
            (Duration::ZERO, 0, 0, false),
            (moment, 0, 0, true),
            (moment, 1, 0, false),
            (moment, 0, 1, false),
            (limits::CUT_GRACE + moment, 1, 1, true),
        ] {
            assert_eq!(
                is_drained_enough(late, cut, in_flight),
                enough,
                "{late:?} {cut} {in_flight}"
            );
        }
    }

    #[test]
    fn a_whole_is_shared_evenly_and_to_the_last() {
        for (whole, among) in [(0, 3), (1, 2), (2, 2), (7, 3), (64, 5)] {
            let shares: Vec<usize> = (0..among).map(|number| share(whole, among, number)).collect();
            assert_eq!(shares.iter().sum::<usize>(), whole, "{shares:?}");
            assert!(shares[0] - shares[among - 1] <= 1, "{shares:?}");
        }
    }
}
