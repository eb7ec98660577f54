//! Forgets what was collected: everything, or what has to do with one service.

use sqlx::{Connection as _, SqliteConnection};

use crate::segment::{Segment, checkpoint};
use crate::store::Store;
use wasm_host_system::counted::counted;

/// A trace goes whole, as soon as the service had a part in it: what is left would tell of a request that never was.
const OF_A_SERVICE: [&str; 11] = [
    "update began set logs_end = max(logs_end, coalesce((select max(id) + 1 from logs), 0)), \
     traces_end = max(traces_end, coalesce((select max(id) + 1 from traces), 0))",
    "create temp table if not exists gone(id integer primary key)",
    "delete from gone",
    "insert into gone select trace from trace_services where service = ?",
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
const WORDS: [&str; 2] = [
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
    for segment in store.shelf.newest_first() {
        let done = match store.current_of(segment.number) {
            Some(current) => {
                current.services.clear();
                current.series.clear();
                of_a_service(&mut current.connection, service).await
            }
            None => closed(store, &segment, service).await,
        };
        if let Err(error) = done {
            segment.learn(&error);
            return Err(error.into());
        }
    }
    match unread {
        0 => Ok(()),
        _ => {
            let files = counted(unread, "file");
            anyhow::bail!("{files} cannot be opened now; in the others it is forgotten")
        }
    }
}

/// In a file that is not written any more. It is as old as before.
async fn closed(store: &mut Store, segment: &Segment, service: &str) -> sqlx::Result<()> {
    let written = segment.written();
    let mut connection = store.writer(segment).await?;
    let done = of_a_service(&mut connection, service).await;
    let closed = connection.close().await;
    if let Some(Err(error)) = written.map(|written| segment.set_written(written)) {
        tracing::debug!(%error, file = %segment.path.display(), "it is kept longer");
    }
    done.and(closed)
}

async fn of_a_service(connection: &mut SqliteConnection, service: &str) -> sqlx::Result<()> {
    let mut begun = connection.begin_with("begin immediate").await?;
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
