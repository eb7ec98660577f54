//! One attempt to put a version into service, from its turn in the queue to its verdict.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::anyhow;
use tokio::task::spawn_blocking;

use super::agreement::turn;
use super::{
    Agreed, Agreement, Proposed, SwapError, SwapOutcome, SwapRequest, SwapSlot, SwapTarget, Swaps,
    What, millis,
};
use crate::active::ActiveVersions;
use crate::history::{Record, Verdict};
use crate::store::from_origin;
use crate::version::Version;
use wasm_host_engine::compile::ComponentFile;
use wasm_host_engine::compose::{Part, Role};
use wasm_host_limits::compiler::NICENESS;
use wasm_host_telemetry::attributes;
use wasm_host_telemetry::trace::{ActiveSpan, Operation};

/// An attempt that changes nothing, with the reason.
pub(super) fn rejected(
    slot: &SwapSlot,
    file: Option<&ComponentFile>,
    request: &SwapRequest,
    started: Instant,
    reason: String,
) -> SwapOutcome {
    let record = enter(slot, file, request, Verdict::Rejected, started);
    slot.saved().history.update(record.number, |saved| saved.reason = Some(reason.clone()));
    SwapOutcome::of(slot, Record { reason: Some(reason), ..record })
}

fn enter(
    slot: &SwapSlot,
    file: Option<&ComponentFile>,
    request: &SwapRequest,
    verdict: Verdict,
    started: Instant,
) -> Record {
    let what = file.map_or_else(What::default, |file| What {
        digest: Some(file.digest.full().to_owned()),
        path: file.path.display().to_string(),
        parts: file.parts.iter().map(Part::without_bytes).collect(),
    });
    slot.record(what, &request.cause, verdict, started)
}

impl SwapOutcome {
    /// With what serves at this moment as the version before.
    fn of(slot: &SwapSlot, record: Record) -> Self {
        Self {
            service: slot.service.name.to_string(),
            from: slot.service.active().stable.digest.full().to_string(),
            record,
            finishing: 0,
            ended_canary: None,
            without: Vec::new(),
            is_known: false,
        }
    }
}

impl Swaps {
    /// Wait for the turn, load, publish. An error is not entered into the history.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        wanted: SwapTarget,
        request: &SwapRequest,
        others: Option<&dyn Agreement>,
        seen: &Operation,
    ) -> Result<SwapOutcome, SwapError> {
        let started = Instant::now();
        let mut newest = slot.newest.subscribe();
        // What takes a version back takes the place of nothing: what was asked for may be what mends it, or the same
        // by another replica.
        let steps_aside = wanted.takes_back();
        let mut ticket = *newest.borrow();
        slot.newest.send_if_modified(|newest| {
            *newest += u64::from(!steps_aside);
            ticket = *newest;
            !steps_aside
        });
        tracing::debug!(service = %slot.service.name, "swap {ticket} waits for its turn");
        let step = seen.step("turn");
        let _turn = match turn(slot, others).await {
            Ok(turn) => turn,
            Err(reason) => {
                let file = wanted.component();
                return Ok(rejected(slot, file, request, started, reason));
            }
        };
        drop(step);
        let takes_back = wanted.takes_back();
        let is_followed = matches!(wanted, SwapTarget::Followed { .. });
        let mut put_into = None;
        let (file, vouched) = match wanted {
            SwapTarget::Component(file) => {
                let rejected = |reason: &str| {
                    Ok(rejected(slot, Some(&file), request, started, reason.to_owned()))
                };
                if *newest.borrow_and_update() != ticket {
                    return rejected(OUSTED_WAITING);
                }
                let version = slot.service.active().stable.clone();
                let step = seen.step("compose");
                let put = tokio::select! {
                    put = self.put(slot, version.parts(), &file, request.part.as_deref()) => put?,
                    _ = newest.changed() => return rejected(OUSTED_COMPILING),
                    () = self.stopping.cancelled() => return rejected(STOPPING),
                };
                drop(step);
                match put {
                    // What is new was vouched for where it came from, and what stays is looked at again.
                    Ok(Some(composed)) => {
                        let vouched = (slot.vouch)(&composed);
                        put_into = Some(version);
                        (composed, vouched)
                    }
                    Ok(None) => (file, Ok(())),
                    Err(error) => (file, Err(error)),
                }
            }
            SwapTarget::Followed { file, .. } => (file, Ok(())),
            SwapTarget::Before { of } => {
                let serving = slot.service.active().stable.digest.full().to_owned();
                if of.is_some_and(|of| of != serving) {
                    return Err(SwapError::NotServing(slot.service.name.to_string()));
                }
                let known = match others {
                    Some(others) => others.before(&slot.service.name, &serving).await,
                    None => None,
                };
                let file = match known {
                    Some(Ok(file)) => {
                        let service = || slot.service.name.to_string();
                        file.ok_or_else(|| SwapError::NothingBefore(service()))?
                    }
                    Some(Err(reason)) => {
                        return Ok(rejected(slot, None, request, started, reason));
                    }
                    None => self.before(slot).await?,
                };
                let vouched = (slot.vouch)(&file);
                (file, vouched)
            }
        };
        let rejected = |reason: String| {
            // What follows the others tries until it can.
            let known = is_followed.then(|| {
                let (digest, cause) = (file.digest.full(), &request.cause);
                slot.saved().history.refused_again(digest, cause, &reason)
            });
            match known.flatten() {
                Some(record) => SwapOutcome { is_known: true, ..SwapOutcome::of(slot, record) },
                None => rejected(slot, Some(&file), request, started, reason),
            }
        };
        if *newest.borrow_and_update() != ticket {
            return Ok(rejected(OUSTED_WAITING.to_string()));
        }
        if self.stopping.is_cancelled() {
            return Ok(rejected(STOPPING.to_string()));
        }
        if let Err(error) = vouched {
            return Ok(rejected(format!("{error:#}")));
        }
        if let Some(outcome) = self.unchanged(slot, &file, request, started).await {
            return Ok(outcome);
        }
        if others.is_some() && request.canary.is_some() {
            return Ok(rejected(CANARY.to_string()));
        }
        let step = seen.step("compile");
        let compiled = tokio::select! {
            compiled = self.loader.compile(&file, NICENESS) => compiled,
            _ = newest.changed() => {
                return Ok(rejected(OUSTED_COMPILING.to_string()));
            }
            () = self.stopping.cancelled() => return Ok(rejected(STOPPING.to_string())),
        };
        tracing::debug!(service = %slot.service.name, "swap {ticket} is compiled and tried");
        drop(step);
        let step = seen.step("start and health");
        let loaded = async { self.loader.load_compiled(&file, compiled?, &slot.terms).await };
        let version = match loaded.await {
            Ok(version) => Arc::new(version),
            Err(error) => return Ok(rejected((slot.explain)(&error))),
        };
        drop(step);
        let step = seen.step("keep");
        let keeping = {
            let (store, file) = (self.store.clone(), file.clone());
            spawn_blocking(move || store.keep(&file))
                .await
                .unwrap_or_else(|error| Err(error.into()))
        };
        let _kept = match keeping {
            Ok(kept) => kept,
            Err(error) => return Ok(rejected(format!("its file cannot be kept: {error}"))),
        };
        drop(step);
        let agreed = match others {
            None => None,
            Some(others) => {
                let _step = seen.step("agree");
                let (service, file, cause) = (&slot.service.name, &file, &*request.cause);
                match others.agree(Proposed { service, file, cause, takes_back }).await {
                    Ok(agreed) => Some(agreed),
                    Err(reason) => return Ok(rejected(reason)),
                }
            }
        };
        let _step = seen.step("publish");
        let _change = slot.change.lock().await;
        // What all have decided on serves here, too, until the end.
        if agreed.is_none() && self.stopping.is_cancelled() {
            return Ok(rejected(STOPPING.to_string()));
        }
        let old = slot.service.active().stable.clone();
        // It has the other parts of what served when it was put together, which may have been taken back since, or have
        // made way for a canary.
        if put_into.is_some_and(|version| version.digest != old.digest) {
            return Ok(rejected(OTHER_PARTS.to_string()));
        }
        let number = slot.serving_record.load(Ordering::Acquire);
        let outcome = self.publish(slot, version, &file, request, agreed, started).await;
        if takes_back && outcome.record.verdict == Verdict::Activated {
            self.taken_back(slot, number, old.digest.full(), &request.cause).await;
        }
        Ok(outcome)
    }

    /// The parts of what serves with this component in the place of one of them, put together. None: there are none.
    ///
    /// # Errors
    /// There is no part of that name; within, the parts do not fit together or are no longer kept.
    async fn put(
        &self,
        slot: &SwapSlot,
        parts: &[Part],
        file: &ComponentFile,
        name: Option<&str>,
    ) -> Result<anyhow::Result<Option<ComponentFile>>, SwapError> {
        let is_it = |part: &&Part| match name {
            Some(name) => part.name == name,
            None => part.role == Role::Service,
        };
        let Some(replaced) = parts.iter().find(is_it).map(|part| part.name.clone()) else {
            return match name {
                None => Ok(Ok(None)),
                Some(name) => Err(SwapError::NoPart {
                    service: slot.service.name.to_string(),
                    part: name.to_owned(),
                    parts: parts.iter().map(|part| part.name.clone()).collect(),
                }),
            };
        };
        let mut all = Vec::new();
        for part in parts {
            if part.name == replaced {
                all.push(part.replaced(file.clone()));
                continue;
            }
            let (store, digest) = (self.store.clone(), part.digest.clone());
            let kept = spawn_blocking(move || store.find(&digest)).await.ok().flatten();
            let Some(kept) = kept else {
                let (name, digest) = (&part.name, &part.digest);
                return Ok(Err(anyhow!("its part {name} ({digest}) is no longer kept")));
            };
            all.push(Part { bytes: Some(kept.bytes), ..part.clone() });
        }
        Ok(self.loader.compiler.compose(all, NICENESS).await.map(Some))
    }

    /// What a rollback goes to.
    async fn before(&self, slot: &SwapSlot) -> Result<ComponentFile, SwapError> {
        let service = slot.service.name.to_string();
        let active = slot.service.active();
        let stable = active.stable.digest.full();
        let digest = match &active.canary {
            // The version before a canary is the one that still takes most requests.
            Some(_) => stable.to_string(),
            None => match slot.saved().history.before(stable) {
                Some(digest) => digest.to_string(),
                None => return Err(SwapError::NothingBefore(service)),
            },
        };
        let (store, wanted) = (self.store.clone(), digest.clone());
        let found = spawn_blocking(move || store.find(&wanted)).await.ok().flatten();
        let found = found.map(|file| from_origin(file, slot.saved().history.origin(&digest)));
        found.ok_or(SwapError::Gone { service, digest })
    }

    /// The verdict on what serves already. A canary beside it is over: this version was asked for.
    async fn unchanged(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        file: &ComponentFile,
        request: &SwapRequest,
        started: Instant,
    ) -> Option<SwapOutcome> {
        let _change = slot.change.lock().await;
        if slot.service.active().stable.digest != file.digest {
            return None;
        }
        let ended = self.withdraw_canary(slot, "the version before it was asked for").await;
        let record = enter(slot, Some(file), request, Verdict::Unchanged, started);
        Some(SwapOutcome { ended_canary: ended, ..SwapOutcome::of(slot, record) })
    }

    /// The new version is good: write that down, then let it take requests. In this order, so that what was
    /// reported to be in service is in service after a power failure, too.
    async fn publish(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        version: Arc<Version>,
        file: &ComponentFile,
        request: &SwapRequest,
        agreed: Option<Agreed>,
        started: Instant,
    ) -> SwapOutcome {
        let old = slot.service.active().stable.clone();
        let digest = version.digest.full().to_string();
        let verdict = request.canary.map_or(Verdict::Activated, |_| Verdict::Canary);
        let mut record = enter(slot, Some(file), request, verdict, started);
        (record.imports_added, record.imports_removed) = difference(&old.imports, &version.imports);
        let published = {
            let mut saved = slot.saved();
            saved.history.update(record.number, |saved| saved.clone_from(&record));
            let published = saved.published.clone();
            if verdict == Verdict::Activated {
                saved.published = Some(digest);
            }
            published
        };
        if let Err(error) = self.write(slot).await {
            if agreed.is_some() {
                // The others serve it, and so does this host when it starts again.
                tracing::warn!(service = %slot.service.name, "its history cannot be kept: {error}");
                return self.serve(slot, old, version, record, request, agreed, started).await;
            }
            record.verdict = Verdict::Rejected;
            record.reason = Some(format!("its history cannot be kept: {error}"));
            let mut saved = slot.saved();
            saved.published = published;
            saved.history.update(record.number, |saved| saved.clone_from(&record));
            drop(saved);
            return SwapOutcome::of(slot, record);
        }
        self.serve(slot, old, version, record, request, agreed, started).await
    }

    /// Let the new version take requests.
    #[expect(clippy::too_many_arguments, reason = "the end of what `publish` begins")]
    async fn serve(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        old: Arc<Version>,
        version: Arc<Version>,
        record: Record,
        request: &SwapRequest,
        agreed: Option<Agreed>,
        started: Instant,
    ) -> SwapOutcome {
        let ended = self.withdraw_canary(slot, "another version took its place").await;
        let mut outcome = SwapOutcome { ended_canary: ended, ..SwapOutcome::of(slot, record) };
        match request.canary {
            Some(canary) => {
                let active = ActiveVersions::with_canary(old, version.clone(), canary.percent);
                slot.service.publish(active);
                self.try_canary(slot, version, canary, outcome.record.number);
            }
            None => {
                slot.service.publish(ActiveVersions::only(version.clone()));
                outcome.finishing = old.counts.in_flight();
                let is_tried = !agreed.as_ref().is_some_and(|agreed| agreed.has_served);
                self.activate(slot, old, version, outcome.record.number, is_tried);
            }
        }
        if let Some(agreed) = agreed {
            outcome.without = agreed.without;
            if let Some(served) = agreed.served {
                let _ = served.send(());
            }
        }
        outcome.record.took_ms = millis(started.elapsed());
        let took_ms = outcome.record.took_ms;
        slot.saved().history.update(outcome.record.number, |record| record.took_ms = took_ms);
        outcome
    }
}

/// What came of an attempt, for what is seen of it.
pub(super) fn tell(outcome: &SwapOutcome, seen: &mut ActiveSpan) {
    let record = &outcome.record;
    seen.set_text("wasm_host.swap.cause", &record.cause);
    seen.set_text("wasm_host.swap.from", &outcome.from);
    seen.set(attributes::SWAP_VERDICT, record.verdict.name());
    if let Some(digest) = &record.digest {
        seen.set_text(attributes::VERSION, digest);
    }
    if let Some(reason) = &record.reason {
        seen.fail(record.verdict.name(), reason);
    }
}

const CANARY: &str = "with [replicas], a version is not tried as a canary: swap it without, and it is taken back by \
                      all replicas if it does clearly worse";

const OUSTED_WAITING: &str = "a newer swap took its place while it waited";

const OUSTED_COMPILING: &str = "a newer swap took its place while it was compiled";

const OTHER_PARTS: &str = "another version serves by now than the one whose parts it was put together with: swap it again";

const STOPPING: &str = "the host is stopping";

/// Interfaces that are new in the second list, and that are no longer in it.
fn difference(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let without = |all: &[String], known: &[String]| {
        all.iter().filter(|name| !known.contains(name)).cloned().collect()
    };
    (without(after, before), without(before, after))
}
