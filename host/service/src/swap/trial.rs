//! Versions on trial: as a canary, and for their first answers.
//!
//! Both compare what the component itself did wrong (traps, no answer, 5xx) between the new version and the
//! old one over the same time, and take the new one back when it is clearly worse.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{CanaryTerms, SwapError, SwapSlot, Swaps, What, short};
use crate::active::ActiveVersions;
use crate::history::Verdict;
use crate::version::Version;
use wasm_host_limits as limits;
use wasm_host_telemetry::attributes;
use wasm_host_telemetry::instruments::SWAPS;
use wasm_host_telemetry::trace::Operation;

/// Answers and errors of a version in a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Tally {
    answers: u64,
    errors: u64,
}

impl Tally {
    /// What a version has done since `before`.
    fn since(version: &Version, before: Tally) -> Self {
        let (answers, errors) = version.counts.answers();
        Self {
            answers: answers.saturating_sub(before.answers),
            errors: errors.saturating_sub(before.errors),
        }
    }

    fn rate(self) -> f64 {
        if self.answers == 0 { 0.0 } else { self.errors as f64 / self.answers as f64 }
    }
}

/// Whether the new version does clearly worse: enough errors to be no accident, and far more often than the old one.
fn clearly_worse(new: Tally, old: Tally) -> bool {
    new.errors >= limits::TRIAL_ERRORS
        && new.rate() > old.rate() * limits::TRIAL_FACTOR + limits::TRIAL_MARGIN
}

fn reason(new: Tally, old: Tally) -> String {
    format!(
        "{} of its {} answers were errors; of the version before it {} of {}",
        new.errors, new.answers, old.errors, old.answers
    )
}

impl Swaps {
    /// Compare a canary with the stable version for its time, then decide.
    pub(super) fn try_canary(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        canary: Arc<Version>,
        terms: CanaryTerms,
        number: u64,
    ) {
        let (swaps, slot) = (self.clone(), slot.clone());
        tokio::spawn(async move {
            let until = Instant::now() + terms.duration;
            let stable = slot.service.active().stable.clone();
            let (before, none) = (Tally::since(&stable, Tally::default()), Tally::default());
            while Instant::now() < until {
                sleep(limits::TRIAL_INTERVAL).await;
                let change = slot.change.lock().await;
                if !is_canary(&slot, &canary) {
                    return;
                }
                let (new, old) = (Tally::since(&canary, none), Tally::since(&stable, before));
                if clearly_worse(new, old) {
                    swaps.withdraw_canary(&slot, &reason(new, old)).await;
                    return;
                }
                drop(change);
            }
            let _change = slot.change.lock().await;
            if is_canary(&slot, &canary) {
                slot.service.publish(ActiveVersions::only(canary.clone()));
                let (answers, _) = canary.counts.answers();
                let seen = match answers {
                    0 => "after a canary that nobody asked".to_string(),
                    1 => "after a canary of 1 answer".to_string(),
                    _ => format!("after a canary of {answers} answers"),
                };
                tracing::info!(service = %slot.service.name, "{}: activated {seen}", canary.digest);
                slot.saved().history.update(number, |record| {
                    record.verdict = Verdict::Activated;
                    record.reason = Some(seen.clone());
                });
                swaps.decided(&slot, Verdict::Activated, canary.digest.full(), &seen);
                swaps.activate(&slot, stable, canary, number, true);
                swaps.save(&slot).await;
            }
        });
    }

    /// End a canary, if there is one: the stable version takes all requests. Returns its digest.
    pub(super) async fn withdraw_canary(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        reason: &str,
    ) -> Option<String> {
        let active = slot.service.active();
        let canary = active.canary.as_ref()?;
        slot.service.publish(ActiveVersions::only(active.stable.clone()));
        let digest = canary.version.digest.full().to_string();
        let number = slot.saved().history.last_canary(&digest);
        self.taken_back(slot, number, &digest, reason).await;
        self.let_drain(slot, canary.version.clone(), number);
        Some(digest)
    }

    /// Take a version back whose first answers are mostly errors, while the one before it is still at hand. Others go
    /// back with this host only from what does worse than what answered here before.
    pub(super) fn watch_first_answers(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        old: Arc<Version>,
        new: Arc<Version>,
        number: u64,
    ) {
        let (swaps, slot) = (self.clone(), slot.clone());
        tokio::spawn(async move {
            let until = Instant::now() + limits::PROBATION;
            let started = Tally::since(&new, Tally::default());
            let (all_answers, all_errors) = old.counts.answers();
            let before = Tally { answers: all_answers, errors: all_errors };
            if swaps.others.get().is_some() && before.answers == 0 {
                return;
            }
            let (mut is_worse, mut pause) = (false, limits::replicas::RETRY);
            while Instant::now() < until || is_worse {
                sleep(limits::TRIAL_INTERVAL).await;
                let change = slot.change.lock().await;
                if !Arc::ptr_eq(&slot.service.active().stable, &new) {
                    return;
                }
                let answers = Tally::since(&new, started);
                is_worse = clearly_worse(answers, before);
                if !is_worse {
                    continue;
                }
                if let Some(others) = swaps.others.get() {
                    // All replicas go back, or none. They see it at the same moment, and one of them is enough.
                    drop(change);
                    if swaps.stopping.is_cancelled() {
                        return;
                    }
                    if others.is_deciding(&slot.service.name, new.digest.full()) {
                        continue;
                    }
                    if swaps.go_back_together(&slot, &new, &reason(answers, before)).await {
                        return;
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(limits::replicas::TAKE_BACK_AT_MOST);
                    continue;
                }
                old.resume();
                slot.service.publish(ActiveVersions::only(old.clone()));
                let digest = new.digest.full().to_string();
                swaps.restore(&slot, &old);
                // Its idle instances have ended. It serves meanwhile: what makes way for it is worse than cold.
                tokio::spawn(async move { old.warm_up().await });
                swaps.taken_back(&slot, number, &digest, &reason(answers, before)).await;
                swaps.let_drain(&slot, new, number);
                return;
            }
        });
    }

    /// A version does clearly worse here: ask the others to go back. False: they could not be asked, or did not agree.
    async fn go_back_together(
        self: &Arc<Self>,
        slot: &Arc<SwapSlot>,
        new: &Version,
        reason: &str,
    ) -> bool {
        let digest = new.digest.full();
        let cause = format!("{} does worse: {reason}", short(digest));
        match self.go_back(&slot.service.name, &cause, Some(digest.to_owned())).await {
            Ok(outcome) => outcome.record.verdict != Verdict::Rejected,
            // Another replica was faster.
            Err(SwapError::NotServing(_)) => true,
            Err(error) => {
                tracing::warn!(service = %slot.service.name, "{cause}; {error}");
                true
            }
        }
    }

    /// Make seen what has become of a version that was on trial, as a swap is when it ends.
    fn decided(&self, slot: &SwapSlot, verdict: Verdict, digest: &str, reason: &str) {
        let (telemetry, service) = (self.loader.telemetry, &slot.service.name);
        let mut seen = Operation::begin(telemetry, format!("trial {service}"), service);
        let span = seen.span();
        span.set(attributes::VERSION, digest.to_owned());
        span.set(attributes::SWAP_VERDICT, verdict.name());
        match verdict {
            Verdict::TakenBack => span.fail(verdict.name(), reason),
            _ => span.set_text(attributes::SWAP_REASON, reason),
        }
        telemetry.record(&SWAPS, &[service, verdict.name()], 1.0, None);
    }

    /// Write down that the old version serves again.
    fn restore(&self, slot: &SwapSlot, version: &Version) {
        let record = slot.record(
            What::of(version),
            "the version after it was taken back",
            Verdict::Activated,
            std::time::Instant::now(),
        );
        slot.serving_record.store(record.number, std::sync::atomic::Ordering::Release);
        slot.saved().published = Some(version.digest.full().to_string());
    }

    pub(super) async fn taken_back(
        &self,
        slot: &SwapSlot,
        number: u64,
        digest: &str,
        reason: &str,
    ) {
        tracing::warn!(
            service = %slot.service.name,
            "{} was taken back: {reason}",
            short(digest)
        );
        slot.saved().history.update(number, |record| {
            record.verdict = Verdict::TakenBack;
            record.reason = Some(reason.to_string());
        });
        self.decided(slot, Verdict::TakenBack, digest, reason);
        self.save(slot).await;
    }
}

fn is_canary(slot: &SwapSlot, version: &Arc<Version>) -> bool {
    let active = slot.service.active();
    active.canary.as_ref().is_some_and(|canary| Arc::ptr_eq(&canary.version, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(errors: u64, answers: u64) -> Tally {
        Tally { answers, errors }
    }

    #[test]
    fn one_error_is_an_accident_and_a_fifth_of_all_answers_is_not() {
        assert!(!clearly_worse(tally(1, 1), tally(0, 1000)));
        assert!(clearly_worse(tally(20, 100), tally(0, 900)));
        assert!(clearly_worse(tally(3, 3), tally(0, 0)));
    }

    #[test]
    fn a_version_that_fails_as_often_as_the_old_one_is_not_worse() {
        assert!(!clearly_worse(tally(50, 100), tally(450, 900)));
        assert!(!clearly_worse(tally(3, 1000), tally(0, 9000)));
    }
}
