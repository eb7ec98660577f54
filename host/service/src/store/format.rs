//! How what is known of a service stands in its file.
//!
//! It has types of its own, so that what runs can change and a file of any earlier host is still read. A change of these
//! is a new format with a number of its own; what reads the old one stays, and so does its file in `format/`.

use serde::{Deserialize, Serialize};

use super::Saved;
use crate::history::{History, Record, Verdict};
use wasm_host_engine::compose::{Part, Role};

/// The format that is written. Files without a number are of the format 0, which differs from 1 in that alone; those of 1
/// know no versions of several parts.
const FORMAT: u32 = 2;

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(default)]
    format: u32,
    published: Option<String>,
    replaced: Option<String>,
    history: WrittenHistory,
}

#[derive(Serialize, Deserialize)]
struct WrittenHistory {
    records: Vec<WrittenRecord>,
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct WrittenRecord {
    number: u64,
    digest: Option<String>,
    path: String,
    #[serde(default)]
    parts: Vec<WrittenPart>,
    cause: String,
    verdict: WrittenVerdict,
    reason: Option<String>,
    at_ms: u64,
    took_ms: u64,
    imports_added: Vec<String>,
    imports_removed: Vec<String>,
    served: Option<u64>,
    drained_in_ms: Option<u64>,
    cut: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct WrittenPart {
    name: String,
    role: WrittenRole,
    digest: String,
    path: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenRole {
    Middleware,
    Service,
    With(Vec<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenVerdict {
    Activated,
    Canary,
    Rejected,
    TakenBack,
    Unchanged,
}

/// # Errors
/// It is of no format that this host knows, in words.
pub(super) fn read(text: &[u8]) -> Result<Saved, String> {
    let unreadable = |error: serde_json::Error| error.to_string();
    let Head { format } = serde_json::from_slice(text).map_err(unreadable)?;
    if format > FORMAT {
        return Err(format!("it is of the format {format}, this host knows those up to {FORMAT}"));
    }
    serde_json::from_slice(text).map(Written::saved).map_err(unreadable)
}

pub(super) fn write(saved: &Saved) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec_pretty(&Written::of(saved))
}

impl Written {
    fn of(saved: &Saved) -> Self {
        let Saved { published, replaced, history } = saved;
        let records = history.records().into_iter().map(WrittenRecord::from).collect();
        let history = WrittenHistory { records, next: history.count() };
        let (published, replaced) = (published.clone(), replaced.clone());
        Self { format: FORMAT, published, replaced, history }
    }

    fn saved(self) -> Saved {
        let Self { published, replaced, history: WrittenHistory { records, next }, .. } = self;
        let records = records.into_iter().map(Record::from);
        Saved { published, replaced, history: History::restored(records, next) }
    }
}

/// The same fields under the same names, on either side.
macro_rules! alike {
    ($one:ty, $other:ty) => {
        alike! { @from $one, $other }
        alike! { @from $other, $one }
    };
    (@from $from:ty, $to:ty) => {
        impl From<$from> for $to {
            fn from(from: $from) -> Self {
                Self {
                    number: from.number,
                    digest: from.digest,
                    path: from.path,
                    parts: from.parts.into_iter().map(Into::into).collect(),
                    cause: from.cause,
                    verdict: from.verdict.into(),
                    reason: from.reason,
                    at_ms: from.at_ms,
                    took_ms: from.took_ms,
                    imports_added: from.imports_added,
                    imports_removed: from.imports_removed,
                    served: from.served,
                    drained_in_ms: from.drained_in_ms,
                    cut: from.cut,
                }
            }
        }
    };
}
alike! { Record, WrittenRecord }

impl From<Part> for WrittenPart {
    fn from(part: Part) -> Self {
        let Part { name, role, digest, path, size, imports: _, bytes: _ } = part;
        Self { name, role: role.into(), digest, path, size }
    }
}

/// Its file is kept by its digest.
impl From<WrittenPart> for Part {
    fn from(part: WrittenPart) -> Self {
        let WrittenPart { name, role, digest, path, size } = part;
        Self { name, role: role.into(), digest, path, size, imports: Vec::new(), bytes: None }
    }
}

impl From<Role> for WrittenRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Middleware => Self::Middleware,
            Role::Service => Self::Service,
            Role::With(keys) => Self::With(keys),
        }
    }
}

impl From<WrittenRole> for Role {
    fn from(role: WrittenRole) -> Self {
        match role {
            WrittenRole::Middleware => Self::Middleware,
            WrittenRole::Service => Self::Service,
            WrittenRole::With(keys) => Self::With(keys),
        }
    }
}

impl From<Verdict> for WrittenVerdict {
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

impl From<WrittenVerdict> for Verdict {
    fn from(verdict: WrittenVerdict) -> Self {
        match verdict {
            WrittenVerdict::Activated => Self::Activated,
            WrittenVerdict::Canary => Self::Canary,
            WrittenVerdict::Rejected => Self::Rejected,
            WrittenVerdict::TakenBack => Self::TakenBack,
            WrittenVerdict::Unchanged => Self::Unchanged,
        }
    }
}

#[cfg(test)]
mod tests;
