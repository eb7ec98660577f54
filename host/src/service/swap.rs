//! Replacing a running component: a transaction with a verdict.
//!
//! A swap loads the new version to the side, and only a version that compiles, is granted all that it imports,
//! starts, and answers its health path is published, with one pointer swap. Requests that run stay on their
//! version to the end of their bodies. A rejected version leaves no trace in serving.
//!
//! Of each service one swap runs at a time and one waits; a newer one takes the place of the one that waits.

mod trial;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::spawn_blocking;

use crate::engine::compile::ComponentFile;
use crate::service::Service;
use crate::service::history::{Record, Verdict, now_ms};
use crate::service::loader::{Loader, Terms};
use crate::service::serving::Serving;
use crate::service::store::{Saved, Store};
use crate::service::version::Version;

/// Puts versions into service.
pub struct Swaps {
    slots: BTreeMap<Arc<str>, Arc<SwapSlot>>,
    loader: Loader,
    store: Arc<Store>,
    stopping: AtomicBool,
}

/// One service as swaps see it.
pub struct SwapSlot {
    pub service: Arc<Service>,
    pub terms: Arc<Terms>,
    /// How long a replaced version may go on with its requests.
    pub drain: Duration,
    /// Adds the line that would grant what a component was refused for.
    pub explain: Explain,
    saved: Mutex<Saved>,
    /// The number of the record of the version that serves.
    serving_record: AtomicU64,
    turn: AsyncMutex<()>,
    /// Held while the record is written, so that an older one never overwrites a newer one.
    saving: AsyncMutex<()>,
    newest: AtomicU64,
}

/// From what is wrong with a component to words for people.
pub type Explain = Box<dyn Fn(&anyhow::Error) -> String + Send + Sync>;

/// What a swap was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub cause: String,
    pub canary: Option<CanaryTerms>,
}

/// How a version is tried before it takes all requests.
#[derive(Clone, Copy, Debug)]
pub struct CanaryTerms {
    /// 1 to 99.
    pub percent: u8,
    pub duration: Duration,
}

/// What came of a swap.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub service: String,
    /// The digest that served before.
    pub from: String,
    #[serde(flatten)]
    pub record: Record,
    /// Requests that were running on the old version at the moment of the swap, which finish there.
    pub finishing: usize,
}

/// Why there is no outcome at all.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("there is no component service {0}")]
    NoService(String),
    #[error("there is no earlier version of {0} to go back to")]
    NothingBefore(String),
    #[error("the earlier version {digest} of {service} is no longer kept")]
    Gone { service: String, digest: String },
}

impl SwapSlot {
    pub fn new(
        service: Arc<Service>,
        terms: Arc<Terms>,
        drain: Duration,
        explain: Explain,
        saved: Saved,
        cause: &str,
    ) -> Self {
        let slot = Self {
            service,
            terms,
            drain,
            explain,
            saved: Mutex::new(saved),
            serving_record: AtomicU64::new(0),
            turn: AsyncMutex::new(()),
            saving: AsyncMutex::new(()),
            newest: AtomicU64::new(0),
        };
        let version = slot.service.serving().stable.clone();
        let file = (version.digest.full(), version.path.display().to_string());
        let record = slot.record(Some(file.0), file.1, cause, Verdict::Activated, Instant::now());
        slot.serving_record.store(record.number, Ordering::Release);
        slot
    }

    fn saved(&self) -> std::sync::MutexGuard<'_, Saved> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enter an attempt into the history.
    fn record(
        &self,
        digest: Option<&str>,
        path: String,
        cause: &str,
        verdict: Verdict,
        started: Instant,
    ) -> Record {
        self.saved().history.push(Record {
            number: 0,
            digest: digest.map(str::to_string),
            path,
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
    pub fn new(slots: Vec<SwapSlot>, loader: Loader, store: Store) -> Arc<Self> {
        let slots =
            slots.into_iter().map(|slot| (slot.service.name.clone(), Arc::new(slot))).collect();
        Arc::new(Self { slots, loader, store: Arc::new(store), stopping: AtomicBool::new(false) })
    }

    /// From now on every swap is rejected.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// What happened to a service's versions, oldest first.
    pub fn history(&self, service: &str) -> Result<Vec<Record>, SwapError> {
        Ok(self.slot(service)?.saved().history.records())
    }

    /// Put `component` into service. It goes on when the caller gives up: a swap ends with its verdict.
    pub async fn swap(
        self: &Arc<Self>,
        service: &str,
        component: anyhow::Result<ComponentFile>,
        request: Request,
    ) -> Result<Outcome, SwapError> {
        let slot = self.slot(service)?;
        let swaps = self.clone();
        let task = tokio::spawn({
            let slot = slot.clone();
            async move { swaps.in_turn(&slot, component, request).await }
        });
        Ok(task.await.unwrap_or_else(|_| {
            let record =
                slot.record(None, String::new(), "swap", Verdict::Rejected, Instant::now());
            let reason = "the host failed while it loaded the component".to_string();
            Outcome::of(&slot, record, "", Some(reason))
        }))
    }

    /// Put the version before this one into service again.
    pub async fn rollback(
        self: &Arc<Self>,
        service: &str,
        cause: &str,
    ) -> Result<Outcome, SwapError> {
        let slot = self.slot(service)?;
        let serving = slot.service.serving();
        let digest = match &serving.canary {
            // The version before a canary is the one that still takes most requests.
            Some(_) => serving.stable.digest.full().to_string(),
            None => {
                let saved = slot.saved();
                let before = saved.history.before(serving.stable.digest.full());
                before.ok_or_else(|| SwapError::NothingBefore(service.to_string()))?.to_string()
            }
        };
        let file = self.store.find(&digest).ok_or_else(|| SwapError::Gone {
            service: service.to_string(),
            digest: digest.clone(),
        })?;
        self.swap(service, Ok(file), Request { cause: cause.to_string(), canary: None }).await
    }

    /// Replace the instances of a service: idle ones now, busy ones when their last request ends.
    pub fn drain(&self, service: &str) -> Result<usize, SwapError> {
        let versions = self.slot(service)?.service.serving().versions();
        let instances = versions.iter().map(|version| version.live_instances()).sum();
        for version in versions {
            version.retire();
            version.resume();
        }
        Ok(instances)
    }

    fn slot(&self, service: &str) -> Result<Arc<SwapSlot>, SwapError> {
        self.slots.get(service).cloned().ok_or_else(|| SwapError::NoService(service.to_string()))
    }

    async fn in_turn(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        component: anyhow::Result<ComponentFile>,
        request: Request,
    ) -> Outcome {
        let outcome = self.attempt(slot, component, request).await;
        self.save(slot).await;
        let (service, record) = (&outcome.service, &outcome.record);
        let digest = record.digest.as_deref().and_then(|digest| digest.get(..12)).unwrap_or("-");
        let cause = &record.cause;
        match &record.reason {
            Some(reason) => tracing::warn!(service, cause, "{digest} was rejected: {reason}"),
            None => {
                let verdict = record.verdict.name();
                tracing::info!(service, cause, "{digest}: {verdict} in {} ms", record.took_ms);
            }
        }
        outcome
    }

    async fn attempt(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        component: anyhow::Result<ComponentFile>,
        request: Request,
    ) -> Outcome {
        let started = Instant::now();
        let ticket = slot.newest.fetch_add(1, Ordering::AcqRel) + 1;
        let _turn = slot.turn.lock().await;
        let from = slot.service.serving().stable.digest.full().to_string();
        let rejected = |digest: Option<&str>, path: String, reason: &str| {
            let record = slot.record(digest, path, &request.cause, Verdict::Rejected, started);
            Outcome::of(slot, record, &from, Some(reason.to_string()))
        };
        let file = match component {
            Ok(file) => file,
            Err(error) => return rejected(None, String::new(), &format!("{error:#}")),
        };
        let (digest, path) = (file.digest.full().to_string(), file.path.display().to_string());
        if slot.newest.load(Ordering::Acquire) != ticket {
            return rejected(Some(&digest), path, "a newer swap took its place while it waited");
        }
        if self.stopping.load(Ordering::Acquire) {
            return rejected(Some(&digest), path, "the host is stopping");
        }
        if digest == from {
            self.withdraw_canary(slot, "the version before it was asked for").await;
            let record =
                slot.record(Some(&digest), path, &request.cause, Verdict::Unchanged, started);
            return Outcome::of(slot, record, &from, None);
        }
        let kept = {
            let (store, file) = (self.store.clone(), file.clone());
            spawn_blocking(move || store.keep(&file)).await
        };
        if let Ok(Err(error)) = kept {
            return rejected(Some(&digest), path, &format!("its file cannot be kept: {error}"));
        }
        let version = match self.loader.load(file, &slot.terms).await {
            Ok(version) => Arc::new(version),
            Err(error) => return rejected(Some(&digest), path, &(slot.explain)(&error)),
        };
        if self.stopping.load(Ordering::Acquire) {
            return rejected(Some(&digest), path, "the host is stopping");
        }
        self.publish(slot, version, &request, path, started).await
    }

    /// The new version is good: let it take requests.
    async fn publish(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        version: Arc<Version>,
        request: &Request,
        path: String,
        started: Instant,
    ) -> Outcome {
        self.withdraw_canary(slot, "another version took its place").await;
        let old = slot.service.serving().stable.clone();
        let (added, removed) = difference(&old.imports, &version.imports);
        let finishing = old.counts.in_flight();
        let verdict = match request.canary {
            Some(canary) => {
                slot.service.publish(Serving::with_canary(
                    old.clone(),
                    version.clone(),
                    canary.percent,
                ));
                Verdict::Canary
            }
            None => {
                slot.service.publish(Serving::only(version.clone()));
                Verdict::Activated
            }
        };
        let mut record =
            slot.record(Some(version.digest.full()), path, &request.cause, verdict, started);
        slot.saved().history.update(record.number, |record| {
            record.imports_added.clone_from(&added);
            record.imports_removed.clone_from(&removed);
        });
        (record.imports_added, record.imports_removed) = (added, removed);
        let from = old.digest.full().to_string();
        match request.canary {
            Some(canary) => self.try_canary(slot, version, canary, record.number),
            None => self.activate(slot, old, version, record.number),
        }
        let mut outcome = Outcome::of(slot, record, &from, None);
        outcome.finishing = finishing;
        outcome
    }

    /// `version` takes all requests now: remember that, let the old one drain, and watch the first answers.
    fn activate(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        old: Arc<Version>,
        version: Arc<Version>,
        number: u64,
    ) {
        let replaced = slot.serving_record.swap(number, Ordering::AcqRel);
        slot.saved().published = Some(version.digest.full().to_string());
        self.watch_first_answers(slot, old.clone(), version, number);
        self.let_drain(slot, old, replaced);
    }

    /// Let a version that takes no requests any more come to its end, and write down how.
    fn let_drain(self: &Arc<Self>, slot: &Arc<SwapSlot>, version: Arc<Version>, number: u64) {
        version.retire();
        let (swaps, slot) = (self.clone(), slot.clone());
        tokio::spawn(async move {
            let drained = version.drained(slot.drain).await;
            if drained.cut > 0 {
                tracing::warn!(
                    service = %slot.service.name,
                    version = %version.digest,
                    "cut {} requests that still ran {:?} after the swap",
                    drained.cut,
                    slot.drain
                );
            }
            slot.saved().history.update(number, |record| {
                record.served = Some(version.counts.served());
                record.drained_in_ms = Some(millis(drained.took));
                record.cut = Some(drained.cut as u64);
            });
            swaps.save(&slot).await;
        });
    }

    /// Write down what is known of a service. What cannot be written is logged: the service serves all the same.
    async fn save(&self, slot: &SwapSlot) {
        let _saving = slot.saving.lock().await;
        let (name, saved) = (slot.service.name.clone(), slot.saved().clone());
        let all: Vec<Saved> = self.slots.values().map(|slot| slot.saved().clone()).collect();
        let store = self.store.clone();
        let written = spawn_blocking(move || {
            let written = store.save(&name, &saved);
            store.trim(all.iter().flat_map(Saved::digests));
            written
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(service = %slot.service.name, "its history cannot be kept: {error}");
        }
    }
}

impl Outcome {
    fn of(slot: &SwapSlot, mut record: Record, from: &str, reason: Option<String>) -> Self {
        record.reason = reason;
        slot.saved().history.update(record.number, |saved| saved.reason.clone_from(&record.reason));
        Self {
            service: slot.service.name.to_string(),
            from: from.to_string(),
            record,
            finishing: 0,
        }
    }
}

/// Interfaces that are new in the second list, and that are no longer in it.
fn difference(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let without = |all: &[String], known: &[String]| {
        all.iter().filter(|name| !known.contains(name)).cloned().collect()
    };
    (without(after, before), without(before, after))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
