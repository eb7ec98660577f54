//! The capability as guests call it: finds the request behind each call, and turns channels into
//! streams of the component model.
//!
//! It knows a database only as a trait.

use std::convert::identity;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use wasmtime::component::{
    Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader,
};

use super::backend::{Column, Database, Error, RowBatch, Rows, Transaction, Value};
use crate::capability::bindings::wasm_host::postgres::{client, types};
use crate::capability::context::{Requests, calling_token};
use crate::capability::stream::Items;

/// Stands for this capability where wasmtime wants a type.
pub struct Postgres;

/// What the capability needs of an instance's state.
pub struct PostgresView<'a> {
    /// The granted database.
    pub database: Option<&'a Arc<dyn Database>>,
    pub requests: &'a Requests,
    pub table: &'a mut ResourceTable,
}

/// A guest's open transaction. Rolled back when it is dropped.
pub struct OpenTransaction(Arc<dyn Transaction>);

impl HasData for Postgres {
    type Data<'a> = PostgresView<'a>;
}

/// Link the capability.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> PostgresView<'_>,
) -> wasmtime::Result<()> {
    types::add_to_linker::<T, Postgres>(linker, view)?;
    client::add_to_linker::<T, Postgres>(linker, view)
}

/// What the interface calls a query's result.
type Answer = (Vec<Column>, StreamReader<RowBatch>, FutureReader<Result<u64, Error>>);

impl types::Host for PostgresView<'_> {}
impl client::Host for PostgresView<'_> {}
impl client::HostTransaction for PostgresView<'_> {}

impl<T: Send + 'static> client::HostWithStore<T> for Postgres {
    async fn query(
        accessor: &Accessor<T, Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<Answer, Error>> {
        let (database, request) = match database(accessor) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let rows = database.query(statement, parameters, request).await;
        answer(accessor, rows)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(match database(accessor) {
            Ok((database, request)) => database.execute(statement, parameters, request).await,
            Err(error) => Err(error),
        })
    }

    async fn begin(
        accessor: &Accessor<T, Self>,
    ) -> wasmtime::Result<Result<Resource<OpenTransaction>, Error>> {
        let begun = match database(accessor) {
            Ok((database, request)) => database.begin(request).await,
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
    ) -> wasmtime::Result<Result<Answer, Error>> {
        let (transaction, request) = transaction(accessor, &this)?;
        let rows = transaction.query(statement, parameters, request).await;
        answer(accessor, rows)
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let (transaction, request) = transaction(accessor, &this)?;
        Ok(transaction.execute(statement, parameters, request).await)
    }

    async fn commit(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (transaction, request) = transaction(accessor, &this)?;
        Ok(transaction.commit(request).await)
    }

    async fn rollback(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let (transaction, request) = transaction(accessor, &this)?;
        Ok(transaction.rollback(request).await)
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

fn database<T: Send + 'static>(
    accessor: &Accessor<T, Postgres>,
) -> Result<(Arc<dyn Database>, CancellationToken), Error> {
    accessor.with(|mut access| {
        let request = calling_token(&mut access, |access| access.get().requests);
        match access.get().database {
            Some(database) => Ok((database.clone(), request)),
            None => Err(Error::Unavailable("no database is granted to this component".to_string())),
        }
    })
}

fn transaction<T: Send + 'static>(
    accessor: &Accessor<T, Postgres>,
    this: &Resource<OpenTransaction>,
) -> wasmtime::Result<(Arc<dyn Transaction>, CancellationToken)> {
    accessor.with(|mut access| {
        let request = calling_token(&mut access, |access| access.get().requests);
        Ok((access.get().table.get(this)?.0.clone(), request))
    })
}

fn answer<T: Send + 'static>(
    accessor: &Accessor<T, Postgres>,
    rows: Result<Rows, Error>,
) -> wasmtime::Result<Result<Answer, Error>> {
    let Rows { columns, batches, done } = match rows {
        Ok(rows) => rows,
        Err(error) => return Ok(Err(error)),
    };
    // A backend that went away without a word did not finish the statement.
    let done = async move { Ok::<_, wasmtime::Error>(done.await.unwrap_or(Err(Error::Cancelled))) };
    accessor.with(|mut access| {
        let rows = StreamReader::new(&mut access, Items::new(batches, identity))?;
        let done = FutureReader::new(&mut access, done)?;
        Ok(Ok((columns, rows, done)))
    })
}
