//! A bucket in a file of the state folder: a database of SQLite, one for each bucket.
//!
//! A write is on the disk when its call is answered, also when the machine loses its power then. There is one connection
//! that writes, for which calls wait in order, and some that read meanwhile. What has begun to write ends as a whole,
//! whether or not its caller waits for it.

mod connection;
mod opened;

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tokio::sync::{OwnedMutexGuard, RwLock, oneshot};
use tokio::time::timeout;

use self::connection::{File, Wrong};
use self::opened::{Opened, Since};
use super::backend::{Bucket, Error, Page, Reply, Value};
use super::run::Runs;
use super::{bounds, increment};
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use crate::places::{Place, Places, User};
use wasm_host_limits::keyvalue::{FILE_BUSY, FILE_CLOSE, FILE_LOG_BYTES, FILE_READERS, PAGE_KEYS};

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
    /// The turn to write, shared by services.
    turns: Arc<Places>,
    /// The same of those that read.
    reading: Arc<Places>,
    writer: Arc<tokio::sync::Mutex<Option<Writer>>>,
    /// Each with the file that it has open.
    idle: Mutex<Vec<(Opened, SqliteConnection)>>,
    /// What the writer has open. None: nothing is.
    opened: Mutex<Option<Opened>>,
    /// Those that read have it together; what moves the log into the file has it alone.
    log: Arc<RwLock<()>>,
    /// What a statement has found damaged, which nothing mends but another file.
    damaged: Mutex<Option<String>>,
}

/// The connection that writes.
struct Writer {
    connection: SqliteConnection,
    /// The log is moved into the file when it has more bytes.
    log_bytes: u64,
}

/// The turn of one call to write.
struct Turn {
    /// Some while it is the turn's.
    writer: OwnedMutexGuard<Option<Writer>>,
    _place: Option<Place>,
}

/// What is done with a connection.
type Work<'c, T> = Pin<Box<dyn Future<Output = sqlx::Result<Result<T, Error>>> + Send + 'c>>;

impl FileBucket {
    /// In the file `path`, which has no more than so many bytes.
    pub(super) fn new(runs: Runs, path: PathBuf, size_bytes: u64) -> Self {
        let file = File { path, size_bytes };
        let (writer, idle, opened, log, damaged) = Default::default();
        let (turns, reading) = (Places::new(1), Places::new(FILE_READERS));
        Self { runs, file, turns, reading, writer, idle, opened, log, damaged }
    }

    /// A service is granted it, and has its turns from now on.
    pub(super) fn granted_to(&self, service: &str) {
        self.turns.user(service);
        self.reading.user(service);
    }

    /// Whether its file is there, can be written to and read, for `/ready`. Says which file it is.
    pub(super) async fn check(&self) -> Result<(), String> {
        let shown = |wrong: &Wrong| wrong.shown(self.runs.name(), &self.file.path);
        drop(self.turn(User::default()).await.map_err(|wrong| shown(&wrong))?);
        let look =
            self.read_as(User::default(), |connection| Box::pin(connection::look(connection)));
        if let Err(wrong) = look.await {
            return Err(shown(&wrong));
        }
        match &*self.damaged.lock() {
            Some(why) => Err(shown(&Wrong::Damaged(why.clone()))),
            None => Ok(()),
        }
    }

    /// Close the connections that are not in use, and wait until that is done: the last one moves the log into the file.
    pub(super) async fn close(&self) {
        let close = async {
            let idle = std::mem::take(&mut *self.idle.lock());
            for (_, connection) in idle {
                let _ = connection.close().await;
            }
            if let Some(writer) = self.writer.lock().await.take() {
                let _ = writer.connection.close().await;
            }
        };
        if timeout(FILE_CLOSE, close).await.is_err() {
            tracing::warn!(
                bucket = self.runs.name(),
                "the file of a bucket was not closed in time"
            );
        }
    }

    /// The service that a request is served by, among those that read.
    fn reader(&self, request: &RequestContext) -> User {
        user(&self.reading, request)
    }

    /// The same among those that write.
    fn author(&self, request: &RequestContext) -> User {
        user(&self.turns, request)
    }

    /// The connection that writes, after those that came before.
    async fn turn(&self, user: User) -> Result<Turn, Wrong> {
        // They are never closed.
        let place = self.turns.next(user).await.ok();
        let mut writer = self.writer.clone().lock_owned().await;
        if !self.is_the_same()? {
            *writer = None;
        }
        if writer.is_none() {
            let connection = self.file.writer().await.map_err(Wrong::Unopened)?;
            *self.opened.lock() = Some(Opened::at(&self.file.path));
            *writer = Some(Writer { connection, log_bytes: FILE_LOG_BYTES });
        }
        Ok(Turn { writer, _place: place })
    }

    /// Whether the file that is open is the one at its path. If it has gone with all that stood beside it, nothing of it
    /// is used any more.
    fn is_the_same(&self) -> Result<bool, Wrong> {
        let mut opened = self.opened.lock();
        match opened.map(|opened| opened.since(&self.file.path)) {
            None => Ok(false),
            Some(Since::Same) => Ok(true),
            Some(Since::Torn) => Err(Wrong::Torn),
            Some(Since::Gone) => {
                *opened = None;
                self.idle.lock().clear();
                *self.damaged.lock() = None;
                tracing::warn!(
                    bucket = self.runs.name(),
                    "the file {} was taken away or replaced while the host has it open; what is there now is used",
                    self.file.path.display()
                );
                Ok(false)
            }
        }
    }

    /// Write. It goes on when the caller has left.
    async fn write<T: Send + 'static>(
        &self,
        user: User,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    ) -> Result<T, Error> {
        let turn = self.turn(user).await;
        let mut turn = turn.map_err(|wrong| self.told(&wrong))?;
        let (answer, answered) = oneshot::channel();
        let (log, path) = (self.log.clone(), self.file.path.clone());
        tokio::spawn(async move {
            let Some(writer) = turn.writer.as_mut() else { return };
            let written = work(&mut writer.connection).await;
            let is_whole = written.is_ok();
            let _ = answer.send(written);
            match is_whole {
                true => writer.move_log(&log, &path).await,
                // In whatever state it is: the next call has a new one.
                false => *turn.writer = None,
            }
        });
        match answered.await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(Error::Unavailable("the host is stopping".to_owned())),
        }
    }

    async fn read<T>(
        &self,
        user: User,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
    ) -> Result<T, Error> {
        match self.read_as(user, work).await {
            Ok(result) => result,
            Err(Wrong::Statement(error)) => Err(self.failed(error)),
            Err(wrong) => Err(self.told(&wrong)),
        }
    }

    async fn read_as<T>(
        &self,
        user: User,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
    ) -> Result<Result<T, Error>, Wrong> {
        let _place = self.reading.next(user).await;
        if !self.is_the_same()? {
            // Which makes the file, if it is not there.
            drop(self.turn(User::default()).await?);
        }
        // Behind that: what has the turn may wait for it.
        let _log = self.log.read().await;
        let idle = self.idle.lock().pop();
        let (opened, mut connection) = match idle {
            Some(idle) => idle,
            None => {
                let opened = Opened::at(&self.file.path);
                (opened, self.file.reader().await.map_err(Wrong::Statement)?)
            }
        };
        let result = work(&mut connection).await.map_err(Wrong::Statement)?;
        if *self.opened.lock() == Some(opened) {
            self.idle.lock().push((opened, connection));
        }
        Ok(result)
    }

    /// What a statement's error means for a guest.
    fn failed(&self, error: sqlx::Error) -> Error {
        let name = self.runs.name();
        if connection::is_full(&error) {
            return Error::Full(format!(
                "the file of the bucket {name} has no room for this ('size' of [keyvalue.{name}] sets the bound), or the \
                 disk has none"
            ));
        }
        if connection::is_damaged(&error) {
            *self.damaged.lock() = Some(error.to_string());
        }
        self.told(&Wrong::Statement(error))
    }

    /// The same of whatever else is wrong. Where the file is is for the log.
    fn told(&self, wrong: &Wrong) -> Error {
        let name = self.runs.name();
        tracing::warn!(bucket = name, "{}", wrong.shown(name, &self.file.path));
        Error::Unavailable(format!("the file of the bucket {name} cannot be used{}", wrong.told()))
    }
}

fn user(of: &Arc<Places>, request: &RequestContext) -> User {
    request.served().map(|served| of.user(&served.service)).unwrap_or_default()
}

impl Writer {
    /// Move the log into the file once it is large, which it becomes while reads overlap without a pause: for a moment
    /// none begins.
    async fn move_log(&mut self, log: &RwLock<()>, path: &Path) {
        let bytes = connection::log_bytes(path);
        if bytes <= self.log_bytes {
            return;
        }
        let Ok(_alone) = timeout(FILE_BUSY, log.write()).await else { return };
        let is_moved = connection::move_log(&mut self.connection).await;
        // Another program reads: after as many bytes again.
        self.log_bytes = if is_moved { FILE_LOG_BYTES } else { bytes + FILE_LOG_BYTES };
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

/// The values of keys as they are asked for. Each is copied only where it is asked for again later on.
fn in_order(keys: &[String], rows: Vec<(String, Vec<u8>)>) -> Vec<Option<Value>> {
    let mut found: HashMap<String, Vec<u8>> = rows.into_iter().collect();
    let mut left: HashMap<&str, usize> = HashMap::new();
    keys.iter().for_each(|key| *left.entry(key).or_default() += 1);
    let given = keys.iter().map(|key| {
        let left = left.get_mut(&**key)?;
        *left -= 1;
        let value = if *left == 0 { found.remove(key) } else { found.get(key).cloned() };
        value.map(Value)
    });
    given.collect()
}

async fn value(connection: &mut SqliteConnection, key: &str) -> sqlx::Result<Option<Vec<u8>>> {
    let found = sqlx::query_scalar("select value from entries where key = ?").bind(key);
    found.fetch_optional(connection).await
}

impl Bucket for FileBucket {
    fn get(&self, key: String, request: RequestContext) -> Reply<'_, Option<Value>> {
        let get = self.read(self.reader(&request), |connection| {
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
        let set = self.write(self.author(&request), |connection| {
            Box::pin(async move {
                sqlx::query(SET).bind(key).bind(value).execute(connection).await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("set", 1, request, set)
    }

    fn delete(&self, key: String, request: RequestContext) -> Reply<'_, ()> {
        let delete = self.write(self.author(&request), |connection| {
            Box::pin(async move {
                let delete = sqlx::query("delete from entries where key = ?").bind(key);
                delete.execute(connection).await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("delete", 1, request, delete)
    }

    fn exists(&self, key: String, request: RequestContext) -> Reply<'_, bool> {
        let exists = self.read(self.reader(&request), |connection| {
            Box::pin(async move {
                let found = sqlx::query("select 1 from entries where key = ?").bind(key);
                Ok(Ok(found.fetch_optional(connection).await?.is_some()))
            })
        });
        self.runs.run("exists", 1, request, exists)
    }

    fn list_keys(&self, cursor: Option<u64>, request: RequestContext) -> Reply<'_, Page> {
        let list = self.read(self.reader(&request), move |connection| {
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
        let increment = self.write(self.author(&request), move |connection| {
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
        let swap = self.write(self.author(&request), move |connection| {
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
        let get = self.read(self.reader(&request), move |connection| {
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
                Ok(Ok(in_order(&keys, rows)))
            })
        });
        self.runs.run("get-many", about, request, get)
    }

    fn set_many(&self, entries: Vec<(String, Value)>, request: RequestContext) -> Reply<'_, ()> {
        let about = entries.len();
        let set = self.write(self.author(&request), move |connection| {
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
        let delete = self.write(self.author(&request), move |connection| {
            Box::pin(async move {
                let delete = sqlx::AssertSqlSafe(format!("delete {MANY}"));
                sqlx::query(delete).bind(listed(&keys)).execute(connection).await?;
                Ok(Ok(()))
            })
        });
        self.runs.run("delete-many", about, request, delete)
    }
}
