//! A database whose server may not be there yet: until it is, every call says so at once.
//!
//! It exists because a server that does not start must cost only the services that ask it. It knows neither why
//! a server is not there nor what tries again.

use std::future::ready;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::backend::{Database, Error, Known, Reply, Rows, Transaction, Value};
use super::{PgDatabase, Postgres};
use crate::backend::{Backend, Closed, Condition, Looked, Pool, asked, what_calls_do};
use crate::breaker;
use crate::context::RequestContext;
use crate::granted::Granted;

/// A database, there or not. Cheap to clone.
#[derive(Clone)]
pub struct Awaited(Arc<Inner>);

struct Inner {
    database: OnceLock<PgDatabase>,
    /// What guests may call it.
    known: OnceLock<Known>,
    /// Why it is not there, in words for people.
    reason: Mutex<String>,
    /// The services that use it, each of which it has to know from the beginning, to keep a connection for it.
    services: Mutex<Vec<String>>,
}

impl Awaited {
    /// One that is missing, and why.
    pub fn missing(reason: &str) -> Self {
        Self(Arc::new(Inner {
            database: OnceLock::new(),
            known: OnceLock::new(),
            reason: Mutex::new(reason.to_string()),
            services: Mutex::default(),
        }))
    }

    /// The same, as guests may call it.
    pub fn known_as(self, known: Known) -> Self {
        let _ = self.0.known.set(known);
        self
    }

    pub fn arrive(&self, database: PgDatabase) {
        let services = self.0.services.lock();
        // A second one would be the same.
        let database = self.0.database.get_or_init(|| database);
        for service in services.iter() {
            database.for_service(service);
        }
    }

    /// Why it is still missing.
    pub fn is_missing_because(&self, reason: String) {
        *self.0.reason.lock() = reason;
    }

    pub fn get(&self) -> Option<&PgDatabase> {
        self.0.database.get()
    }

    /// Why it is missing, if it is.
    pub fn why_missing(&self) -> Option<String> {
        self.get().is_none().then(|| self.0.reason.lock().clone())
    }

    /// The same for a service, which uses no connection that another one has used.
    pub fn of_service(&self, name: &str) -> OfService {
        self.0.services.lock().push(name.to_string());
        let service =
            OfService { awaited: self.clone(), name: name.to_string(), database: OnceLock::new() };
        // So that it is known, where the database is there already.
        let _ = service.there();
        service
    }
}

impl Backend for Awaited {
    fn grant(&self, service: &str, granted: Granted) -> Granted {
        granted.with::<Postgres>(Arc::new(self.of_service(service)))
    }

    fn condition<'a>(&'a self, name: &'a str) -> Looked<'a> {
        Box::pin(async move {
            let Some(database) = self.get() else {
                // It may have come up meanwhile.
                return self.why_missing().map_or(Condition::Up, |why| {
                    let what = format!("the database {name} is missing: {why}; it is tried again");
                    Condition::Down(what)
                });
            };
            match asked(database.check()).await {
                Some(Ok(())) => database.why_full().map_or(Condition::Up, |why| {
                    Condition::Down(format!("the database {name} is full: {why}"))
                }),
                answer => {
                    tracing::debug!(database = name, "{answer:?}");
                    let calls = what_calls_do(database.is_open());
                    Condition::Down(format!("the database {name} does not answer{calls}"))
                }
            }
        })
    }

    fn calls(&self) -> usize {
        self.get().map_or(0, PgDatabase::in_use)
    }

    fn pool(&self) -> Option<Pool> {
        self.get().map(PgDatabase::pool)
    }

    fn breaker(&self) -> Option<breaker::Reading> {
        self.get().map(PgDatabase::breaker)
    }

    fn lacking(&self) -> Option<&'static str> {
        self.get().is_none().then_some("no database")
    }

    fn close(&self) -> Closed<'_> {
        if let Some(database) = self.get() {
            database.close();
        }
        Box::pin(std::future::ready(()))
    }
}

impl From<PgDatabase> for Awaited {
    fn from(database: PgDatabase) -> Self {
        let awaited = Self::missing("");
        awaited.arrive(database);
        awaited
    }
}

/// A database, there or not, as one service uses it.
pub struct OfService {
    awaited: Awaited,
    name: String,
    /// Once it is there.
    database: OnceLock<PgDatabase>,
}

impl OfService {
    fn there(&self) -> Result<&PgDatabase, Error> {
        if let Some(database) = self.database.get() {
            return Ok(database);
        }
        let Some(database) = self.awaited.get() else {
            let why = "the database's server did not start, and is tried again";
            return Err(Error::Unavailable(why.to_string()));
        };
        Ok(self.database.get_or_init(|| database.for_service(&self.name)))
    }
}

impl Database for OfService {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        match self.there() {
            Ok(database) => database.query(statement, parameters, request),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        match self.there() {
            Ok(database) => database.execute(statement, parameters, request),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn begin(&self, request: RequestContext) -> Reply<'_, Arc<dyn Transaction>> {
        match self.there() {
            Ok(database) => database.begin(request),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn known(&self) -> Option<&Known> {
        self.awaited.0.known.get()
    }
}
