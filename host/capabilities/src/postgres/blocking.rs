//! The same for guests that cannot import an `async func`: each call holds the instance until it is done.

#![expect(unreachable_pub, reason = "the generated bindings re-export the resources")]

use std::sync::Arc;

use wasmtime::component::{Access, Accessor, Resource};

use super::Postgres;
use super::backend::{Column, Error, Reply, RowBatch, Rows, Transaction, Value};
use super::bindings::blocking::{
    Host, HostCursor, HostCursorWithStore, HostTransaction, HostTransactionWithStore, HostWithStore,
};
use super::host::{Call, database, given};
use crate::context::{RequestContext, calling_request};
use crate::instance::InstanceView;
use crate::reader::Reader;
use crate::stream::Parcel;

type Reading = Reader<Parcel<RowBatch>, u64, Error>;

/// The rows of a statement that a guest reads. Dropping it cancels the statement.
pub struct Cursor(Reading);

impl Drop for Cursor {
    fn drop(&mut self) {
        // Its transaction knows it, too.
        self.0.give_up();
    }
}

/// A guest's open transaction. Rolled back when it is dropped.
pub struct OpenTransaction {
    transaction: Arc<dyn Transaction>,
    /// What its last query gave.
    last: Option<Reading>,
}

impl Host for InstanceView<'_> {}
impl HostCursor for InstanceView<'_> {}
impl HostTransaction for InstanceView<'_> {}

/// What the interface calls a query's result.
type QueryResult = (Vec<Column>, Resource<Cursor>);

impl<T: Send + 'static> HostWithStore<T> for Postgres {
    async fn query(
        mut store: Access<'_, T, Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let (database, call) = match database(&mut store) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        let given = given(&statement, &parameters);
        let rows = call.run(given, |request| database.query(statement, parameters, request)).await;
        Ok(match rows {
            Ok(rows) => Ok(answer(&mut store, rows)?.0),
            Err(error) => Err(error),
        })
    }

    async fn execute(
        mut store: Access<'_, T, Self>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        Ok(match database(&mut store) {
            Ok((database, call)) => {
                let given = given(&statement, &parameters);
                call.run(given, |request| database.execute(statement, parameters, request)).await
            }
            Err(error) => Err(error),
        })
    }

    async fn begin(
        mut store: Access<'_, T, Self>,
    ) -> wasmtime::Result<Result<Resource<OpenTransaction>, Error>> {
        let begun = match database(&mut store) {
            Ok((database, call)) => call.run(Ok(0), |request| database.begin(request)).await,
            Err(error) => Err(error),
        };
        Ok(match begun {
            Ok(transaction) => {
                let open = OpenTransaction { transaction, last: None };
                Ok(store.get().table.push(open)?)
            }
            Err(error) => Err(error),
        })
    }
}

impl<T: Send + 'static> HostCursorWithStore<T> for Postgres {
    async fn next(
        mut store: Access<'_, T, Self>,
        this: Resource<Cursor>,
    ) -> wasmtime::Result<Result<Option<RowBatch>, Error>> {
        let request = caller(&mut store);
        let rows = store.get().table.get(&this)?.0.clone();
        let next = rows.next(request.cancel()).await;
        Ok(next.map(|batch| batch.map(Parcel::open)))
    }

    async fn drop(accessor: &Accessor<T, Self>, this: Resource<Cursor>) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

impl<T: Send + 'static> HostTransactionWithStore<T> for Postgres {
    async fn query(
        mut store: Access<'_, T, Self>,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let given = given(&statement, &parameters);
        let rows = run(&mut store, &this, given, |transaction, request| {
            transaction.query(statement, parameters, request)
        });
        let rows = match rows.await? {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(error)),
        };
        let (answer, reading) = answer(&mut store, rows)?;
        store.get().table.get_mut(&this)?.last = Some(reading);
        Ok(Ok(answer))
    }

    async fn execute(
        mut store: Access<'_, T, Self>,
        this: Resource<OpenTransaction>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let given = given(&statement, &parameters);
        let executed = run(&mut store, &this, given, |transaction, request| {
            transaction.execute(statement, parameters, request)
        });
        executed.await
    }

    async fn commit(
        mut store: Access<'_, T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        run(&mut store, &this, Ok(0), |transaction, request| transaction.commit(request)).await
    }

    async fn rollback(
        mut store: Access<'_, T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<Result<(), Error>> {
        if let Some(last) = &store.get().table.get(&this)?.last {
            last.give_up();
        }
        run(&mut store, &this, Ok(0), |transaction, request| transaction.rollback(request)).await
    }

    async fn drop(
        accessor: &Accessor<T, Self>,
        this: Resource<OpenTransaction>,
    ) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

fn caller<T: Send + 'static>(store: &mut Access<'_, T, Postgres>) -> RequestContext {
    let request = calling_request(store, |store| store.get().requests);
    request.unwrap_or_else(RequestContext::of_no_request)
}

/// The transaction's next statement. It would wait for rows that the guest, which waits for it, cannot read.
async fn run<T: Send + 'static, R: Send>(
    store: &mut Access<'_, T, Postgres>,
    this: &Resource<OpenTransaction>,
    given: Result<usize, Error>,
    begin: impl for<'t> FnOnce(&'t dyn Transaction, RequestContext) -> Reply<'t, R> + Send,
) -> wasmtime::Result<Result<R, Error>> {
    let call = Call::of(store, false);
    let OpenTransaction { transaction, last } = store.get().table.get(this)?;
    let (transaction, last) = (transaction.clone(), last.clone());
    let transaction = &*transaction;
    let ran = call.run(given, |request| {
        Box::pin(async move {
            if let Some(last) = last {
                match last.has_more(request.cancel()).await {
                    Some(false) => {}
                    Some(true) => return Err(Error::Busy(UNREAD.to_string())),
                    None => return Err(Error::Cancelled),
                }
            }
            begin(transaction, request).await
        })
    });
    Ok(ran.await)
}

const UNREAD: &str =
    "rows of this transaction's last query are unread: read its cursor to the end, or drop it";

fn answer<T: Send + 'static>(
    store: &mut Access<'_, T, Postgres>,
    rows: Rows,
) -> wasmtime::Result<(QueryResult, Reading)> {
    let Rows { columns, batches, done } = rows;
    // A backend that went away without an outcome did not finish the statement.
    let reading = Reader::new(batches, done, Error::Cancelled, Error::Cancelled);
    let cursor = store.get().table.push(Cursor(reading.clone()))?;
    Ok(((columns, cursor), reading))
}
