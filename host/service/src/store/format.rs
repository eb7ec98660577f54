//! How what is known of a service stands in its file.
//!
//! It has types of its own, so that what runs can change and a file of any earlier host is still read. A change of these
//! is a new format with a number of its own; what reads the old one stays.

use serde::{Deserialize, Serialize};

use super::Saved;
use crate::history::{History, Record, Verdict};
use wasm_host_engine::compose::Part;

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
    records: Vec<Row>,
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct Row(#[serde(with = "WrittenRecord")] Record);

/// How a record is written. The compiler tells when it and [`Record`] are no longer the same, which is when records need
/// a type of their own here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Record")]
struct WrittenRecord {
    number: u64,
    digest: Option<String>,
    path: String,
    #[serde(default)]
    parts: Vec<Part>,
    cause: String,
    verdict: Verdict,
    reason: Option<String>,
    at_ms: u64,
    took_ms: u64,
    imports_added: Vec<String>,
    imports_removed: Vec<String>,
    served: Option<u64>,
    drained_in_ms: Option<u64>,
    cut: Option<u64>,
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
        let records = history.records().into_iter().map(Row).collect();
        let history = WrittenHistory { records, next: history.count() };
        let (published, replaced) = (published.clone(), replaced.clone());
        Self { format: FORMAT, published, replaced, history }
    }

    fn saved(self) -> Saved {
        let Self { published, replaced, history: WrittenHistory { records, next }, .. } = self;
        let records = records.into_iter().map(|Row(record)| record);
        Saved { published, replaced, history: History::restored(records, next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a host wrote it before formats had numbers.
    const OF_FORMAT_0: &str = r#"{
  "published": "b",
  "replaced": "a",
  "history": {
    "records": [
      {
        "number": 7,
        "digest": "b",
        "path": "b.wasm",
        "cause": "wasm-host swap b.wasm",
        "verdict": "taken-back",
        "reason": "3 of its 3 answers were errors",
        "at_ms": 1764374400000,
        "took_ms": 12,
        "imports_added": [
          "wasm-host:ollama/models@0.1.0"
        ],
        "imports_removed": [],
        "served": 3,
        "drained_in_ms": null,
        "cut": 1
      }
    ],
    "next": 7
  }
}"#;

    #[test]
    fn a_file_of_the_first_hosts_is_read_and_written_with_its_number() {
        let saved = read(OF_FORMAT_0.as_bytes()).unwrap();
        assert_eq!((saved.published.as_deref(), saved.replaced.as_deref()), (Some("b"), Some("a")));
        let record = saved.history.records().pop().unwrap();
        assert_eq!((record.number, record.verdict, record.cut), (7, Verdict::TakenBack, Some(1)));
        assert_eq!(record.reason.as_deref(), Some("3 of its 3 answers were errors"));
        let written = String::from_utf8(write(&saved).unwrap()).unwrap();
        let written = written.replace("  \"format\": 2,\n", "");
        assert_eq!(written.replace("        \"parts\": [],\n", ""), OF_FORMAT_0);
        assert_eq!(read(written.as_bytes()).unwrap().history.records(), saved.history.records());
    }

    #[test]
    fn the_next_attempt_is_counted_on_from_there() {
        let mut saved = read(OF_FORMAT_0.as_bytes()).unwrap();
        let record = saved.history.records().pop().unwrap();
        assert_eq!(saved.history.push(record).number, 8);
    }

    #[test]
    fn a_format_of_a_later_host_is_none() {
        let later = OF_FORMAT_0.replacen('{', "{\"format\": 3,", 1);
        let why = read(later.as_bytes()).err().unwrap();
        assert_eq!(why, "it is of the format 3, this host knows those up to 2");
    }
}
