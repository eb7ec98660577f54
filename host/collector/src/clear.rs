//! Forgets what was collected: everything, or what has to do with one service.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use sqlx::sqlite::SqliteRow;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::read::Statement;
use crate::segment::{Segment, checkpoint};
use crate::store::Store;
use wasm_host_limits::telemetry as limits;
use wasm_host_system::counted::counted;

/// Traces that other files are asked for at once.
const TRACES: i64 = 10_000;

/// No id is given twice.
pub(super) const ENDS: &str = "update began set logs_end = max(logs_end, coalesce((select max(id) + 1 from logs), 0)), \
     traces_end = max(traces_end, coalesce((select max(id) + 1 from traces), 0))";

/// Before a service is deleted: traces that it has a part in, in another file.
const ELSEWHERE: [&str; 4] = [
    ENDS,
    "create temp table if not exists gone(id integer primary key)",
    "delete from gone",
    "insert into gone select value from json_each(?)",
];

/// A trace goes whole, as soon as the service had a part in it: what is left would tell of a request that never was.
const OF_A_SERVICE: [&str; 9] = [
    "insert or ignore into gone select trace from trace_services where service = ?",
    // They would lead to nothing.
    "delete from exemplars where trace in (select trace from traces where id in (select id from gone))",
    "delete from spans where trace in (select id from gone)",
    "delete from trace_words where rowid in (select id from gone)",
    "delete from traces where id in (select id from gone)",
    "delete from trace_services where trace in (select id from gone)",
    "delete from log_words where rowid in (select id from logs where service = ?)",
    "delete from logs where service = ?",
    "delete from services where name = ?",
];

/// Figures that are measured by service.
const FIGURES_OF_A_SERVICE: [&str; 5] = [
    "delete from gone",
    "insert into gone select id from series where exists (select 1 from json_each(series.labels) as label \
     where label.value ->> 0 = 'service' and label.value ->> 1 = ?)",
    "delete from points where series in (select id from gone)",
    "delete from exemplars where series in (select id from gone)",
    "delete from series where id in (select id from gone)",
];

/// What has words in an index.
const INDEXED: [&str; 2] = ["delete from logs ", "delete from traces "];

/// The indexes only note which rows are gone; their words go as what is left is written anew.
pub(super) const WORDS: [&str; 2] = [
    "insert into log_words(log_words) values ('optimize')",
    "insert into trace_words(trace_words) values ('optimize')",
];

pub(super) async fn clear(store: &mut Store, service: Option<&str>) -> anyhow::Result<()> {
    // Also what is there from before, and has not been looked at.
    store.read().await?;
    let Some(service) = service else {
        store.clear();
        return Ok(());
    };
    let unread = store.take_up_unread().await;
    let segments = store.shelf.newest_first();
    let elsewhere = elsewhere(&segments, service).await?;
    for segment in segments {
        *segment.shares.lock() = None;
        let gone = crate::json::text(&elsewhere.get(&segment.number).unwrap_or(&Vec::new()));
        let done = match store.current_of(segment.number) {
            Some(current) => {
                current.services.clear();
                current.series.clear();
                let done = of_a_service(&mut current.connection, service, &gone).await;
                done.map(|is_moved| store.moved(&segment, is_moved, None))
            }
            None => closed(store, &segment, service, &gone).await,
        };
        if let Err(error) = done {
            segment.learn(&error);
            return Err(error.into());
        }
    }
    if unread > 0 {
        let files = counted(unread, "file");
        anyhow::bail!("{files} cannot be opened now; in the others it is forgotten")
    }
    written_over(store).await
}

/// What is forgotten is gone from the files themselves, or it is said that it is not yet: a question that reads a file
/// keeps what the file had when it began.
async fn written_over(store: &mut Store) -> anyhow::Result<()> {
    let since = Instant::now();
    while store.has_unmoved() {
        let left = store.move_unmoved().await;
        if left > 0 && since.elapsed() > limits::QUESTION {
            let files = counted(left, "file");
            anyhow::bail!(
                "no list has it any more, but {files} on disk will have it until a question that reads there ends"
            );
        }
    }
    Ok(())
}

/// By the numbers of files: rows of traces that the service has a part in, as another file says. A trace that went on
/// while one file followed another has a row in both.
async fn elsewhere(
    segments: &[Arc<Segment>],
    service: &str,
) -> anyhow::Result<HashMap<u64, Vec<i64>>> {
    let until = Instant::now() + limits::CLEAR;
    let mut found: HashMap<u64, Vec<i64>> = HashMap::new();
    for segment in segments {
        let mut after = 0;
        loop {
            let mut traces = Vec::new();
            let mut asked = Statement::default();
            asked.push(
                "select t.id, hex(t.trace) from trace_services s join traces t on t.id = s.trace \
                 where s.service = ? and s.trace > ? order by s.trace limit ?",
            );
            asked.bind(service.to_owned()).bind(after).bind(TRACES);
            let take = |row: SqliteRow| {
                after = row.try_get(0)?;
                traces.push(row.try_get::<String, _>(1)?);
                Ok(true)
            };
            asked.ask(segment, until, take).await?;
            if traces.is_empty() {
                break;
            }
            let traces = crate::json::text(&traces);
            for other in segments.iter().filter(|other| other.number != segment.number) {
                let rows = found.entry(other.number).or_default();
                let mut asked = Statement::default();
                asked.push(
                    "select id from traces where trace in (select unhex(value) from json_each(?))",
                );
                asked.bind(traces.clone());
                let take = |row: SqliteRow| {
                    rows.push(row.try_get(0)?);
                    Ok(true)
                };
                asked.ask(other, until, take).await?;
                rows.sort_unstable();
                rows.dedup();
            }
        }
    }
    Ok(found)
}

/// In a file that is not written any more. It is as old as before.
async fn closed(
    store: &mut Store,
    segment: &Arc<Segment>,
    service: &str,
    gone: &str,
) -> sqlx::Result<()> {
    let written = segment.written();
    let mut connection = store.writer(segment).await?;
    let done = of_a_service(&mut connection, service, gone).await;
    let closed = connection.close().await;
    // Where it failed, it is not known how far that went.
    store.moved(segment, *done.as_ref().unwrap_or(&false), written);
    done.map(drop).and(closed)
}

/// Whether it is gone from the file itself, too.
async fn of_a_service(
    connection: &mut SqliteConnection,
    service: &str,
    gone: &str,
) -> sqlx::Result<bool> {
    let mut begun = connection.begin_with("begin immediate").await?;
    for text in ELSEWHERE {
        let statement = sqlx::query(text);
        let statement = if text.contains('?') { statement.bind(gone) } else { statement };
        statement.execute(&mut *begun).await?;
    }
    let mut rows = 0;
    for text in OF_A_SERVICE.into_iter().chain(FIGURES_OF_A_SERVICE) {
        let mut statement = sqlx::query(text);
        if text.contains('?') {
            statement = statement.bind(service);
        }
        let done = statement.execute(&mut *begun).await?;
        if INDEXED.iter().any(|table| text.starts_with(table)) {
            rows += done.rows_affected();
        }
    }
    if rows > 0 {
        for text in WORDS {
            sqlx::query(text).execute(&mut *begun).await?;
        }
    }
    begun.commit().await?;
    // Until then the file itself has what was deleted.
    checkpoint(connection).await
}
