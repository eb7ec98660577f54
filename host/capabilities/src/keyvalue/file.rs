//! A bucket in a file of the state folder: a database of SQLite, one for each bucket.
//!
//! A write is on the disk when its call is answered, also when the machine loses its power then. There is one connection
//! that writes, for which calls wait in order, and some that read meanwhile. What has begun to write ends as a whole,
//! whether or not its caller waits for it.

mod connection;

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tokio::sync::{OwnedMutexGuard, Semaphore};

use self::connection::File;
use super::backend::{Bucket, Error, Page, Reply, Value};
use super::run::Runs;
use super::{bounds, increment};
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use wasm_host_limits::keyvalue::{FILE_READERS, PAGE_KEYS};

const SMALL_BYTES: i64 = wasm_host_limits::keyvalue::SMALL_BYTES as i64;

const GET: &str =
    "select length(value), case when length(value) <= ? then value end from entries where key = ?";
const SET: &str = "insert into entries (key, value) values (?, ?) on conflict (key) do update set value = excluded.value";
const MANY: &str = "from entries where key in (select value from json_each(?))";

/// How many bytes the values of these keys have, each as often as it is asked for: so often it is answered.
const SUM: &str = "select coalesce(sum(length(entries.value)), 0)
    from json_each(?) as asked join entries on entries.key = asked.value";

pub(super) struct FileBucket {
    runs: Runs,
    file: File,
    /// None: it has not been opened, or was closed.
    writer: Arc<tokio::sync::Mutex<Option<SqliteConnection>>>,
    idle: Mutex<Vec<SqliteConnection>>,
    readers: Semaphore,
}

/// What is done with a connection.
type Work<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<Result<T, Error>>> + Send + 'c>>;

impl FileBucket {
    /// In the file `path`, which has no more than so many bytes.
    pub(super) fn new(runs: Runs, path: PathBuf, size_bytes: u64) -> Self {
        let file = File { path, size_bytes };
        let (writer, idle) = Default::default();
        Self { runs, file, writer, idle, readers: Semaphore::new(FILE_READERS) }
    }

    /// Whether its file can be written to, for `/ready`.
    pub(super) async fn check(&self) -> Result<(), Error> {
        self.writer().await.map(drop)
    }

    /// Close the connections that are not in use.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
        if let Ok(mut writer) = self.writer.try_lock() {
            *writer = None;
        }
    }

    /// The connection that writes, after those that came before.
    async fn writer(&self) -> Result<OwnedMutexGuard<Option<SqliteConnection>>, Error> {
        let mut writer = self.writer.clone().lock_owned().await;
        if writer.is_none() {
            *writer = Some(self.file.writer().await.map_err(|error| self.wrong(&error))?);
        }
        Ok(writer)
    }

    /// Write. It goes on when the caller has left.
    async fn write<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    ) -> Result<T, Error> {
        let mut writer = self.writer().await?;
        let written = tokio::spawn(async move {
            let Some(connection) = writer.as_mut() else { return Err(sqlx::Error::PoolClosed) };
            let written = work(connection).await;
            if written.is_err() {
                // In whatever state it is: the next call has a new one.
                *writer = None;
            }
            written
        });
        match written.await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(self.failed(&error)),
            Err(_) => Err(Error::Unavailable("the host is stopping".to_owned())),
        }
    }

    async fn read<T>(
        &self,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
    ) -> Result<T, Error> {
        let _place = self.readers.acquire().await;
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => {
                // Which makes the file, if it is not there.
                drop(self.writer().await?);
                self.file.reader().await.map_err(|error| self.failed(&error))?
            }
        };
        match work(&mut connection).await {
            Ok(result) => {
                self.idle.lock().push(connection);
                result
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&self, error: &sqlx::Error) -> Error {
        let name = self.runs.name();
        match connection::is_full(error) {
            true => Error::Full(format!(
                "the file of the bucket {name} has no room for this ('size' of [keyvalue.{name}] sets the bound), or \
                 the disk has none"
            )),
            false => self.wrong(error),
        }
    }

    fn wrong(&self, error: &dyn std::fmt::Display) -> Error {
        let (name, path) = (self.runs.name(), self.file.path.display());
        Error::Unavailable(format!("the file {path} of the bucket {name} cannot be used: {error}"))
    }
}

/// Hold a value's bytes on their way to a guest.
fn hold(bytes: u64) -> Result<(), Error> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    hold_for_call(bytes).map_err(|exhausted| Error::Busy(exhausted.to_string()))
}

/// Keys as one value, which a statement takes apart.
fn listed(keys: &[String]) -> String {
    serde_json::Value::from(keys.to_vec()).to_string()
}

async fn value(connection: &mut SqliteConnection, key: &str) -> sqlx::Result<Option<Vec<u8>>> {
    let found = sqlx::query_scalar("select value from entries where key = ?").bind(key);
    found.fetch_optional(connection).await
}

impl Bucket for FileBucket {
    fn get(&self, key: String, request: RequestContext) -> Reply<'_, Option<Value>> {
        let get = self.read(|connection| {
            Box::pin(async move {
                let found = sqlx::query(GET).bind(SMALL_BYTES).bind(&key);
                let Some(row) = found.fetch_optional(&mut *connection).await? else {
                    return Ok(Ok(None));
                };
                let bytes = row.try_get::<i64, _>(0)?.cast_unsigned();
                if let Err(error) = bounds::found(bytes).and_then(|()| hold(bytes)) {
                    return Ok(Err(error));
                }
                let small: Option<Vec<u8>> = row.try_get(1)?;
                let found = match small {
                    Some(small) => Some(small),
                    None => value(connection, &key).await?,
                };
                Ok(Ok(found.map(Value)))
            })
        });
        self.runs.run("get", 1, request, get)
    }

    fn set(&self, key: String, Value(value): Value, request: RequestContext) -> Reply<'_, ()> {
        let set = self.write(|connection| {
            Box::pin(async move {
                sqlx::query(SET).bind(key).bind(value).execute(connection).await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("set", 1, request, set)
    }

    fn delete(&self, key: String, request: RequestContext) -> Reply<'_, ()> {
        let delete = self.write(|connection| {
            Box::pin(async move {
                let delete = sqlx::query("delete from entries where key = ?").bind(key);
                delete.execute(connection).await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("delete", 1, request, delete)
    }

    fn exists(&self, key: String, request: RequestContext) -> Reply<'_, bool> {
        let exists = self.read(|connection| {
            Box::pin(async move {
                let found = sqlx::query("select 1 from entries where key = ?").bind(key);
                Ok(Ok(found.fetch_optional(connection).await?.is_some()))
            })
        });
        self.runs.run("exists", 1, request, exists)
    }

    fn list_keys(&self, cursor: Option<u64>, request: RequestContext) -> Reply<'_, Page> {
        let list = self.read(move |connection| {
            Box::pin(async move {
                let from = cursor.unwrap_or_default().cast_signed();
                // One more, which is where the next page begins.
                let rows =
                    sqlx::query("select id, key from entries where id >= ? order by id limit ?")
                        .bind(from)
                        .bind(PAGE_KEYS as i64 + 1)
                        .fetch_all(connection)
                        .await?;
                let next = rows.get(PAGE_KEYS).map(|row| row.try_get::<i64, _>(0)).transpose()?;
                let keys = rows.iter().take(PAGE_KEYS).map(|row| row.try_get(1));
                let keys = keys.collect::<sqlx::Result<Vec<String>>>()?;
                Ok(Ok(Page { keys, cursor: next.map(i64::cast_unsigned) }))
            })
        });
        self.runs.run("list-keys", 0, request, list)
    }

    fn increment(&self, key: String, delta: i64, request: RequestContext) -> Reply<'_, i64> {
        let increment = self.write(move |connection| {
            Box::pin(async move {
                let mut begun = connection.begin_with("begin immediate").await?;
                let found = value(&mut begun, &key).await?;
                let sum = match increment::sum(found.as_deref(), delta) {
                    Ok(sum) => sum,
                    Err(error) => return Ok(Err(error)),
                };
                let set = sqlx::query(SET).bind(key).bind(sum.to_string().into_bytes());
                set.execute(&mut *begun).await?;
                begun.commit().await?;
                Ok(Ok(sum))
            })
        });
        self.runs.run("increment", 1, request, increment)
    }

    fn swap(
        &self,
        key: String,
        expected: Option<Value>,
        Value(value): Value,
        request: RequestContext,
    ) -> Reply<'_, bool> {
        let swap = self.write(move |connection| {
            Box::pin(async move {
                let swap = match expected {
                    None => sqlx::query(
                        "insert into entries (value, key) values (?, ?) on conflict do nothing",
                    )
                    .bind(value)
                    .bind(key),
                    Some(Value(expected)) => {
                        sqlx::query("update entries set value = ? where key = ? and value = ?")
                            .bind(value)
                            .bind(key)
                            .bind(expected)
                    }
                };
                Ok(Ok(swap.execute(connection).await?.rows_affected() > 0))
            })
        });
        self.runs.run("swap", 1, request, swap)
    }

    fn get_many(
        &self,
        keys: Vec<String>,
        request: RequestContext,
    ) -> Reply<'_, Vec<Option<Value>>> {
        let about = keys.len();
        let get = self.read(move |connection| {
            Box::pin(async move {
                let list = listed(&keys);
                // Both see the same state.
                let mut reading = connection.begin().await?;
                let bytes: i64 =
                    sqlx::query_scalar(SUM).bind(&list).fetch_one(&mut *reading).await?;
                let bytes = bytes.cast_unsigned();
                if let Err(error) = bounds::batch_bytes(bytes).and_then(|()| hold(bytes)) {
                    return Ok(Err(error));
                }
                let all = sqlx::AssertSqlSafe(format!("select key, value {MANY}"));
                let rows = sqlx::query_as(all).bind(list).fetch_all(&mut *reading).await?;
                reading.commit().await?;
                let found: HashMap<String, Vec<u8>> = rows.into_iter().collect();
                Ok(Ok(keys.iter().map(|key| found.get(key).cloned().map(Value)).collect()))
            })
        });
        self.runs.run("get-many", about, request, get)
    }

    fn set_many(&self, entries: Vec<(String, Value)>, request: RequestContext) -> Reply<'_, ()> {
        let about = entries.len();
        let set = self.write(move |connection| {
            Box::pin(async move {
                let mut begun = connection.begin_with("begin immediate").await?;
                for (key, Value(value)) in entries {
                    sqlx::query(SET).bind(key).bind(value).execute(&mut *begun).await?;
                }
                begun.commit().await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("set-many", about, request, set)
    }

    fn delete_many(&self, keys: Vec<String>, request: RequestContext) -> Reply<'_, ()> {
        let about = keys.len();
        let delete = self.write(move |connection| {
            Box::pin(async move {
                let delete = sqlx::AssertSqlSafe(format!("delete {MANY}"));
                sqlx::query(delete).bind(listed(&keys)).execute(connection).await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("delete-many", about, request, delete)
    }
}
