//! The real database: a bounded pool of connections to one database of one server.
//!
//! Not the driver's own pool, for three reasons: it has no place for what the host knows of a
//! connection (the server's process to cancel, what the last statement left behind); it waits out
//! the whole acquire timeout while a server refuses connections, which would make `unavailable`
//! look like `busy`; and it asks the server for a sign of life after every statement.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

use super::backend::{Database, Error, Reply, Rows, Transaction, Value};
use super::connection::{Administrator, Connection, Control};
use super::idle::Idle;
use super::login::{Login, Process};
use super::pooled::Unusable;
use super::room::Room;
use super::statement::{self, Pending, Task, Work};
use super::url::Address;
use super::{error, run, seen, transaction};
use crate::backend;
use crate::breaker::{self, Breaker};
use crate::context::RequestContext;
use crate::places::{Closed, Place, Places, User};
use wasm_host_limits::postgres as limits;
pub use wasm_host_limits::postgres::PoolConfig;
use wasm_host_system::computing::{self, Weight};
use wasm_host_system::counted::counted;

/// A database on a real server, as one of those that share it uses it. Connects when it is first used. Cheap to clone.
#[derive(Clone)]
pub struct PgDatabase {
    pub(super) pool: Arc<Pool>,
    user: User,
    /// Of the user's statements: those that take much of a processor do so elsewhere.
    weight: Arc<Weight>,
}

impl PgDatabase {
    pub fn new(address: Address, config: PoolConfig) -> Self {
        let connections = config.connections.max(1);
        let what = format!("the database {}", address.database());
        let login = Arc::new(Login::new(address));
        let pool = Pool {
            breaker: Breaker::new(what, config.breaker.clone()),
            control: Arc::new(Control::new(login.clone())),
            administrator: OnceLock::new(),
            room: OnceLock::new(),
            database: Arc::new(seen::DatabaseAddress::of(login.address())),
            login,
            config,
            places: Places::new(connections),
            idle: Mutex::default(),
            is_down: AtomicBool::new(false),
            is_torn: AtomicBool::new(false),
        };
        Self { pool: Arc::new(pool), user: User::default(), weight: Arc::default() }
    }

    /// The same for a service, which uses no connection that another one has used.
    pub fn for_service(&self, name: &str) -> Self {
        Self { pool: self.pool.clone(), user: self.pool.places.user(name), weight: Arc::default() }
    }

    /// The same with a login that ends what its own role cannot.
    pub fn administered(self, administrator: &Administrator) -> Self {
        let _ = self.pool.administrator.set(administrator.clone());
        self
    }

    /// The same with a bound on the room that it takes.
    pub fn within(self, room: Room) -> Self {
        let _ = self.pool.room.set(room);
        self
    }

    /// Why nothing is written to it, if that is so.
    pub fn why_full(&self) -> Option<Arc<str>> {
        self.pool.room()?.why_full()
    }

    /// Whether the server answers, for `/ready`.
    pub async fn check(&self) -> Result<(), Error> {
        let pool = &*self.pool;
        // Where the next statement has to log in, so does this. Else not: a busy database is ready, and may let no
        // other client in. Nor does it wait for a connection of the pool.
        let answers = match pool.opens_next() {
            true => pool.control.lets_in().await,
            false => pool.control.is_alive().await,
        };
        if !answers {
            return Err(Error::Unavailable("the database server does not answer".to_string()));
        }
        // It lets clients in, and tears their transactions apart: only a statement sees that, and that it has ended.
        if pool.is_torn.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("a pooler tears transactions apart".to_string()));
        }
        pool.found();
        pool.breaker.reached();
        match pool.idle().loses_all() {
            true => Err(Error::Unavailable("statements lose their connections".to_string())),
            false => Ok(()),
        }
    }

    /// Connections in use at this moment: by statements, by open transactions, or on their way back.
    pub fn in_use(&self) -> usize {
        self.pool.places.in_use()
    }

    /// Its connections, and how many calls wait for one.
    pub fn pool(&self) -> backend::Pool {
        let pool = &*self.pool;
        let (most, waiting) = (pool.config.connections.max(1), pool.places.waiting());
        backend::Pool { most, waiting, idle: Some(pool.idle().len()) }
    }

    /// Whether statements fail without a connection being tried.
    pub fn is_open(&self) -> bool {
        self.pool.breaker.is_open()
    }

    /// How its circuit breaker is.
    pub fn breaker(&self) -> breaker::Reading {
        self.pool.breaker.read()
    }

    /// Close the connections that are not in use. Those in use close when they come back.
    pub fn close(&self) {
        self.pool.places.close();
        self.pool.idle().clear();
    }

    fn statement(&self, work: Work, wants_rows: bool, request: RequestContext) -> Pending {
        let (task, pending) = statement::call(work, wants_rows, request, None, &self.pool.database);
        let is_large = task.work.is_large();
        computing::spawn(self.pool.clone().serve(self.user, task), is_large, self.weight.clone());
        pending
    }
}

impl Database for PgDatabase {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        Box::pin(async move {
            self.statement(Work::statement(statement, parameters), true, request).rows().await
        })
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        Box::pin(async move {
            self.statement(Work::statement(statement, parameters), false, request).count().await
        })
    }

    fn begin(&self, request: RequestContext) -> Reply<'_, Arc<dyn Transaction>> {
        Box::pin(async move {
            let transaction =
                transaction::begin(self.pool.clone(), self.user, self.weight.clone(), request)
                    .await?;
            Ok(Arc::new(transaction) as Arc<dyn Transaction>)
        })
    }
}

pub(super) struct Pool {
    login: Arc<Login>,
    /// For what is seen of statements.
    pub(super) database: Arc<seen::DatabaseAddress>,
    pub(super) config: PoolConfig,
    pub(super) control: Arc<Control>,
    administrator: OnceLock<Administrator>,
    /// What the database may take, where the host decides that.
    room: OnceLock<Room>,
    places: Arc<Places>,
    idle: Mutex<Idle>,
    /// Asked before a connection is opened. Those that are open are used whatever it says.
    breaker: Arc<Breaker>,
    /// The last attempt to connect failed.
    is_down: AtomicBool,
    /// The last connection was one to a pooler that tears transactions apart.
    is_torn: AtomicBool,
}

impl Pool {
    /// Run a statement outside any transaction. A task of its own: the caller may be gone at any
    /// time, and the connection must still come back in a known state.
    async fn serve(self: Arc<Self>, user: User, mut task: Task) {
        let acquired = task.stop.or_unwanted(self.acquire(user, task.seen.request())).await;
        match acquired {
            Err(error) => task.finish(Err(error)),
            Ok(mut lease) => {
                task.seen.connected();
                let result = run::run(&mut lease.connection, &self, &mut task, true).await;
                // A clean connection goes back first, so that the caller's next call finds it.
                if lease.connection.is_clean() {
                    lease.release().await;
                    task.finish(result);
                } else {
                    task.finish(result);
                    lease.release().await;
                }
            }
        }
    }

    pub(super) async fn acquire(
        self: &Arc<Self>,
        user: User,
        caller: &RequestContext,
    ) -> Result<Lease, Error> {
        let place = match self.places.free(user) {
            Some(place) => place,
            None => timeout(self.config.acquire_timeout, self.places.next(user))
                .await
                .map_err(|_| self.busy())?
                .map_err(|Closed| Error::Unavailable("the host is stopping".to_string()))?,
        };
        loop {
            let (idle, failed) = {
                let mut idle = self.idle();
                (idle.take(user), idle.failed)
            };
            let connection = match idle {
                None => {
                    let made_room = self.make_room();
                    self.open(user, made_room, caller).await?
                }
                Some(connection) if connection.is_doubtful(&self.login) => continue,
                Some(mut connection) => {
                    let suspect = connection.idle_since.elapsed() > limits::CHECK_AFTER
                        || failed.is_some_and(|failed| connection.idle_since <= failed);
                    if suspect && !connection.is_alive().await {
                        continue;
                    }
                    connection
                }
            };
            return Ok(Lease { connection, pool: self.clone(), place });
        }
    }

    fn busy(&self) -> Error {
        let (all, waited) = (self.config.connections, self.config.acquire_timeout.as_secs_f32());
        Error::Busy(match self.places.in_use() < all {
            true => format!(
                "this service had all that it can have of {} to the database in use for {waited} s; the \
                 last ones are kept for services that have none",
                counted(all, "connection")
            ),
            false if all == 1 => {
                format!("the one connection to the database was in use for {waited} s")
            }
            false => format!("all {all} connections to the database were in use for {waited} s"),
        })
    }

    /// Close connections of others that rest, so that there are not more than the bound with one that is opened. Says
    /// whether there were any.
    fn make_room(&self) -> bool {
        let room = self.config.connections.max(1).saturating_sub(self.places.in_use());
        let closed = self.idle().beyond(room);
        !closed.is_empty()
    }

    /// Whether the next statement may have to log in, as far as is known.
    fn opens_next(&self) -> bool {
        if self.is_down.load(Ordering::Relaxed) {
            return true;
        }
        let idle = self.idle();
        idle.loses_all() || (idle.is_empty() && self.places.in_use() == 0)
    }

    /// End the server's process of a connection that is given up, so that its statement does not outlive it.
    pub(super) fn terminate(&self, process: Process) {
        let own = || self.control.clone();
        let control = self.administrator.get().map_or_else(own, |it| it.0.clone());
        tokio::spawn(async move { control.terminate(process).await });
    }

    pub(super) fn room(&self) -> Option<&Room> {
        self.room.get()
    }

    async fn open(
        &self,
        user: User,
        made_room: bool,
        caller: &RequestContext,
    ) -> Result<Connection, Error> {
        let pass = self.breaker.admit().map_err(|_| error::given_up())?;
        let database = self.login.database();
        let opened = self.connect(user, made_room).await;
        self.is_torn.store(matches!(opened, Err(Unusable::Torn)), Ordering::Relaxed);
        let was_down = match &opened {
            Ok(_) => self.found(),
            Err(_) => self.is_down.swap(true, Ordering::Relaxed),
        };
        match &opened {
            Ok(_) => pass.reached(),
            // A server that says no is there, and says so at once.
            Err(Unusable::Torn) => pass.reached(),
            Err(Unusable::Sql(error)) if error::code(error).is_some() => pass.reached(),
            Err(_) => pass.failed(),
        }
        opened.map_err(|error| {
            let news = (!was_down).then_some(caller);
            error::of_unusable(&error, database, news, self.config.connect_timeout)
        })
    }

    async fn connect(&self, user: User, made_room: bool) -> Result<Connection, Unusable> {
        let deadline = Instant::now() + limits::LEAVING;
        loop {
            let opened = error::caught(Connection::open(&self.login, &self.config, user)).await;
            let opened = opened.unwrap_or(Err(Unusable::Sql(sqlx::Error::WorkerCrashed)));
            match &opened {
                // The server may still count the one that was closed to make room.
                Err(Unusable::Sql(error))
                    if made_room && error::is_full(error) && Instant::now() < deadline =>
                {
                    sleep(limits::LEAVING_POLL).await;
                }
                _ => return opened,
            }
        }
    }

    /// A login succeeded. Gives whether the last one before had failed.
    fn found(&self) -> bool {
        let was_down = self.is_down.swap(false, Ordering::Relaxed);
        // The breaker logs that itself if it had opened.
        if was_down && !self.breaker.is_open() {
            let database = self.login.database();
            tracing::info!(database, "a database can be reached again");
        }
        was_down
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock()
    }
}

/// A connection in use. Dropping it without [`Lease::release`] closes it.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pool: Arc<Pool>,
    place: Place,
}

impl Lease {
    /// Give the connection back, in its first state or not at all.
    pub(super) async fn release(self) {
        let Self { mut connection, pool, place } = self;
        let keep = (connection.is_clean() || connection.reset().await)
            && connection.opened.elapsed() < limits::CONNECTION_LIFETIME
            && !pool.places.is_closed();
        let mut idle = pool.idle();
        idle.came_back(&connection);
        if keep {
            idle.keep(connection);
        }
        idle.drop_old();
        drop(idle);
        drop(place);
    }
}
