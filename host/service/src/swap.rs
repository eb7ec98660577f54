//! Replacing a running component: a transaction with a verdict.
//!
//! A swap loads the new version to the side, and only a version that compiles, is granted all that it imports,
//! starts, and answers its health path is published, with one pointer swap. Requests that run stay on their
//! version to the end of their bodies. A rejected version leaves no trace in serving.
//!
//! Of each service one swap runs at a time and one waits; a newer one takes the place of the one that waits, and of
//! the one that runs while that is compiled.
//! A rollback is a swap to the version before the one that serves when its turn comes.

mod agreement;
mod attempt;
mod request;
mod trial;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

pub use self::agreement::{Agreed, Agreement, Before, Boxed, Proposed};
pub use self::request::{CanaryTerms, SwapError, SwapRequest, percent};
use self::request::{SwapTarget, What};
use crate::Service;
use crate::history::{Record, Verdict, now_ms};
use crate::loader::{Loader, Terms};
use crate::store::{Saved, Store};
use crate::version::Version;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_system::counted::counted;
use wasm_host_telemetry::instruments::SWAPS;
use wasm_host_telemetry::trace::Operation;

/// Puts versions into service.
pub struct Swaps {
    slots: Arc<BTreeMap<Arc<str>, Arc<SwapSlot>>>,
    loader: Loader,
    store: Arc<Store>,
    stopping: CancellationToken,
    /// What has to agree beside this host. Not set: nothing has to.
    others: OnceLock<Arc<dyn Agreement>>,
}

/// One service as swaps see it.
pub struct SwapSlot {
    pub service: Arc<Service>,
    pub terms: Arc<Terms>,
    /// How long a replaced version may go on with its requests.
    pub drain: Duration,
    /// Adds the line that would grant what a component was refused for.
    pub explain: Explain,
    /// Asked of versions that were kept, when they are to serve again.
    pub vouch: Vouch,
    saved: Mutex<Saved>,
    /// The number of the record of the version that serves.
    serving_record: AtomicU64,
    /// One attempt at a time. Held while the component is loaded, which may take seconds.
    turn: AsyncMutex<()>,
    /// Held while it changes which version serves, which is short: taking a bad version back must not wait
    /// for a compiler.
    change: AsyncMutex<()>,
    /// Held while the record is written, so that an older one never overwrites a newer one.
    saving: AsyncMutex<()>,
    /// The number of the newest attempt.
    newest: watch::Sender<u64>,
}

/// From what is wrong with a component to words for people.
pub type Explain = Box<dyn Fn(&anyhow::Error) -> String + Send + Sync>;

/// Whether a version that was kept may be served by what is trusted now, or why not.
pub type Vouch = Box<dyn Fn(&ComponentFile) -> anyhow::Result<()> + Send + Sync>;

/// What came of a swap.
#[derive(Clone, Debug)]
pub struct SwapOutcome {
    pub service: String,
    /// The digest that served before.
    pub from: String,
    pub record: Record,
    /// Requests that were running on the old version at the moment of the swap, which finish there.
    pub finishing: usize,
    /// The digest of the canary that this ended.
    pub ended_canary: Option<String>,
    /// Replicas that were lost, without which it was decided.
    pub without: Vec<String>,
    /// It was refused before, for the same reason, which is known.
    pub is_known: bool,
}

/// What serves of a service.
#[derive(Clone, Debug)]
pub struct ServedVersion {
    pub service: Arc<str>,
    pub digest: String,
    pub origin: String,
    /// The digest of the component of the application file.
    pub own: String,
}

impl SwapSlot {
    pub fn new(
        service: Arc<Service>,
        terms: Arc<Terms>,
        drain: Duration,
        explain: Explain,
        vouch: Vouch,
        mut saved: Saved,
        cause: &str,
    ) -> Self {
        saved.history.close_trials();
        let slot = Self {
            service,
            terms,
            drain,
            explain,
            vouch,
            saved: Mutex::new(saved),
            serving_record: AtomicU64::new(0),
            turn: AsyncMutex::new(()),
            change: AsyncMutex::new(()),
            saving: AsyncMutex::new(()),
            newest: watch::Sender::new(0),
        };
        let version = slot.service.active().stable.clone();
        let record = slot.record(What::of(&version), cause, Verdict::Activated, Instant::now());
        slot.serving_record.store(record.number, Ordering::Release);
        slot
    }

    fn saved(&self) -> MutexGuard<'_, Saved> {
        self.saved.lock()
    }

    /// Enter an attempt into the history.
    fn record(
        &self,
        What { digest, path, parts }: What,
        cause: &str,
        verdict: Verdict,
        started: Instant,
    ) -> Record {
        self.saved().history.push(Record {
            number: 0,
            digest,
            path,
            parts,
            cause: cause.to_string(),
            verdict,
            reason: None,
            at_ms: now_ms(),
            took_ms: millis(started.elapsed()),
            imports_added: Vec::new(),
            imports_removed: Vec::new(),
            served: None,
            drained_in_ms: None,
            cut: None,
        })
    }
}

impl Swaps {
    pub fn new(slots: Vec<SwapSlot>, loader: Loader, store: Arc<Store>) -> Arc<Self> {
        let named = slots.into_iter().map(|slot| (slot.service.name.clone(), Arc::new(slot)));
        let slots = Arc::new(named.collect());
        Arc::new(Self {
            slots,
            loader,
            store,
            stopping: CancellationToken::new(),
            others: OnceLock::new(),
        })
    }

    /// From now on every swap is rejected; what is compiled for one is given up.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// From now on `others` have to agree to every swap that begins here.
    pub fn agree_with(&self, others: Arc<dyn Agreement>) {
        // There is one application, and so one set of others.
        let _ = self.others.set(others);
    }

    /// What serves of each service.
    pub fn serving(&self) -> impl Iterator<Item = ServedVersion> {
        self.slots.iter().map(|(name, slot)| {
            let version = slot.service.active().stable.clone();
            let digest = version.digest.full().to_owned();
            ServedVersion {
                service: name.clone(),
                own: slot.saved().replaced.clone().unwrap_or_else(|| digest.clone()),
                origin: version.path.display().to_string(),
                digest,
            }
        })
    }

    /// A component that is kept here and came from `origin`, if it may be served by what is trusted now.
    pub async fn kept(&self, service: &str, digest: &str, origin: &str) -> Option<ComponentFile> {
        let slot = self.slot(service).ok()?;
        let (store, digest) = (self.store.clone(), digest.to_owned());
        let found = spawn_blocking(move || store.find(&digest)).await.ok().flatten();
        let file = ComponentFile { path: origin.into(), ..found? };
        (slot.vouch)(&file).is_ok().then_some(file)
    }

    /// What happened to a service's versions, oldest first.
    pub fn history(&self, service: &str) -> Result<Vec<Record>, SwapError> {
        let slot = self.slot(service)?;
        let mut records = slot.saved().history.records();
        let current = slot.serving_record.load(Ordering::Acquire);
        if let Some(record) = records.iter_mut().find(|record| record.number == current) {
            record.served = Some(slot.service.active().stable.counts.served());
        }
        Ok(records)
    }

    /// Put `component` into service. It goes on when the caller gives up: a swap ends with its verdict.
    pub async fn swap(
        self: &Arc<Self>,
        service: &str,
        component: anyhow::Result<ComponentFile>,
        request: SwapRequest,
    ) -> Result<SwapOutcome, SwapError> {
        let slot = self.slot(service)?;
        match component {
            Ok(file) => {
                let others = self.others.get().cloned();
                self.enter(slot, SwapTarget::Component(file), request, others).await
            }
            // It has no place in the queue: what waits there may be good.
            Err(error) => {
                let started = Instant::now();
                let outcome =
                    attempt::rejected(&slot, None, &request, started, format!("{error:#}"));
                self.conclude(&slot, &outcome).await;
                Ok(outcome)
            }
        }
    }

    /// Put the version before this one into service again.
    pub async fn rollback(
        self: &Arc<Self>,
        service: &str,
        cause: &str,
    ) -> Result<SwapOutcome, SwapError> {
        self.go_back(service, cause, None).await
    }

    /// The same, only if the version `of` serves still, which does worse than the one before.
    async fn go_back(
        self: &Arc<Self>,
        service: &str,
        cause: &str,
        of: Option<String>,
    ) -> Result<SwapOutcome, SwapError> {
        let request = SwapRequest { cause: cause.to_string(), part: None, canary: None };
        let others = self.others.get().cloned();
        self.enter(self.slot(service)?, SwapTarget::Before { of }, request, others).await
    }

    /// Put a version into service that others have begun with, once `agreement` says so. `takes_back`: what serves does
    /// worse than what it replaced, and no rollback goes there.
    pub async fn follow(
        self: &Arc<Self>,
        service: &str,
        file: ComponentFile,
        cause: String,
        takes_back: bool,
        agreement: Arc<dyn Agreement>,
    ) -> Result<SwapOutcome, SwapError> {
        let request = SwapRequest { cause, part: None, canary: None };
        let wanted = SwapTarget::Followed { file, takes_back };
        self.enter(self.slot(service)?, wanted, request, Some(agreement)).await
    }

    /// Replace the instances of a service: idle ones now, busy ones when their last request ends.
    pub fn drain(&self, service: &str) -> Result<usize, SwapError> {
        let versions = self.slot(service)?.service.active().versions();
        let instances = versions.iter().map(|version| version.live_instances()).sum();
        for version in versions {
            version.renew();
        }
        Ok(instances)
    }

    /// The names of all services that have versions.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(|name| &**name)
    }

    async fn enter(
        self: &Arc<Self>,
        slot: Arc<SwapSlot>,
        wanted: SwapTarget,
        request: SwapRequest,
        others: Option<Arc<dyn Agreement>>,
    ) -> Result<SwapOutcome, SwapError> {
        let (swaps, cause) = (self.clone(), request.cause.clone());
        let task = tokio::spawn({
            let slot = slot.clone();
            async move {
                let service = &slot.service.name;
                let name = format!("swap {service}");
                let mut seen = Operation::begin(swaps.loader.telemetry, name, service);
                let outcome =
                    swaps.attempt(&slot, wanted, &request, others.as_deref(), &seen).await?;
                attempt::tell(&outcome, seen.span());
                drop(seen);
                swaps.conclude(&slot, &outcome).await;
                Ok(outcome)
            }
        });
        task.await.unwrap_or_else(|_| {
            let request = SwapRequest { cause, part: None, canary: None };
            let reason = "the host failed while it loaded the component".to_string();
            Ok(attempt::rejected(&slot, None, &request, Instant::now(), reason))
        })
    }

    /// Record and log what came of an attempt.
    async fn conclude(&self, slot: &SwapSlot, outcome: &SwapOutcome) {
        if outcome.is_known {
            return;
        }
        self.save(slot).await;
        let (service, record) = (&outcome.service, &outcome.record);
        let digest = record.digest.as_deref().map_or("a component", short);
        let cause = &record.cause;
        let labels = [&**service, record.verdict.name()];
        self.loader.telemetry.record(&SWAPS, &labels, 1.0, None);
        match &record.reason {
            Some(reason) => tracing::warn!(service, cause, "{digest} was rejected: {reason}"),
            None => {
                let verdict = record.verdict.name();
                tracing::info!(service, cause, "{digest}: {verdict} in {} ms", record.took_ms);
            }
        }
    }

    fn slot(&self, service: &str) -> Result<Arc<SwapSlot>, SwapError> {
        self.slots.get(service).cloned().ok_or_else(|| SwapError::NoService(service.to_string()))
    }

    /// `version` takes all requests now: remember that, let the old one drain, and watch the first answers, if they are
    /// what it is tried by.
    fn activate(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        old: Arc<Version>,
        version: Arc<Version>,
        number: u64,
        is_tried: bool,
    ) {
        let replaced = slot.serving_record.swap(number, Ordering::AcqRel);
        slot.saved().published = Some(version.digest.full().to_string());
        if is_tried {
            self.watch_first_answers(slot, old.clone(), version, number);
        }
        self.let_drain(slot, old, replaced);
    }

    /// Let a version that takes no requests any more come to its end, and write down how.
    fn let_drain(self: &Arc<Self>, slot: &Arc<SwapSlot>, version: Arc<Version>, number: u64) {
        let retirement = version.retire();
        slot.service.let_go(&version);
        let (swaps, slot) = (self.clone(), slot.clone());
        tokio::spawn(async move {
            // None if it was put back into service: its end is then another matter.
            let Some(drained) = version.drained(retirement, slot.drain).await else { return };
            if drained.cut > 0 {
                tracing::warn!(
                    service = %slot.service.name,
                    version = %version.digest,
                    "cut {} that still ran {:?} after the swap",
                    counted(drained.cut, "request"),
                    slot.drain
                );
            }
            slot.saved().history.update(number, |record| {
                record.served = Some(version.counts.served());
                record.drained_in_ms = Some(millis(drained.took));
                record.cut = Some(drained.cut as u64);
            });
            swaps.save(&slot).await;
            let (service, digest) = (&slot.service.name, version.digest.full());
            let serves = slot.service.active().versions();
            if !serves.iter().any(|version| version.digest.full() == digest) {
                swaps.loader.telemetry.version_ended(service, digest);
            }
        });
    }

    /// Write down what is known of a service. What cannot be written is logged: the service serves all the same.
    async fn save(&self, slot: &SwapSlot) {
        if let Err(error) = self.write(slot).await {
            tracing::warn!(service = %slot.service.name, "its history cannot be kept: {error}");
        }
        let (store, slots) = (self.store.clone(), self.slots.clone());
        let known = move || {
            let digests = |slot: &Arc<SwapSlot>| {
                slot.saved().digests().map(str::to_string).collect::<Vec<_>>()
            };
            slots.values().flat_map(digests).collect()
        };
        // It removes what it can; what it cannot is tried again.
        let _ = spawn_blocking(move || store.trim(known)).await;
    }

    async fn write(&self, slot: &SwapSlot) -> std::io::Result<()> {
        let _saving = slot.saving.lock().await;
        let (name, saved) = (slot.service.name.clone(), slot.saved().clone());
        let store = self.store.clone();
        spawn_blocking(move || store.save(&name, &saved)).await?
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// As much of a digest as people compare.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
