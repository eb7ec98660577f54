//! The capability as guests call it: finds the request behind each call, and turns channels into
//! streams of the component model.
//!
//! It knows a database only as a trait.

use std::sync::Arc;

use toml::de::DeTable;
use wasmtime::component::{
    Access, Accessor, FutureReader, HasData, Linker, Resource, StreamReader,
};

use super::backend::{Column, Database, Error, Known, Reply, RowBatch, Rows, Transaction, Value};
use super::bindings::{blocking, client, types};
use super::notices::{Caller, on_behalf_of};
use super::{Awaited, PgDatabase, PostgresConfig, parameters, seen};
use crate::Capability;
use crate::backend::{Backend, Host};
use crate::budget::{Holdings, on_account_of};
use crate::context::{RequestContext, calling_request};
use crate::figures::Figure;
use crate::instance::{HasInstance, InstanceView};
use crate::stream::{Items, Parcel};
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::resource::Declared;

/// A database of a PostgreSQL server.
pub struct Postgres;

impl Capability for Postgres {
    const KEY: &'static str = "postgres";
    const PACKAGE: &'static str = "wasm-host:postgres";
    const INTERFACES: &'static [(&'static str, &'static [&'static str])] =
        &[("0.1", &["types", "client", "blocking"])];
    const INSTEAD_OF: &'static [(&'static str, &'static str)] = &[
        (
            "wasi:blobstore/",
            "keep it in a database: import wasm-host:postgres and grant `postgres`",
        ),
        ("wasi:sql/", "import wasm-host:postgres and grant `postgres`"),
    ];
    const BLOCKING: &'static [&'static str] = &["blocking"];
    type Settings = PostgresConfig;
    type Grant = Arc<dyn Database>;

    fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<PostgresConfig> {
        Declared { resource: PostgresConfig::read(cx, name, at, table), stand_in: None }
    }

    fn connect(
        settings: &PostgresConfig,
        name: &str,
        _host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>> {
        let database = match settings.address(name)? {
            Some(address) => PgDatabase::new(address, settings.pool.clone()).into(),
            None => Awaited::missing("its server has not been started"),
        };
        Ok(Box::new(database.known_as(Known::new(name, settings.url.as_ref()))))
    }

    fn link<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
        types::add_to_linker::<T, Self>(linker, T::instance)?;
        client::add_to_linker::<T, Self>(linker, T::instance)?;
        blocking::add_to_linker::<T, Self>(linker, T::instance)
    }

    fn figures(_name: &str) -> Vec<Figure> {
        seen::figures()
    }

    fn url_of(server: &str) -> Option<String> {
        Some(format!("postgresql://user:unknown@{server}/unknown"))
    }
}

/// A guest's open transaction. Rolled back when it is dropped.
pub struct OpenTransaction(Arc<dyn Transaction>);

impl HasData for Postgres {
    type Data<'a> = InstanceView<'a>;
}

/// What the interface calls a query's result.
type QueryResult = (Vec<Column>, StreamReader<RowBatch>, FutureReader<Result<u64, Error>>);

impl types::Host for InstanceView<'_> {}
impl client::Host for InstanceView<'_> {}
impl client::HostTransaction for InstanceView<'_> {}

impl<T: Send + 'static> client::HostWithStore<T> for Postgres {
    async fn query(
        accessor: &Accessor<T, Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let (database, call) = match accessor.with(|mut access| database(&mut access)) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let given = given(&statement, &parameters);
        let rows = call.run(given, |request| database.query(statement, parameters, request)).await;
        answer(accessor, rows)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(match accessor.with(|mut access| database(&mut access)) {
            Ok((database, call)) => {
                let given = given(&statement, &parameters);
                call.run(given, |request| database.execute(statement, parameters, request)).await
            }
            Err(error) => Err(error),
        })
    }

    async fn begin(
        accessor: &Accessor<T, Self>,
    ) -> wasmtime::Result<Result<Resource<OpenTransaction>, Error>> {
        let begun = match accessor.with(|mut access| database(&mut access)) {
            Ok((database, call)) => call.run(Ok(0), |request| database.begin(request)).await,
            Err(error) => Err(error),
        };
        match begun {
            Ok(transaction) => accessor.with(|mut access| {
                Ok(Ok(access.get().table.push(OpenTransaction(transaction))?))
            }),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl<T: Send + 'static> client::HostTransactionWithStore<T> for Postgres {
    async fn query(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let (transaction, call) = transaction(accessor, &this)?;
        let given = given(&statement, &parameters);
        let rows =
            call.run(given, |request| transaction.query(statement, parameters, request)).await;
        answer(accessor, rows)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let (transaction, call) = transaction(accessor, &this)?;
        let given = given(&statement, &parameters);
        Ok(call.run(given, |request| transaction.execute(statement, parameters, request)).await)
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (transaction, call) = transaction(accessor, &this)?;
        Ok(call.run(Ok(0), |request| transaction.commit(request)).await)
    }

    async fn rollback(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (transaction, call) = transaction(accessor, &this)?;
        Ok(call.run(Ok(0), |request| transaction.rollback(request)).await)
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

/// A call of a guest, and the request that it serves.
pub(super) struct Call {
    caller: Caller,
    holdings: Holdings,
    /// It may have to wait for others of its instance. One of a transaction may not: those could be waiting for the
    /// connection that the transaction has.
    waits: bool,
}

impl Call {
    pub(super) fn of<T: Send + 'static>(access: &mut Access<'_, T, Postgres>, waits: bool) -> Self {
        let request = calling_request(access, |access| access.get().requests);
        let InstanceView { journal, holdings, .. } = access.get();
        let (journal, holdings) = (journal.clone(), holdings.clone());
        Self { caller: Caller { journal, request }, holdings, waits }
    }

    /// `begin` is given the request that the call is made for; the call's arguments have `arguments` bytes. What the
    /// server says meanwhile goes to that request.
    pub(super) async fn run<'a, T>(
        self,
        arguments: Result<usize, Error>,
        begin: impl FnOnce(RequestContext) -> Reply<'a, T>,
    ) -> Result<T, Error> {
        let Self { caller, holdings, waits } = self;
        let held = holdings
            .hold_call(arguments?)
            .map_err(|exhausted| Error::Busy(exhausted.to_string()))?;
        let request = caller.request.clone();
        let request = request.unwrap_or_else(RequestContext::of_no_request);
        let _place = match waits {
            true => Some(holdings.place(request.cancel()).await.ok_or(Error::Cancelled)?),
            false => None,
        };
        on_account_of(held, on_behalf_of(Some(caller), async { begin(request).await })).await
    }
}

/// Bytes of what a guest has handed over. More than can be sent is not held until there is a connection.
pub(super) fn given(statement: &str, parameters: &[Value]) -> Result<usize, Error> {
    Ok(statement.len().saturating_add(parameters::held_bytes(parameters)?))
}

pub(super) fn database<T: Send + 'static>(
    access: &mut Access<'_, T, Postgres>,
) -> Result<(Arc<dyn Database>, Call), Error> {
    let call = Call::of(access, true);
    match access.get().granted.of::<Postgres>() {
        Some(database) => Ok((database.clone(), call)),
        None => Err(Error::Unavailable("no database is granted to this component".to_string())),
    }
}

fn transaction<T: Send + 'static>(
    accessor: &Accessor<T, Postgres>,
    this: &Resource<OpenTransaction>,
) -> wasmtime::Result<(Arc<dyn Transaction>, Call)> {
    accessor.with(|mut access| {
        let call = Call::of(&mut access, false);
        Ok((access.get().table.get(this)?.0.clone(), call))
    })
}

fn answer<T: Send + 'static>(
    accessor: &Accessor<T, Postgres>,
    rows: Result<Rows, Error>,
) -> wasmtime::Result<Result<QueryResult, Error>> {
    let Rows { columns, batches, done } = match rows {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error)),
    };
    // A backend that went away without an outcome did not finish the statement.
    let done = async move { Ok::<_, wasmtime::Error>(done.await.unwrap_or(Err(Error::Cancelled))) };
    accessor.with(|mut access| {
        let rows = StreamReader::new(&mut access, Items::new(batches, Parcel::open))?;
        let done = FutureReader::new(&mut access, done)?;
        Ok(Ok((columns, rows, done)))
    })
}
