//! Forgets what was collected: everything, or what has to do with one service.

use sqlx::{Connection as _, SqliteConnection};

use crate::store::Store;

/// A trace goes whole, as soon as the service had a part in it: what is left would tell of a request that nobody made.
const OF_A_SERVICE: [&str; 10] = [
    "update began set logs_end = max(logs_end, coalesce((select max(id) + 1 from logs), 0)), \
     traces_end = max(traces_end, coalesce((select max(id) + 1 from traces), 0))",
    "create temp table if not exists gone(id integer primary key)",
    "delete from gone",
    "insert into gone select trace from trace_services where service = ?",
    "delete from spans where trace in (select id from gone)",
    "delete from trace_words where rowid in (select id from gone)",
    "delete from traces where id in (select id from gone)",
    "delete from trace_services where trace in (select id from gone)",
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

pub(super) async fn clear(store: &mut Store, service: Option<&str>) -> anyhow::Result<()> {
    // Also what is there from before, and has not been looked at.
    store.read().await?;
    let Some(service) = service else {
        store.clear();
        return Ok(());
    };
    for segment in store.shelf.newest_first() {
        let done = match store.current_of(segment.number) {
            Some(current) => {
                current.services.clear();
                current.series.clear();
                of_a_service(&mut current.connection, service).await
            }
            None => {
                let mut connection = store.writer(&segment).await?;
                of_a_service(&mut connection, service).await
            }
        };
        if let Err(error) = done {
            segment.learn(&error);
            return Err(error.into());
        }
    }
    Ok(())
}

async fn of_a_service(connection: &mut SqliteConnection, service: &str) -> sqlx::Result<()> {
    let mut begun = connection.begin_with("begin immediate").await?;
    for text in OF_A_SERVICE.into_iter().chain(FIGURES_OF_A_SERVICE) {
        let mut statement = sqlx::query(text);
        if text.contains('?') {
            statement = statement.bind(service);
        }
        statement.execute(&mut *begun).await?;
    }
    begun.commit().await
}
