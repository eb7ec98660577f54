//! What the control plane says of versions, in JSON, and what commands read of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use wasm_host_engine::compose::{Part, Role};
use wasm_host_service::history::{Record, Verdict};
use wasm_host_service::swap;

/// One attempt to put a version into service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts up with every attempt of the service.
    pub number: u64,
    /// SHA-256 of the component; none if there was nothing to digest.
    pub digest: Option<String>,
    /// Where the component came from.
    pub path: String,
    /// What it was put together from; not there where it is one component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<AttemptPart>,
    /// What asked for it.
    pub cause: String,
    pub verdict: AttemptVerdict,
    /// Why it was rejected or taken back.
    pub reason: Option<String>,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// From the request to the verdict, in milliseconds.
    pub took_ms: u64,
    /// Interfaces that it imports and the version before did not, and the other way round.
    pub imports_added: Vec<String>,
    pub imports_removed: Vec<String>,
    /// Requests that it answered whole.
    pub served: Option<u64>,
    /// From its replacement to the end of its last request, in milliseconds.
    pub drained_in_ms: Option<u64>,
    /// Requests that were ended at the drain's deadline.
    pub cut: Option<u64>,
}

/// What came of an attempt: [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptVerdict {
    Activated,
    Canary,
    Rejected,
    TakenBack,
    Unchanged,
}

/// One component of several that a version is put together from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptPart {
    /// What `wasm-host swap --part` calls it.
    pub name: String,
    pub role: PartRole,
    /// SHA-256.
    pub digest: String,
    /// Where it came from.
    pub path: String,
    /// Of its file, in bytes.
    pub size: u64,
}

/// What a part is there for: [`Role`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartRole {
    Middleware,
    Service,
    With(Vec<String>),
}

/// What came of a swap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SwapAnswer {
    pub service: String,
    /// The digest that served before.
    pub from: String,
    #[serde(flatten)]
    pub attempt: Attempt,
    /// Requests that were running on the old version at the moment of the swap, which finish there.
    pub finishing: usize,
    /// The digest of the canary that this ended.
    pub ended_canary: Option<String>,
    /// Replicas that were lost, without which it was decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

impl From<Record> for Attempt {
    fn from(record: Record) -> Self {
        Self {
            number: record.number,
            digest: record.digest,
            path: record.path,
            parts: record.parts.into_iter().map(AttemptPart::from).collect(),
            cause: record.cause,
            verdict: record.verdict.into(),
            reason: record.reason,
            at_ms: record.at_ms,
            took_ms: record.took_ms,
            imports_added: record.imports_added,
            imports_removed: record.imports_removed,
            served: record.served,
            drained_in_ms: record.drained_in_ms,
            cut: record.cut,
        }
    }
}

impl From<Part> for AttemptPart {
    fn from(part: Part) -> Self {
        let Part { name, role, digest, path, size, imports: _, bytes: _ } = part;
        Self { name, role: role.into(), digest, path, size }
    }
}

impl From<Role> for PartRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Middleware => Self::Middleware,
            Role::Service => Self::Service,
            Role::With(keys) => Self::With(keys),
        }
    }
}

impl fmt::Display for PartRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Middleware => formatter.write_str("middleware"),
            Self::Service => formatter.write_str("service"),
            Self::With(keys) => write!(formatter, "serves {}", keys.join(" and ")),
        }
    }
}

impl From<Verdict> for AttemptVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Activated => Self::Activated,
            Verdict::Canary => Self::Canary,
            Verdict::Rejected => Self::Rejected,
            Verdict::TakenBack => Self::TakenBack,
            Verdict::Unchanged => Self::Unchanged,
        }
    }
}

impl AttemptVerdict {
    /// For people.
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

impl From<swap::SwapOutcome> for SwapAnswer {
    fn from(outcome: swap::SwapOutcome) -> Self {
        let swap::SwapOutcome { service, from, record, finishing, ended_canary, without, .. } =
            outcome;
        Self { service, from, attempt: record.into(), finishing, ended_canary, without }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_says_what_its_record_says() {
        let record = Record {
            number: 1,
            digest: Some("abc".to_string()),
            path: "abc.wasm".to_string(),
            parts: vec![Part {
                name: "store".to_string(),
                role: Role::With(vec!["a:b/c".to_string()]),
                digest: "def".to_string(),
                path: "store.wasm".to_string(),
                size: 7,
                imports: vec!["a:b/imported".to_string()],
                bytes: None,
            }],
            cause: "test".to_string(),
            verdict: Verdict::TakenBack,
            reason: Some("worse".to_string()),
            at_ms: 2,
            took_ms: 3,
            imports_added: vec!["a:b/added".to_string()],
            imports_removed: vec!["a:b/removed".to_string()],
            served: Some(4),
            drained_in_ms: Some(5),
            cut: Some(6),
        };
        let expected = serde_json::json!({
            "number": 1, "digest": "abc", "path": "abc.wasm",
            "parts": [{
                "name": "store", "role": { "with": ["a:b/c"] }, "digest": "def", "path": "store.wasm", "size": 7,
            }],
            "cause": "test",
            "verdict": "taken-back", "reason": "worse", "at_ms": 2, "took_ms": 3,
            "imports_added": ["a:b/added"], "imports_removed": ["a:b/removed"],
            "served": 4, "drained_in_ms": 5, "cut": 6,
        });
        assert_eq!(serde_json::to_value(Attempt::from(record)).unwrap(), expected);
    }
}
