//! A bounded number of connections to one server. Each makes one call at a time, so that a large value delays no other
//! call, and one whose call was given up is closed: what is still to come over it answers no call.

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::super::backend::Error;
use super::connection::{Connection, Refusal, Way};
use super::{Work, answer};
use crate::breaker::{self, Breaker};
use std::sync::Arc;
use wasm_host_limits::keyvalue::{REDIS_CHECK_AFTER, REDIS_CHECK_TIMEOUT, REDIS_IDLE, RedisLimits};
use wasm_host_limits::show::show_duration;

pub(super) struct Pool {
    bucket: String,
    way: Way,
    limits: RedisLimits,
    places: Semaphore,
    /// The last one is the one that was used last.
    idle: Mutex<Vec<(Instant, Connection)>>,
    breaker: Arc<Breaker>,
}

impl Pool {
    pub(super) fn new(bucket: &str, way: Way, limits: RedisLimits) -> Self {
        let what = format!("the Redis server of the bucket {bucket}");
        Self {
            bucket: bucket.to_owned(),
            way,
            places: Semaphore::new(limits.connections),
            idle: Mutex::default(),
            breaker: Breaker::new(what, limits.breaker.clone()),
            limits,
        }
    }

    pub(super) fn breaker(&self) -> breaker::Reading {
        self.breaker.read()
    }

    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }

    /// Whether the server answers. Waits for no place: a busy server is ready.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let connection = match self.idle_one().await {
            Some(mut connection) => match connection.ping().await {
                Ok(()) => connection,
                Err(error) => return Err(answer::error(&self.bucket, &error)),
            },
            None => self.opened().await.map_err(|refusal| self.not_there(refusal))?,
        };
        self.breaker.reached();
        self.keep(connection);
        Ok(())
    }

    /// Use a connection.
    pub(super) async fn run<T>(
        &self,
        work: impl for<'c> FnOnce(&'c mut MultiplexedConnection) -> Work<'c, T> + Send,
    ) -> Result<T, Error> {
        let place = timeout(self.limits.acquire_timeout, self.places.acquire()).await;
        // It is never closed.
        let Ok(_place) = place else { return Err(self.busy()) };
        let mut connection = match self.idle_one().await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        match work(&mut connection.connection).await {
            Ok(result) => {
                self.keep(connection);
                result
            }
            Err(error) => {
                match answer::is_of_the_server(&error) {
                    true => self.keep(connection),
                    // The others are to the same server, which has gone.
                    false => self.close(),
                }
                Err(answer::error(&self.bucket, &error))
            }
        }
    }

    /// One that is there already, and alive.
    async fn idle_one(&self) -> Option<Connection> {
        loop {
            let (since, mut connection) = self.idle.lock().pop()?;
            let idle = since.elapsed();
            if idle < REDIS_CHECK_AFTER {
                return Some(connection);
            }
            if idle < REDIS_IDLE
                && let Ok(Ok(())) = timeout(REDIS_CHECK_TIMEOUT, connection.ping()).await
            {
                return Some(connection);
            }
            // Those below it have been idle for longer.
            self.close();
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock();
        idle.retain(|(since, _)| since.elapsed() < REDIS_IDLE);
        if idle.len() < self.limits.connections {
            idle.push((Instant::now(), connection));
        }
    }

    /// A new one, if the server is worth trying.
    async fn connect(&self) -> Result<Connection, Error> {
        let bucket = &self.bucket;
        let pass = self.breaker.admit().map_err(|_| {
            Error::Unavailable(format!(
                "the Redis server of the bucket {bucket} cannot be reached; calls fail at once until it can"
            ))
        })?;
        match self.opened().await {
            Ok(connection) => {
                pass.reached();
                Ok(connection)
            }
            Err(refusal) => {
                match refusal {
                    Refusal::Refused(_) => pass.reached(),
                    Refusal::Unreachable(_) => pass.failed(),
                }
                Err(self.not_there(refusal))
            }
        }
    }

    async fn opened(&self) -> Result<Connection, Refusal> {
        let most = self.limits.connect_timeout;
        let late = |_| {
            let most = show_duration(most);
            Refusal::Unreachable(format!("it has not answered in {most} ('connect-timeout')"))
        };
        timeout(most, self.way.connect()).await.map_err(late).flatten()
    }

    fn not_there(&self, refusal: Refusal) -> Error {
        let bucket = &self.bucket;
        Error::Unavailable(match refusal {
            Refusal::Unreachable(why) => {
                format!("the Redis server of the bucket {bucket} cannot be reached: {why}")
            }
            Refusal::Refused(why) => {
                format!("the Redis server of the bucket {bucket} refuses the connection: {why}")
            }
        })
    }

    fn busy(&self) -> Error {
        let most = show_duration(self.limits.acquire_timeout);
        Error::Busy(format!(
            "no connection to the Redis server of the bucket {} was free within {most} ('pool' and 'acquire-timeout' of \
             [keyvalue.{}] set the bounds)",
            self.bucket, self.bucket
        ))
    }
}
