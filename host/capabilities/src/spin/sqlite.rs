//! `spin:sqlite` and `fermyon:spin/sqlite` on the granted databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use wasmtime::component::{
    Accessor, ComponentNamedList, FutureReader, Lift, Linker, LinkerInstance, Lower, Resource,
    ResourceType, StreamReader,
};
use wasmtime::{AsContextMut as _, StoreContextMut};

use super::bindings::sqlite2;
use super::bindings::sqlite3::{Error, QueryResult, RowResult, Value};
use super::call::{Call, Refused};
use crate::instance::HasInstance;
use crate::sqlite::Sqlite;
use crate::sqlite::backend::{self, Output};

/// What a guest has opened.
pub struct Connection(Arc<Opened>);

struct Opened {
    connection: Arc<dyn backend::Connection>,
    last_insert_rowid: AtomicI64,
    changes: AtomicU64,
}

/// What `execute-async` gives.
type StreamedRows = (Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>);

pub(super) fn link_3<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("spin:sqlite/sqlite@3.1.0")?;
    connection::<T, Error, Value, QueryResult>(&mut instance)?;
    instance.func_wrap_concurrent(
        "[static]connection.open-async",
        |accessor, (database,): (String,)| {
            Box::pin(async move {
                let opened =
                    accessor.with(|mut access| open(&mut access.as_context_mut(), &database));
                Ok((opened?,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.execute-async",
        |accessor, (this, statement, parameters)| {
            Box::pin(async move { Ok((streamed(accessor, this, statement, parameters).await?,)) })
        },
    )?;
    instance.func_wrap(
        "[method]connection.last-insert-rowid",
        |mut store, (this,): (Resource<Connection>,)| {
            Ok((opened(&mut store, &this)?.last_insert_rowid.load(Ordering::Relaxed),))
        },
    )?;
    instance.func_wrap(
        "[method]connection.changes",
        |mut store, (this,): (Resource<Connection>,)| {
            Ok((opened(&mut store, &this)?.changes.load(Ordering::Relaxed),))
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.last-insert-rowid-async",
        |accessor, (this,): (Resource<Connection>,)| {
            Box::pin(async move {
                let opened =
                    accessor.with(|mut access| opened(&mut access.as_context_mut(), &this));
                Ok((opened?.last_insert_rowid.load(Ordering::Relaxed),))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.changes-async",
        |accessor, (this,): (Resource<Connection>,)| {
            Box::pin(async move {
                let opened =
                    accessor.with(|mut access| opened(&mut access.as_context_mut(), &this));
                Ok((opened?.changes.load(Ordering::Relaxed),))
            })
        },
    )
}

pub(super) fn link_2<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("fermyon:spin/sqlite@2.0.0")?;
    connection::<T, sqlite2::Error, sqlite2::Value, sqlite2::QueryResult>(&mut instance)
}

/// What both versions have, with the types of one of them.
fn connection<T, E, V, R>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()>
where
    T: HasInstance,
    E: From<Error> + Send + Sync + 'static,
    V: Into<Value> + Send + Sync + 'static,
    R: From<QueryResult> + Send + Sync + 'static,
    (Resource<Connection>, String, Vec<V>): ComponentNamedList + Lift,
    (Result<Resource<Connection>, E>,): ComponentNamedList + Lower,
    (Result<R, E>,): ComponentNamedList + Lower,
{
    instance.resource("connection", ResourceType::host::<Connection>(), |mut store, rep| {
        let table = store.data_mut().instance().table;
        // A transaction that is open in it is rolled back with it.
        table.delete(Resource::<Connection>::new_own(rep)).map(drop)?;
        Ok(())
    })?;
    instance.func_wrap("[static]connection.open", |mut store, (database,): (String,)| {
        Ok((open(&mut store, &database)?.map_err(E::from),))
    })?;
    instance.func_wrap_async(
        "[method]connection.execute",
        |mut store, (this, statement, parameters): (Resource<Connection>, String, Vec<V>)| {
            let call = Call::of_store(&mut store).alone();
            let opened = opened(&mut store, &this);
            Box::new(async move {
                let parameters = parameters.into_iter().map(V::into).collect();
                let output = execute(call, opened?, statement, parameters).await;
                Ok((output.map(|output| R::from(output.into())).map_err(E::from),))
            })
        },
    )
}

/// A granted database by its name.
fn open<T: HasInstance>(
    store: &mut StoreContextMut<'_, T>,
    name: &str,
) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
    let instance = store.data_mut().instance();
    let Some(databases) = instance.granted.of::<Sqlite>() else {
        return Ok(Err(Error::AccessDenied));
    };
    let Some(database) = databases.find(name) else {
        return Ok(Err(Error::NoSuchDatabase));
    };
    let (last_insert_rowid, changes) = Default::default();
    let opened = Opened { connection: database.open(), last_insert_rowid, changes };
    Ok(Ok(instance.table.push(Connection(Arc::new(opened)))?))
}

fn opened<T: HasInstance>(
    store: &mut StoreContextMut<'_, T>,
    this: &Resource<Connection>,
) -> wasmtime::Result<Arc<Opened>> {
    Ok(store.data_mut().instance().table.get(this)?.0.clone())
}

async fn execute(
    call: Call,
    opened: Arc<Opened>,
    statement: String,
    parameters: Vec<Value>,
) -> Result<Output, Error> {
    let parameters: Vec<_> = parameters.into_iter().map(backend::Value::from).collect();
    let bytes = parameters.iter().map(backend::Value::size).sum::<usize>();
    let given = bytes.saturating_add(statement.len());
    call.run(given, true, |request| async {
        let output = opened.connection.execute(statement, parameters, request).await?;
        opened.last_insert_rowid.store(output.last_insert_rowid, Ordering::Relaxed);
        opened.changes.store(output.changes, Ordering::Relaxed);
        Ok(output)
    })
    .await
}

async fn streamed<T: HasInstance>(
    accessor: &Accessor<T>,
    this: Resource<Connection>,
    statement: String,
    parameters: Vec<Value>,
) -> wasmtime::Result<Result<StreamedRows, Error>> {
    let (call, opened) = accessor.with(|mut access| {
        let mut store = access.as_context_mut();
        let call = Call::of_store(&mut store);
        wasmtime::error::Ok((call, opened(&mut store, &this)?))
    })?;
    let output = match execute(call, opened, statement, parameters).await {
        Ok(output) => output,
        Err(error) => return Ok(Err(error)),
    };
    let QueryResult { columns, rows } = output.into();
    accessor.with(|mut access| {
        let rows = StreamReader::new(&mut access, rows)?;
        let done = async { Ok::<_, wasmtime::Error>(Ok(())) };
        let done = FutureReader::new(&mut access, done)?;
        Ok(Ok((columns, rows, done)))
    })
}

impl From<Value> for backend::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(value) => Self::Integer(value),
            Value::Real(value) => Self::Real(value),
            Value::Text(value) => Self::Text(value),
            Value::Blob(blob) => Self::Blob { blob },
        }
    }
}

impl From<backend::Value> for Value {
    fn from(value: backend::Value) -> Self {
        match value {
            backend::Value::Null => Self::Null,
            backend::Value::Integer(value) => Self::Integer(value),
            backend::Value::Real(value) => Self::Real(value),
            backend::Value::Text(value) => Self::Text(value),
            backend::Value::Blob { blob } => Self::Blob(blob),
        }
    }
}

impl From<Output> for QueryResult {
    fn from(Output { columns, rows, .. }: Output) -> Self {
        let row = |row: Vec<backend::Value>| RowResult {
            values: row.into_iter().map(Value::from).collect(),
        };
        Self { columns, rows: rows.into_iter().map(row).collect() }
    }
}

impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Self {
        match error {
            backend::Error::Full => Self::DatabaseFull,
            other => Self::Io(other.to_string()),
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Io(refused.to_string())
    }
}

impl From<sqlite2::Value> for Value {
    fn from(value: sqlite2::Value) -> Self {
        match value {
            sqlite2::Value::Null => Self::Null,
            sqlite2::Value::Integer(value) => Self::Integer(value),
            sqlite2::Value::Real(value) => Self::Real(value),
            sqlite2::Value::Text(value) => Self::Text(value),
            sqlite2::Value::Blob(blob) => Self::Blob(blob),
        }
    }
}

impl From<QueryResult> for sqlite2::QueryResult {
    fn from(QueryResult { columns, rows }: QueryResult) -> Self {
        let value = |value| match value {
            Value::Null => sqlite2::Value::Null,
            Value::Integer(value) => sqlite2::Value::Integer(value),
            Value::Real(value) => sqlite2::Value::Real(value),
            Value::Text(value) => sqlite2::Value::Text(value),
            Value::Blob(blob) => sqlite2::Value::Blob(blob),
        };
        let row = |RowResult { values }: RowResult| sqlite2::RowResult {
            values: values.into_iter().map(value).collect(),
        };
        Self { columns, rows: rows.into_iter().map(row).collect() }
    }
}

impl From<Error> for sqlite2::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchDatabase => Self::NoSuchDatabase,
            Error::AccessDenied => Self::AccessDenied,
            Error::InvalidConnection => Self::InvalidConnection,
            Error::DatabaseFull => Self::DatabaseFull,
            Error::Io(why) => Self::Io(why),
        }
    }
}
