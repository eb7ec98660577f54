//! A bounded number of connections to one server. Each makes one call at a time, so that a large value delays no other
//! call, and one whose call was given up is closed: what is still to come over it answers no call.
//!
//! Connections are opened in tasks of their own, which end at `connect-timeout` whether a call waits or not: so a call
//! with less time leaves its connection to the next one, and a server that is not there is told to the breaker.

use std::sync::Arc;

use parking_lot::Mutex;
use redis::RedisError;
use redis::aio::MultiplexedConnection;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::super::backend::Error;
use super::connection::{Connection, RedisServer, Refusal};
use super::{Work, answer};
use crate::backend;
use crate::breaker::{self, Breaker, Pass};
use crate::places::{Place, Places, User};
use wasm_host_limits::keyvalue::{
    REDIS_AGE, REDIS_CHECK_AFTER, REDIS_CHECK_TIMEOUT, REDIS_IDLE, RedisLimits,
};
use wasm_host_limits::show::show_duration;

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    bucket: String,
    way: RedisServer,
    limits: RedisLimits,
    places: Arc<Places>,
    idle: Mutex<Idle>,
    breaker: Arc<Breaker>,
}

#[derive(Default)]
struct Idle {
    /// Connections of an earlier one are not kept.
    era: u64,
    /// The last one is the one that was used last.
    connections: Vec<(Instant, Opened)>,
}

/// A connection of the pool.
struct Opened {
    connection: Connection,
    since: Instant,
    era: u64,
}

impl Pool {
    pub(super) fn new(bucket: &str, way: RedisServer, limits: RedisLimits) -> Self {
        let what = format!("the Redis server of the bucket {bucket}");
        Self(Arc::new(Inner {
            bucket: bucket.to_owned(),
            way,
            places: Places::new(limits.connections),
            idle: Mutex::default(),
            breaker: Breaker::new(what, limits.breaker.clone()),
            limits,
        }))
    }

    pub(super) fn breaker(&self) -> breaker::Reading {
        self.0.breaker.read()
    }

    /// Its connections, and how many calls wait for one.
    pub(super) fn read(&self) -> backend::Pool {
        let (most, waiting) = (self.0.limits.connections, self.0.places.waiting());
        backend::Pool { most, waiting, idle: Some(self.0.idle.lock().connections.len()) }
    }

    /// The number of a service among those that share the connections.
    pub(super) fn user(&self, service: &str) -> User {
        self.0.places.user(service)
    }

    /// Close the connections: those that are idle now, and the others after their calls.
    pub(super) fn close(&self) {
        let mut idle = self.0.idle.lock();
        idle.era += 1;
        idle.connections.clear();
    }

    /// Whether the server answers, and takes writes. Waits for no place: a busy server is ready.
    pub(super) async fn check(&self, prefix: &str) -> Result<(), Error> {
        let mut opened = match self.idle_one().await {
            Some(opened) => opened,
            None => self.0.open().await.map_err(|refusal| self.0.not_there(refusal))?,
        };
        self.0.breaker.reached();
        match opened.connection.write_nothing(prefix).await {
            Ok(()) => {
                self.0.keep(opened);
                Ok(())
            }
            Err(error) => Err(self.failed(&error, opened)),
        }
    }

    /// Use a connection.
    pub(super) async fn run<T>(
        &self,
        user: User,
        work: impl for<'c> FnOnce(&'c mut MultiplexedConnection) -> Work<'c, T> + Send,
    ) -> Result<T, Error> {
        let place = self.place(user).await?;
        let (mut opened, _place) = match self.idle_one().await {
            Some(opened) => (opened, place),
            None => self.connect(place).await?,
        };
        match work(&mut opened.connection.connection).await {
            Ok(result) => {
                self.0.keep(opened);
                result
            }
            Err(error) => Err(self.failed(&error, opened)),
        }
    }

    async fn place(&self, user: User) -> Result<Place, Error> {
        if let Some(place) = self.0.places.free(user) {
            return Ok(place);
        }
        match timeout(self.0.limits.acquire_timeout, self.0.places.next(user)).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(self.0.busy()),
        }
    }

    /// What an error means, for its connection and for the caller.
    fn failed(&self, error: &RedisError, opened: Opened) -> Error {
        match answer::ends_connections(error) {
            false => self.0.keep(opened),
            // The others are to the same server, which has gone, or is another one now.
            true => self.close(),
        }
        answer::error(&self.0.bucket, error)
    }

    /// One that is there already, and alive.
    async fn idle_one(&self) -> Option<Opened> {
        loop {
            let (rested, mut opened) = self.0.idle.lock().connections.pop()?;
            let idle = rested.elapsed();
            if opened.since.elapsed() >= REDIS_AGE {
                continue;
            }
            if idle < REDIS_CHECK_AFTER {
                return Some(opened);
            }
            if idle < REDIS_IDLE
                && let Ok(Ok(())) = timeout(REDIS_CHECK_TIMEOUT, opened.connection.ping()).await
            {
                return Some(opened);
            }
            // Those below it have been idle for longer.
            self.close();
        }
    }

    /// A new one, if the server is worth trying. The place is taken for as long as that lasts, whether or not its caller
    /// waits.
    async fn connect(&self, place: Place) -> Result<(Opened, Place), Error> {
        let bucket = &self.0.bucket;
        let pass = self.0.breaker.admit().map_err(|_| {
            Error::Unavailable(format!(
                "the Redis server of the bucket {bucket} cannot be reached; calls fail at once until it can"
            ))
        })?;
        let (sender, connected) = oneshot::channel();
        let inner = self.0.clone();
        tokio::spawn(async move {
            let opened = inner.open().await;
            tell(pass, &opened);
            if let Err((Ok(opened), _place)) = sender.send((opened, place)) {
                // Its caller has left.
                inner.keep(opened);
            }
        });
        match connected.await {
            Ok((Ok(opened), place)) => Ok((opened, place)),
            Ok((Err(refusal), _place)) => Err(self.0.not_there(refusal)),
            Err(_) => Err(Error::Unavailable("the host is stopping".to_owned())),
        }
    }
}

/// A server that says no is there.
fn tell(pass: Pass, opened: &Result<Opened, Refusal>) {
    match opened {
        Ok(_) | Err(Refusal::Refused(_)) => pass.reached(),
        Err(Refusal::Unreachable(_)) => pass.failed(),
    }
}

impl Inner {
    async fn open(&self) -> Result<Opened, Refusal> {
        let (most, era) = (self.limits.connect_timeout, self.idle.lock().era);
        let late = |_| {
            let most = show_duration(most);
            Refusal::Unreachable(format!("it has not answered in {most} ('connect-timeout')"))
        };
        let connection = timeout(most, self.way.connect()).await.map_err(late).flatten()?;
        Ok(Opened { connection, since: Instant::now(), era })
    }

    fn keep(&self, opened: Opened) {
        let mut idle = self.idle.lock();
        idle.connections.retain(|(rested, _)| rested.elapsed() < REDIS_IDLE);
        let is_of_now = opened.era == idle.era && opened.since.elapsed() < REDIS_AGE;
        if is_of_now && idle.connections.len() < self.limits.connections {
            idle.connections.push((Instant::now(), opened));
        }
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
