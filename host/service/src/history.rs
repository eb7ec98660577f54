//! What happened to a service's versions: every attempt with its cause and its verdict.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use wasm_host_engine::compose::Part;
use wasm_host_limits as limits;

/// One attempt to put a version into service, oldest first in a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Counts up with every attempt of the service.
    pub number: u64,
    /// SHA-256 of the component; none if there was nothing to digest.
    pub digest: Option<String>,
    /// Where the component came from.
    pub path: String,
    /// What it was put together from. None of them: it is one component.
    pub parts: Vec<Part>,
    /// What asked for it.
    pub cause: String,
    pub verdict: Verdict,
    /// Why it was rejected or taken back.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// From the request to the verdict, in milliseconds.
    pub took_ms: u64,
    /// Interfaces that it imports and the version before did not, and the other way round.
    pub imports_added: Vec<String>,
    pub imports_removed: Vec<String>,
    /// Requests that it answered whole; known once it is replaced.
    pub served: Option<u64>,
    /// From its replacement to the end of its last request, in milliseconds.
    pub drained_in_ms: Option<u64>,
    /// Requests that were ended at the drain's deadline.
    pub cut: Option<u64>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes the requests.
    Activated,
    /// It takes some of the requests, for some time.
    Canary,
    /// It never took a request; the version before it was not touched.
    Rejected,
    /// It took requests and did worse than the version before it, which serves again.
    TakenBack,
    /// It is what serves already.
    Unchanged,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::Canary => "canary",
            Self::Rejected => "rejected",
            Self::TakenBack => "taken-back",
            Self::Unchanged => "unchanged",
        }
    }
}

/// The last attempts of one service.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: VecDeque<Record>,
    /// How many attempts there have been.
    count: u64,
}

impl History {
    /// A history that was kept: its last records, oldest first, and the number of all attempts.
    pub fn restored(records: impl IntoIterator<Item = Record>, count: u64) -> Self {
        Self { records: records.into_iter().collect(), count }
    }

    /// How many attempts there have been.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Add a record and give it its number.
    pub fn push(&mut self, mut record: Record) -> Record {
        self.count += 1;
        record.number = self.count;
        if self.records.len() >= limits::HISTORY_RECORDS {
            self.forget_one();
        }
        self.records.push_back(record.clone());
        record
    }

    /// Remove the oldest record, but not the last one of the version that serves nor of the one before it:
    /// however many attempts fail in between, there is a way back.
    fn forget_one(&mut self) {
        let last = |digest: &str| {
            let is_it = |record: &Record| {
                record.verdict == Verdict::Activated && record.digest.as_deref() == Some(digest)
            };
            self.records.iter().rposition(is_it)
        };
        let current = self.good().next();
        let kept = [current, current.and_then(|digest| self.before(digest))];
        let kept: Vec<usize> = kept.into_iter().flatten().filter_map(last).collect();
        if let Some(oldest) = (0..self.records.len()).find(|index| !kept.contains(index)) {
            self.records.remove(oldest);
        }
    }

    /// The digests that were put into service and not taken back, newest first.
    fn good(&self) -> impl Iterator<Item = &str> {
        let good = self.records.iter().rev().filter(|record| record.verdict == Verdict::Activated);
        good.filter_map(|record| record.digest.as_deref())
    }

    /// End the trials that a host had not finished when it ended.
    pub fn close_trials(&mut self) {
        for record in self.records.iter_mut().filter(|record| record.verdict == Verdict::Canary) {
            record.verdict = Verdict::TakenBack;
            record.reason = Some("the host stopped during its canary".to_string());
        }
    }

    /// Change a record, which may be gone by now.
    pub fn update(&mut self, number: u64, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.records.iter_mut().find(|record| record.number == number) {
            change(record);
        }
    }

    /// The last record, if it is of the same refusal: that one is then of this moment, and no other is needed.
    pub fn refused_again(&mut self, digest: &str, cause: &str, reason: &str) -> Option<Record> {
        let last = self.records.back_mut().filter(|last| {
            last.verdict == Verdict::Rejected
                && last.digest.as_deref() == Some(digest)
                && last.cause == cause
                && last.reason.as_deref() == Some(reason)
        })?;
        last.at_ms = now_ms();
        Some(last.clone())
    }

    /// Oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.records.iter().cloned().collect()
    }

    /// The number of the last attempt that put a version on trial.
    pub fn last_canary(&self, digest: &str) -> u64 {
        let tried = |record: &&Record| {
            record.verdict == Verdict::Canary && record.digest.as_deref() == Some(digest)
        };
        self.records.iter().rev().find(tried).map_or(0, |record| record.number)
    }

    /// The digest of the last version before `current` that was put into service and not taken back.
    pub fn before(&self, current: &str) -> Option<&str> {
        self.good().find(|digest| *digest != current)
    }

    /// The record of when a version last was put into service or on trial: where it came from, and of which parts it is.
    pub fn origin(&self, digest: &str) -> Option<&Record> {
        let is_it = |record: &&Record| {
            matches!(record.verdict, Verdict::Activated | Verdict::Canary)
                && record.digest.as_deref() == Some(digest)
        };
        self.records.iter().rev().find(is_it)
    }

    /// The digests of all versions that a rollback, or the end of a canary, could want, and of their parts, each of which
    /// may be replaced alone.
    pub fn wanted(&self) -> impl Iterator<Item = &str> {
        let tried =
            |record: &&Record| matches!(record.verdict, Verdict::Activated | Verdict::Canary);
        self.records.iter().filter(tried).flat_map(|record| {
            let parts = record.parts.iter().map(|part| &*part.digest);
            record.digest.as_deref().into_iter().chain(parts)
        })
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(digest: &str, verdict: Verdict) -> Record {
        Record {
            number: 0,
            digest: Some(digest.to_string()),
            path: format!("{digest}.wasm"),
            parts: Vec::new(),
            cause: "test".to_string(),
            verdict,
            reason: None,
            at_ms: 0,
            took_ms: 0,
            imports_added: Vec::new(),
            imports_removed: Vec::new(),
            served: None,
            drained_in_ms: None,
            cut: None,
        }
    }

    #[test]
    fn a_rollback_goes_to_the_last_other_version_that_was_good() {
        let mut history = History::default();
        for (digest, verdict) in [
            ("a", Verdict::Activated),
            ("b", Verdict::Activated),
            ("c", Verdict::TakenBack),
            ("d", Verdict::Rejected),
        ] {
            history.push(record(digest, verdict));
        }
        assert_eq!(history.before("b"), Some("a"));
        assert_eq!(history.before("a"), Some("b"));
        assert_eq!(History::default().before("a"), None);
    }

    #[test]
    fn a_history_is_bounded_and_its_numbers_go_on() {
        let mut history = History::default();
        for _ in 0..limits::HISTORY_RECORDS + 5 {
            history.push(record("a", Verdict::Activated));
        }
        let records = history.records();
        assert_eq!(records.len(), limits::HISTORY_RECORDS);
        assert_eq!(records.last().unwrap().number as usize, limits::HISTORY_RECORDS + 5);
        history.update(1, |record| record.served = Some(1));
        assert!(history.records().iter().all(|record| record.served.is_none()));
    }

    #[test]
    fn failed_attempts_never_push_out_the_way_back() {
        let mut history = History::default();
        history.push(record("a", Verdict::Activated));
        history.push(record("b", Verdict::Activated));
        for _ in 0..limits::HISTORY_RECORDS * 2 {
            history.push(record("x", Verdict::Rejected));
        }
        assert_eq!(history.records().len(), limits::HISTORY_RECORDS);
        assert_eq!(history.before("b"), Some("a"));
        assert_eq!(history.wanted().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn the_same_refusal_again_is_no_other_record() {
        let mut history = History::default();
        let refused =
            Record { reason: Some("it is ill".to_string()), ..record("a", Verdict::Rejected) };
        history.push(refused);
        let again = history.refused_again("a", "test", "it is ill").unwrap();
        assert!(again.number == 1 && again.at_ms > 0, "{again:?}");
        assert!(history.refused_again("b", "test", "it is ill").is_none());
        assert!(history.refused_again("a", "test", "it is away").is_none());
        history.push(record("a", Verdict::Activated));
        assert!(history.refused_again("a", "test", "it is ill").is_none());
    }

    #[test]
    fn a_trial_that_the_host_did_not_survive_is_over() {
        let mut history = History::default();
        history.push(record("a", Verdict::Canary));
        history.close_trials();
        assert_eq!(history.records()[0].verdict, Verdict::TakenBack);
        assert!(history.records()[0].reason.as_deref().unwrap().contains("stopped"));
    }
}
