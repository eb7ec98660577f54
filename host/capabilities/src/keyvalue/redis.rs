//! A bucket on a Redis server: the keys whose names begin with its prefix.
//!
//! What has to be one step is one step on the server, by scripts that it runs: no other client comes in between, this
//! host's or another's. What a server sends is bounded before it sends it.

mod answer;
mod connection;
mod pool;

use std::sync::LazyLock;

use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value as Sent, cmd};

use self::connection::RedisServer;
use self::pool::Pool;
use super::backend::{Bucket, Error, Page, Reply, Value};
use super::bounds;
use super::run::Runs;
use super::settings::{Address, RedisConfig};
use crate::backend;
use crate::breaker;
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use crate::places::User;
use wasm_host_limits::keyvalue::{
    BATCH_BYTES, KEY_BYTES, PAGE_KEYS, REDIS_SCANS, SMALL_BYTES, VALUE_BYTES,
};

/// The values of some keys; only how many bytes they have, if that is more than the argument.
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/read.lua")));

/// Set a value in place of the one that is expected.
static SWAP: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/swap.lua")));

/// Keys that match, without those that are too long.
static LIST: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/list.lua")));

pub(super) struct RedisBucket {
    runs: Runs,
    pool: Pool,
    prefix: String,
}

/// What is asked over a connection. An error of the outer result ends the connection, unless the server itself says it.
type Work<'c, T> = BoxFuture<'c, RedisResult<Result<T, Error>>>;

impl RedisBucket {
    /// Connects once it is used.
    ///
    /// # Errors
    /// This system has no certificates.
    pub(super) fn new(runs: Runs, address: Address, config: &RedisConfig) -> anyhow::Result<Self> {
        let way = RedisServer::new(runs.name(), address, config.ca.as_ref())?;
        let pool = Pool::new(runs.name(), way, config.limits.clone());
        Ok(Self { runs, pool, prefix: config.prefix.clone() })
    }

    /// Whether the server answers and takes writes, for `/ready`.
    pub(super) async fn check(&self) -> Result<(), Error> {
        self.pool.check(&self.prefix).await
    }

    /// A service is granted it, and has a share of its connections from now on.
    pub(super) fn granted_to(&self, service: &str) {
        self.pool.user(service);
    }

    /// The service that a request is served by.
    fn user(&self, request: &RequestContext) -> User {
        request.served().map(|served| self.pool.user(&served.service)).unwrap_or_default()
    }

    pub(super) fn pool(&self) -> backend::Pool {
        self.pool.read()
    }

    pub(super) fn breaker(&self) -> breaker::Reading {
        self.pool.breaker()
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// What a key is called on the server.
    fn named(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn all_named(&self, keys: &[String]) -> Vec<String> {
        keys.iter().map(|key| self.named(key)).collect()
    }

    /// One command whose answer is small.
    async fn ask<T>(&self, user: User, command: redis::Cmd) -> Result<T, Error>
    where
        T: redis::FromRedisValue + Send + 'static,
    {
        self.pool
            .run(user, |connection| {
                Box::pin(async move { command.query_async(connection).await.map(Ok) })
            })
            .await
    }

    /// The values of these keys, which have no more than so many bytes together.
    async fn read(
        &self,
        user: User,
        keys: Vec<String>,
        within: fn(u64) -> Result<(), Error>,
        most: usize,
    ) -> Result<Vec<Option<Value>>, Error> {
        self.pool
            .run(user, |connection| {
                Box::pin(async move {
                    let mut room = SMALL_BYTES;
                    loop {
                        match read(connection, &keys, room).await? {
                            Read::Values(values) => {
                                let bytes = values.iter().flatten().map(|Value(it)| it.len());
                                // What was read within this has been held already.
                                let held = if room > SMALL_BYTES { room } else { 0 };
                                let more = bytes.sum::<usize>().saturating_sub(held);
                                return Ok(hold(more).map(|()| values));
                            }
                            Read::Bytes(bytes) => {
                                let bytes = within(bytes).and_then(|()| {
                                    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                                    // It may have grown since.
                                    hold(bytes.saturating_sub(if room > SMALL_BYTES {
                                        room
                                    } else {
                                        0
                                    }))?;
                                    Ok(bytes.min(most))
                                });
                                match bytes {
                                    Ok(bytes) => room = bytes,
                                    Err(error) => return Ok(Err(error)),
                                }
                            }
                        }
                    }
                })
            })
            .await
    }
}

/// What [`READ`] gives.
enum Read {
    Values(Vec<Option<Value>>),
    Bytes(u64),
}

async fn read(
    connection: &mut MultiplexedConnection,
    keys: &[String],
    room: usize,
) -> RedisResult<Read> {
    let mut script = READ.prepare_invoke();
    for key in keys {
        script.key(key);
    }
    match script.arg(room).invoke_async(connection).await? {
        Sent::Int(bytes) => Ok(Read::Bytes(bytes.cast_unsigned())),
        values => {
            let values: Vec<Option<Vec<u8>>> = redis::from_redis_value(values)?;
            Ok(Read::Values(values.into_iter().map(|value| value.map(Value)).collect()))
        }
    }
}

/// Hold a value's bytes on their way to a guest.
fn hold(bytes: usize) -> Result<(), Error> {
    hold_for_call(bytes).map_err(|exhausted| Error::Busy(exhausted.to_string()))
}

/// A text as a pattern that matches it alone.
fn literally(text: &str) -> String {
    let is_special = |letter| matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-');
    let escaped = |letter| is_special(letter).then_some('\\').into_iter().chain([letter]);
    text.chars().flat_map(escaped).collect()
}

/// One scan: the keys as they are on the server, and where the next one begins.
async fn scan(
    connection: &mut MultiplexedConnection,
    cursor: u64,
    pattern: &str,
    longest: usize,
) -> RedisResult<(Vec<Vec<u8>>, u64)> {
    let mut script = LIST.prepare_invoke();
    script.arg(cursor).arg(pattern).arg(PAGE_KEYS).arg(longest);
    let (cursor, keys): (String, Vec<Vec<u8>>) = script.invoke_async(connection).await?;
    // It is the server's own, which may be as large as a number of 64 bits.
    Ok((keys, cursor.parse().unwrap_or_default()))
}

impl Bucket for RedisBucket {
    fn get(&self, key: String, request: RequestContext) -> Reply<'_, Option<Value>> {
        let user = self.user(&request);
        let get = async move {
            let values =
                self.read(user, vec![self.named(&key)], bounds::found, VALUE_BYTES).await?;
            Ok(values.into_iter().next().flatten())
        };
        self.runs.run("get", 1, request, get)
    }

    fn set(&self, key: String, Value(value): Value, request: RequestContext) -> Reply<'_, ()> {
        let set = self.ask(self.user(&request), cmd("SET").arg(self.named(&key)).arg(value).take());
        self.runs.run("set", 1, request, set)
    }

    fn delete(&self, key: String, request: RequestContext) -> Reply<'_, ()> {
        let delete = self.ask(self.user(&request), cmd("UNLINK").arg(self.named(&key)).take());
        self.runs.run("delete", 1, request, delete)
    }

    fn exists(&self, key: String, request: RequestContext) -> Reply<'_, bool> {
        let exists = self.ask(self.user(&request), cmd("EXISTS").arg(self.named(&key)).take());
        self.runs.run("exists", 1, request, exists)
    }

    fn list_keys(&self, cursor: Option<u64>, request: RequestContext) -> Reply<'_, Page> {
        let prefix = self.prefix.clone();
        let list = self.pool.run(self.user(&request), move |connection| {
            Box::pin(async move {
                let pattern = format!("{}*", literally(&prefix));
                let longest = prefix.len() + KEY_BYTES;
                let mut next = cursor.unwrap_or_default();
                let mut keys = Vec::new();
                for _ in 0..REDIS_SCANS {
                    let (found, cursor) = scan(connection, next, &pattern, longest).await?;
                    next = cursor;
                    // What is no text is no key of a component.
                    let texts = found.into_iter().filter_map(|key| String::from_utf8(key).ok());
                    let of_bucket = |key: String| key.strip_prefix(&*prefix).map(str::to_owned);
                    keys.extend(texts.filter_map(of_bucket).filter(|key| !key.is_empty()));
                    if next == 0 || !keys.is_empty() {
                        break;
                    }
                }
                Ok(Ok(Page { keys, cursor: Some(next).filter(|next| *next != 0) }))
            })
        });
        self.runs.run("list-keys", 0, request, list)
    }

    fn increment(&self, key: String, delta: i64, request: RequestContext) -> Reply<'_, i64> {
        let increment =
            self.ask(self.user(&request), cmd("INCRBY").arg(self.named(&key)).arg(delta).take());
        self.runs.run("increment", 1, request, increment)
    }

    fn swap(
        &self,
        key: String,
        expected: Option<Value>,
        Value(value): Value,
        request: RequestContext,
    ) -> Reply<'_, bool> {
        let key = self.named(&key);
        let swap = self.pool.run(self.user(&request), move |connection| {
            Box::pin(async move {
                let mut script = SWAP.key(key);
                script.arg(value);
                if let Some(Value(expected)) = expected {
                    script.arg(expected);
                }
                script.invoke_async(connection).await.map(Ok)
            })
        });
        self.runs.run("swap", 1, request, swap)
    }

    fn get_many(
        &self,
        keys: Vec<String>,
        request: RequestContext,
    ) -> Reply<'_, Vec<Option<Value>>> {
        let (about, user) = (keys.len(), self.user(&request));
        let get = async move {
            match keys.is_empty() {
                true => Ok(Vec::new()),
                false => {
                    self.read(user, self.all_named(&keys), bounds::batch_bytes, BATCH_BYTES).await
                }
            }
        };
        self.runs.run("get-many", about, request, get)
    }

    fn set_many(&self, entries: Vec<(String, Value)>, request: RequestContext) -> Reply<'_, ()> {
        let (about, user) = (entries.len(), self.user(&request));
        let set = async move {
            if entries.is_empty() {
                return Ok(());
            }
            let mut set = cmd("MSET");
            for (key, Value(value)) in entries {
                set.arg(self.named(&key)).arg(value);
            }
            self.ask(user, set).await
        };
        self.runs.run("set-many", about, request, set)
    }

    fn delete_many(&self, keys: Vec<String>, request: RequestContext) -> Reply<'_, ()> {
        let (about, user) = (keys.len(), self.user(&request));
        let delete = async move {
            match keys.is_empty() {
                true => Ok(()),
                false => self.ask(user, cmd("UNLINK").arg(self.all_named(&keys)).take()).await,
            }
        };
        self.runs.run("delete-many", about, request, delete)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_itself_alone() {
        assert_eq!(literally("carts:"), "carts:");
        assert_eq!(literally(r"a*[b]?\"), r"a\*\[b\]\?\\");
    }
}
