//! What is asked of the files, and what is answered: the questions and items of the control plane's contract.
//!
//! Each question goes over the files, newest first, until it has what it wants. It must not know what asks.

mod archive;
mod follow;
mod lists;
mod logs;
mod search;
mod series;
mod trace;
mod traces;

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row as _};

use crate::segment::Segment;
use crate::write::Row;
use wasm_host_limits::telemetry as limits;

pub use self::archive::{FigureItem, FigurePoints, FigureQuery, PageStart, WholeTrace};
pub use self::follow::{Follow, Followed, List};
pub use self::logs::{LogItem, LogQuery};
pub use self::search::{Search, SearchService};
pub use self::series::{
    Instrument, Quantiles, Series, SeriesExemplar, SeriesItem, SeriesPoints, SeriesQuery,
};
pub use self::trace::{SpanItem, TraceDetail};
pub use self::traces::{TraceItem, TraceQuery, TraceService};

pub(super) use self::lists::summaries_in;
pub(super) use self::logs::{left as logs_left, statement as logs_statement};
pub(super) use self::trace::{span_ids, spans};
pub(super) use self::traces::{
    SUMMARY, left as traces_left, statement as traces_statement, summaries, summary,
};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The question is wrong.
    #[error("this is no place in the list; `before` is what `next` of an answer says")]
    Cursor,
    #[error("{asked:?} is not known here: what this figure can be asked by is {}", listed(.known))]
    Dimension { asked: String, known: BTreeSet<String> },
    #[error("the store of telemetry has not answered in time; ask for less, or of less time")]
    Late,
    #[error("the store of telemetry cannot be read: {0}")]
    Store(#[from] sqlx::Error),
    #[error("the store of telemetry has ended")]
    Ended,
    #[error("it is not cleared: {0}")]
    Clear(String),
}

fn listed(names: &BTreeSet<String>) -> String {
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// Some of a list, newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to ask for as `before`, for those that come after these.
    pub next: Option<String>,
    /// Lines that were lost since the start of the host, in a list of lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<u64>,
}

/// An item of a list.
pub(super) trait Item: Sized {
    /// Bytes of its texts, about.
    fn bytes(&self) -> usize;

    fn of(row: &SqliteRow) -> sqlx::Result<Self>;

    /// The words that a search finds it by.
    fn words(&self) -> HashSet<String>;
}

/// What a file is gone through by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScanBy {
    /// By what has the words of a search, or a service: much of it may be filtered out again.
    Index,
    /// By what the filters leave, of which there is little.
    Filter,
}

/// Which rows of a list, by their ids, and in which direction.
#[derive(Clone, Copy, Debug)]
pub enum Range {
    /// Newest first.
    Before(u64),
    /// Oldest first.
    After(u64),
}

impl Range {
    /// The rows after a cursor, or all.
    pub fn before(cursor: Option<&str>) -> Result<Self, ReadError> {
        let Some(cursor) = cursor else { return Ok(Self::Before(i64::MAX.cast_unsigned())) };
        let id = u64::from_str_radix(cursor, 36).map_err(|_| ReadError::Cursor)?;
        match i64::try_from(id) {
            Ok(_) => Ok(Self::Before(id)),
            Err(_) => Err(ReadError::Cursor),
        }
    }

    fn compares(self) -> &'static str {
        match self {
            Self::Before(_) => "<",
            Self::After(_) => ">",
        }
    }

    fn order(self) -> &'static str {
        match self {
            Self::Before(_) => "desc",
            Self::After(_) => "asc",
        }
    }

    fn id(self) -> i64 {
        let (Self::Before(id) | Self::After(id)) = self;
        id.cast_signed()
    }

    /// Whether a file may have any of these rows.
    pub fn is_in(self, segment: &Segment) -> bool {
        let first = segment.first_id();
        match self {
            Self::Before(id) => first < id,
            Self::After(id) => id < first.saturating_add(limits::STORE_FILE_ROWS),
        }
    }
}

pub(super) fn cursor(id: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    let mut rest = id;
    loop {
        let digit = usize::try_from(rest % 36).unwrap_or(0);
        text.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'0')));
        rest /= 36;
        if rest == 0 {
            return text.iter().rev().collect();
        }
    }
}

/// A statement as it is put together, and its values.
#[derive(Default)]
pub(super) struct Statement {
    pub text: String,
    row: Row,
    failed: Option<BoxDynError>,
}

impl Statement {
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// A value, in the place of a mark that the text has.
    pub(super) fn bind<'a>(
        &mut self,
        value: impl sqlx::Encode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    ) -> &mut Self {
        if let Err(error) = self.row.add(value) {
            self.failed = Some(error);
        }
        self
    }

    /// Ask this of one file. A file that went meanwhile, or is found to be broken, has nothing. `take`: of each row;
    /// false ends it.
    pub(super) async fn ask(
        self,
        segment: &Segment,
        until: Instant,
        mut take: impl FnMut(SqliteRow) -> sqlx::Result<bool>,
    ) -> Result<(), ReadError> {
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error).into());
        }
        let asked = async {
            let mut connection = segment.reader(until).await?;
            let question = sqlx::query_with(AssertSqlSafe(self.text), self.row.0);
            let mut rows = question.fetch(&mut connection);
            let mut is_over = true;
            while let Some(row) = rows.try_next().await? {
                match take(row) {
                    Ok(true) => {}
                    Ok(false) => {
                        // What was asked for may be no more than that.
                        is_over = rows.try_next().await?.is_none();
                        break;
                    }
                    // A row that cannot be read costs itself alone.
                    Err(error) => {
                        let file = segment.path.display();
                        tracing::debug!(%error, %file, "a row of telemetry cannot be read");
                    }
                }
            }
            drop(rows);
            // One that is in the midst of an answer is of no use to the next question.
            if is_over {
                segment.take_back(connection);
            }
            Ok::<_, sqlx::Error>(())
        };
        let answered = tokio::time::timeout_at(until.into(), asked).await;
        match answered {
            Ok(Ok(())) => Ok(()),
            Err(_) => Err(ReadError::Late),
            Ok(Err(_)) if until <= Instant::now() => Err(ReadError::Late),
            Ok(Err(error)) => {
                segment.learn(&error);
                match segment.is_broken() || segment.is_gone() || !segment.path.exists() {
                    true => Ok(()),
                    false => Err(error.into()),
                }
            }
        }
    }
}

/// JSON as it was stored.
pub(super) fn raw(row: &SqliteRow, column: usize) -> sqlx::Result<Box<RawValue>> {
    let text: String = row.try_get(column)?;
    RawValue::from_string(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

pub(super) fn unsigned(row: &SqliteRow, column: usize) -> sqlx::Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

/// The digits of a span's id.
pub(super) fn span_id(row: &SqliteRow, column: usize) -> sqlx::Result<Option<String>> {
    let id: Option<i64> = row.try_get(column)?;
    Ok(id.map(|id| format!("{:016x}", id.cast_unsigned())))
}

/// What a list is asked for by a time may be later than what SQLite counts to.
pub(super) fn time(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
