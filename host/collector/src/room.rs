//! Room for what comes: which files go, and what is taken out of files of which most is of a few services.
//!
//! The oldest file goes whole, which takes no time. But a service that writes far more than the others would drive out
//! all that they have in minutes: what it has itself goes first, its oldest first, and what others have stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use sqlx::{Connection as _, Row as _};
use tokio::time::timeout;

use crate::clear::ENDS;
use crate::segment::{self, Segment};
use crate::store::Store;
use wasm_host_limits::telemetry as limits;

/// Bytes of lines and of traces in one file, about, by the service that wrote a line, or that a trace began in. What
/// the host says of no service has no name.
pub(super) type Shares = BTreeMap<String, u64>;

/// A row has some bytes beside its texts, and so has its place in each index.
const SHARES: &str = "select service, sum(bytes) from (\
    select coalesce(service, '') as service, sum(100 + octet_length(message) + octet_length(fields)) as bytes \
    from logs group by 1 union all \
    select t.service, sum(200 + octet_length(s.name) + octet_length(s.attributes) + octet_length(s.events)) \
    from spans s join traces t on t.id = s.trace group by 1) group by 1";

/// A trace goes with the service that it began in: what others began is theirs, also where this one had a part.
const OF_SERVICES: [&str; 9] = [
    ENDS,
    "create temp table if not exists gone(id integer primary key)",
    "delete from gone",
    "insert into gone select id from traces where service in (select value from json_each(?))",
    "delete from spans where trace in (select id from gone)",
    "delete from trace_words where rowid in (select id from gone)",
    "delete from trace_services where trace in (select id from gone)",
    "delete from traces where id in (select id from gone)",
    "delete from log_words where rowid in \
     (select id from logs where coalesce(service, '') in (select value from json_each(?)))",
];
const LINES_OF_SERVICES: &str =
    "delete from logs where coalesce(service, '') in (select value from json_each(?))";

/// What goes, of files that are told oldest first.
#[derive(Debug, PartialEq, Eq)]
enum Goes {
    /// The file of this place, whole.
    File(usize),
    /// Of this one, what these services have.
    Of(usize, Vec<String>),
}

fn goes(files: &[Arc<Shares>]) -> Goes {
    let mut all = Shares::new();
    for (service, bytes) in files.iter().flat_map(|shares| shares.iter()) {
        *all.entry(service.clone()).or_default() += bytes;
    }
    let total: u64 = all.values().sum();
    // More than its share of everything.
    all.retain(|_, bytes| bytes.saturating_mul(limits::STORE_SHARES) > total);
    for (place, shares) in files.iter().enumerate() {
        let total: u64 = shares.values().sum();
        let loud: Shares =
            all.keys().filter_map(|it| Some((it.clone(), *shares.get(it)?))).collect();
        let bytes: u64 = loud.values().sum();
        if bytes == total && total > 0 {
            return Goes::File(place);
        }
        if bytes.saturating_mul(limits::STORE_SHARES) > total {
            return Goes::Of(place, loud.into_keys().collect());
        }
    }
    Goes::File(0)
}

/// Which services filled a file. One that cannot be read now has no shares.
async fn shares(segment: &Segment) -> Arc<Shares> {
    if let Some(shares) = segment.shares.lock().clone() {
        return shares;
    }
    let asked = async {
        let mut connection = segment.reader(Instant::now() + limits::QUESTION).await?;
        let rows = sqlx::query(SHARES).fetch_all(&mut connection).await?;
        segment.take_back(connection);
        let of = |row: &sqlx::sqlite::SqliteRow| {
            Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.cast_unsigned()))
        };
        rows.iter().map(of).collect::<sqlx::Result<Shares>>()
    };
    let found = match asked.await {
        Ok(shares) => Arc::new(shares),
        Err(error) => {
            segment.learn(&error);
            return Arc::default();
        }
    };
    *segment.shares.lock() = Some(found.clone());
    found
}

impl Store {
    /// Until there is room for the file that is written, and nothing is older than it may be.
    pub(super) async fn make_room(&mut self) {
        let current = self.current_number();
        let room = self.room();
        let mut closed = self.shelf.all();
        closed.retain(|segment| Some(segment.number) != current);
        closed.extend(self.unread().iter().cloned());
        closed.sort_by_key(|segment| segment.number);
        closed.retain(|segment| {
            let age = segment.written().map(|written| self.clock.age(written));
            let is_old = age.is_some_and(|age| age >= self.age());
            if is_old {
                self.let_go(segment);
            }
            !is_old
        });
        let broken = self.keep_broken();
        loop {
            let bytes: u64 = closed.iter().map(|segment| segment.bytes()).sum();
            if bytes.saturating_add(broken) <= room || closed.is_empty() {
                break;
            }
            let mut all = Vec::new();
            for segment in &closed {
                all.push(shares(segment).await);
            }
            let place = match goes(&all) {
                Goes::File(place) => place,
                Goes::Of(place, services) => {
                    let Some(segment) = closed.get(place) else { break };
                    if self.take_out(&segment.clone(), &services).await {
                        continue;
                    }
                    place
                }
            };
            self.let_go(&closed.remove(place));
        }
        // Each is asked by every search. Those of which the most was taken out have the least.
        while closed.len() >= limits::STORE_FILES_MOST {
            let least =
                (0..closed.len()).min_by_key(|place| closed.get(*place).map(|it| it.bytes()));
            self.let_go(&closed.remove(least.unwrap_or_default()));
        }
    }

    /// What these services have in a file that is not written any more. It is as old as before. Whether that is done.
    async fn take_out(&mut self, segment: &Arc<Segment>, services: &[String]) -> bool {
        let taking = timeout(limits::CLEAR, self.take_out_of(segment, services)).await;
        match taking {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                segment.learn(&error);
                tracing::debug!(%error, file = %segment.path.display(), "it goes whole");
                false
            }
            Err(_) => false,
        }
    }

    async fn take_out_of(
        &mut self,
        segment: &Arc<Segment>,
        services: &[String],
    ) -> sqlx::Result<()> {
        let written = segment.written();
        let mut connection = self.writer(segment).await?;
        // All of the file is written anew below.
        sqlx::raw_sql("pragma secure_delete = off").execute(&mut connection).await?;
        let services = crate::json::text(&services);
        let mut begun = connection.begin_with("begin immediate").await?;
        for text in OF_SERVICES.into_iter().chain([LINES_OF_SERVICES]) {
            let statement = sqlx::query(text);
            let statement = match text.contains('?') {
                true => statement.bind(&services),
                false => statement,
            };
            statement.execute(&mut *begun).await?;
        }
        for text in crate::clear::WORDS {
            sqlx::query(text).execute(&mut *begun).await?;
        }
        begun.commit().await?;
        *segment.shares.lock() = None;
        sqlx::raw_sql("vacuum").execute(&mut connection).await?;
        let is_moved = segment::checkpoint(&mut connection).await?;
        connection.close().await?;
        self.moved(segment, is_moved, written);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(shares: &[(&str, u64)]) -> Arc<Shares> {
        Arc::new(shares.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect())
    }

    #[test]
    fn what_goes_is_the_oldest_of_those_that_have_more_than_their_share() {
        let of = |place, services: &[&str]| {
            Goes::Of(place, services.iter().map(|it| (*it).to_owned()).collect())
        };
        // All alike: the oldest file.
        let alike = file(&[("a", 10), ("b", 10), ("c", 10), ("d", 10), ("e", 10)]);
        assert_eq!(goes(&[alike.clone(), alike.clone()]), Goes::File(0));
        // The oldest file in which it has much, and nothing of the others.
        let storm = file(&[("a", 45), ("b", 5)]);
        assert_eq!(goes(&[alike.clone(), storm.clone(), storm.clone()]), of(1, &["a"]));
        // Once that is done, the next.
        assert_eq!(goes(&[alike.clone(), file(&[("b", 5)]), storm.clone(), storm]), of(2, &["a"]));
        // Two of them at once.
        let both = file(&[("", 1), ("a", 20), ("b", 20), ("c", 1)]);
        assert_eq!(goes(&[both.clone(), both]), of(0, &["a", "b"]));
        // A file that has nothing else goes whole, and so does one of which nothing is known.
        let alone = file(&[("a", 50)]);
        assert_eq!(goes(&[alike, alone.clone(), alone]), Goes::File(1));
        assert_eq!(goes(&[file(&[]), file(&[])]), Goes::File(0));
        assert_eq!(goes(&[]), Goes::File(0));
    }
}
