//! From what was handed over to rows of one file, within one transaction.
//!
//! It must not know which file it is, or what becomes of rows that cannot be written.

mod logs;
mod metrics;
mod traces;

use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use std::sync::Arc;

use crate::store::Current;
use wasm_host_telemetry::Batch;
use wasm_host_telemetry::log::LogRecord;

pub(super) use self::metrics::{Change, Changed};

/// Rows of one statement. As few statements as there can be are prepared: one for each of these counts.
const COUNTS: [usize; 4] = [64, 16, 4, 1];

/// The ids of rows as SQLite has them.
pub(super) type Bound = Result<(), BoxDynError>;

/// All of it, or nothing.
pub(super) async fn everything(
    current: &mut Current,
    batches: &[Batch],
    logs: &[LogRecord],
    figures: &[Change],
) -> sqlx::Result<()> {
    let known = (current.next_log, current.next_trace);
    let mut begun = current.connection.begin_with("begin immediate").await?;
    let mut rows = Rows {
        connection: &mut begun,
        next_log: known.0,
        next_trace: known.1,
        services: Vec::new(),
        grown: Vec::new(),
    };
    rows.logs(logs).await?;
    rows.traces(batches).await?;
    let (next_log, next_trace) = (rows.next_log, rows.next_trace);
    let grown = std::mem::take(&mut rows.grown);
    let mut services = std::mem::take(&mut rows.services);
    services.sort_unstable();
    services.dedup();
    services.retain(|service| !current.services.contains(service));
    insert(
        rows.connection,
        "insert or ignore into services values ",
        1,
        "",
        &services,
        |name, row| row.add(name.as_ref()),
    )
    .await?;
    let series = metrics::write(rows.connection, &current.series, figures).await?;
    begun.commit().await?;
    (current.next_log, current.next_trace) = (next_log, next_trace);
    current.segment.grow(grown);
    current.segment.set_ends(next_log, next_trace);
    current.services.extend(services);
    current.series.extend(series);
    Ok(())
}

/// Rows on their way into a file.
struct Rows<'a> {
    connection: &'a mut SqliteConnection,
    next_log: u64,
    next_trace: u64,
    /// Those that are named in them.
    services: Vec<Arc<str>>,
    /// Traces that were there before.
    grown: Vec<u64>,
}

/// `head` with the values of all rows, in as few statements as there can be.
async fn insert<T>(
    connection: &mut SqliteConnection,
    head: &str,
    columns: usize,
    tail: &str,
    rows: &[T],
    bind: impl Fn(&T, &mut Row) -> Bound,
) -> sqlx::Result<()> {
    let mut rest = rows;
    while !rest.is_empty() {
        let count = COUNTS.into_iter().find(|count| *count <= rest.len()).unwrap_or(1);
        let Some((now, later)) = rest.split_at_checked(count) else { break };
        let mut row = Row::default();
        for value in now {
            bind(value, &mut row).map_err(sqlx::Error::Encode)?;
        }
        let text = format!("{head}{}{tail}", values(columns, count));
        sqlx::query_with(AssertSqlSafe(text), row.0).execute(&mut *connection).await?;
        rest = later;
    }
    Ok(())
}

/// `(?,?),(?,?)`
pub(super) fn values(columns: usize, rows: usize) -> String {
    let row = format!("({})", marks(columns));
    vec![row; rows].join(",")
}

pub(super) fn marks(count: usize) -> String {
    vec!["?"; count].join(",")
}

/// Values for a statement.
#[derive(Default)]
pub(super) struct Row(pub SqliteArguments);

impl Row {
    pub(super) fn add<'a>(
        &mut self,
        value: impl sqlx::Encode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    ) -> Bound {
        sqlx::Arguments::add(&mut self.0, value)
    }
}
