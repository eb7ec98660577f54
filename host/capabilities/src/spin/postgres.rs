//! `spin:postgres` in all its versions, and `fermyon:spin/postgres`, on the granted database.
//!
//! Everything is done with the values of the newest version; those of older ones are made of them. An address that a
//! guest hands over is compared with the granted database, and never used.

#![expect(
    clippy::result_large_err,
    reason = "the interface's error is what it is; boxing it would only be undone at the seam"
)]

mod convert;
mod older;
mod rows;
mod session;
mod streamed;

use std::sync::Arc;

use wasmtime::component::{
    Accessor, ComponentNamedList, FutureReader, Lift, Linker, LinkerInstance, Lower, Resource,
    ResourceType, StreamReader,
};
use wasmtime::{AsContextMut as _, StoreContextMut};

use super::bindings::postgres4::{Column, DbValue, Error, ParameterValue, RowSet};
use super::bindings::{postgres3, rdbms_types};
use super::call::{Call, Refused};
use crate::instance::HasInstance;
use crate::postgres::Postgres;
use crate::postgres::backend::{Known, Value};
use crate::stream::Parcel;
use rows::{RowStream, all};
use session::Session;

/// What a guest has opened.
pub struct Connection(Arc<Session>);

/// What a guest is about to open.
pub struct Builder {
    address: String,
}

type Row = Vec<DbValue>;

/// What `query-async` gives.
type StreamedRows = (Vec<Column>, StreamReader<Row>, FutureReader<Result<(), Error>>);

pub(super) fn link_4<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("spin:postgres/postgres@4.2.0")?;
    let builder = ResourceType::host::<Builder>();
    instance.resource("connection-builder", builder, |mut store, rep| {
        let table = store.data_mut().instance().table;
        table.delete(Resource::<Builder>::new_own(rep)).map(drop)?;
        Ok(())
    })?;
    instance.func_wrap("[constructor]connection-builder", |mut store, (address,): (String,)| {
        let table = store.data_mut().instance().table;
        Ok((table.push(Builder { address })?,))
    })?;
    instance.func_wrap(
        "[method]connection-builder.set-ca-root",
        |_, (_, _): (Resource<Builder>, String)| {
            let why = "whom a server's certificate may come from says `ca` of its table in the application file";
            Ok((Err::<(), _>(Error::Other(why.to_owned())),))
        },
    )?;
    instance.func_wrap(
        "[method]connection-builder.build",
        |mut store, (builder,): (Resource<Builder>,)| {
            let address = store.data_mut().instance().table.get(&builder)?.address.clone();
            Ok((open(&mut store, &address)?,))
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection-builder.build-async",
        |accessor, (builder,): (Resource<Builder>,)| {
            Box::pin(async move {
                let opened = accessor.with(|mut access| {
                    let mut store = access.as_context_mut();
                    let address = store.data_mut().instance().table.get(&builder)?.address.clone();
                    open(&mut store, &address)
                });
                Ok((opened?,))
            })
        },
    )?;
    connection::<T, Error, ParameterValue, RowSet>(&mut instance)?;
    instance.func_wrap_concurrent(
        "[static]connection.open-async",
        |accessor, (address,): (String,)| {
            Box::pin(async move {
                let opened =
                    accessor.with(|mut access| open(&mut access.as_context_mut(), &address));
                Ok((opened?,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.query-async",
        |accessor, (this, statement, params)| {
            Box::pin(async move { Ok((streamed(accessor, this, statement, params).await?,)) })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]connection.execute-async",
        |accessor, (this, statement, params): (Resource<Connection>, String, _)| {
            Box::pin(async move {
                let begun = accessor.with(|mut access| begin(&mut access.as_context_mut(), &this));
                let (call, session) = begun?;
                Ok((execute(call, session, statement, params).await,))
            })
        },
    )
}

pub(super) fn link_3<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("spin:postgres/postgres@3.0.0")?;
    connection::<T, postgres3::Error, postgres3::ParameterValue, postgres3::RowSet>(&mut instance)
}

pub(super) fn link_2<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("fermyon:spin/postgres@2.0.0")?;
    connection::<T, rdbms_types::Error, rdbms_types::ParameterValue, rdbms_types::RowSet>(
        &mut instance,
    )
}

/// What all versions have, with the types of one of them.
fn connection<T, E, P, R>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()>
where
    T: HasInstance,
    E: From<Error> + Send + Sync + 'static,
    P: Into<ParameterValue> + Send + Sync + 'static,
    R: From<RowSet> + Send + Sync + 'static,
    (Resource<Connection>, String, Vec<P>): ComponentNamedList + Lift,
    (Result<Resource<Connection>, E>,): ComponentNamedList + Lower,
    (Result<R, E>,): ComponentNamedList + Lower,
    (Result<u64, E>,): ComponentNamedList + Lower,
{
    instance.resource("connection", ResourceType::host::<Connection>(), |mut store, rep| {
        let table = store.data_mut().instance().table;
        // A transaction that is open in it is rolled back with it.
        table.delete(Resource::<Connection>::new_own(rep)).map(drop)?;
        Ok(())
    })?;
    instance.func_wrap("[static]connection.open", |mut store, (address,): (String,)| {
        Ok((open(&mut store, &address)?.map_err(E::from),))
    })?;
    instance.func_wrap_async(
        "[method]connection.query",
        |mut store, (this, statement, params): (Resource<Connection>, String, Vec<P>)| {
            let begun = begin(&mut store, &this);
            Box::new(async move {
                let (call, session) = begun?;
                let params = params.into_iter().map(P::into).collect();
                let rows = query(call.alone(), session, statement, params).await;
                Ok((rows.map(R::from).map_err(E::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.execute",
        |mut store, (this, statement, params): (Resource<Connection>, String, Vec<P>)| {
            let begun = begin(&mut store, &this);
            Box::new(async move {
                let (call, session) = begun?;
                let params = params.into_iter().map(P::into).collect();
                Ok((execute(call.alone(), session, statement, params).await.map_err(E::from),))
            })
        },
    )
}

/// The granted database, if that is what the address means.
fn open<T: HasInstance>(
    store: &mut StoreContextMut<'_, T>,
    address: &str,
) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
    let instance = store.data_mut().instance();
    let Some(database) = instance.granted.of::<Postgres>() else {
        return Ok(Err(Error::ConnectionFailed(NOT_GRANTED.to_owned())));
    };
    if let Some(known) = database.known().filter(|known| !known.is_meant_by(address)) {
        return Ok(Err(Error::ConnectionFailed(not_this_one(known))));
    }
    let session = Session::new(database.clone());
    Ok(Ok(instance.table.push(Connection(Arc::new(session)))?))
}

const NOT_GRANTED: &str =
    "access denied: no database is granted to this service (`postgres` in the application file)";

/// Nothing of what was handed over, which may hold a password.
fn not_this_one(known: &Known) -> String {
    let name = known.name();
    format!(
        "access denied: this service is granted the database {name}, and what was handed over is neither its name nor \
         its address; open \"{name}\", or make the url of [postgres.{name}] the address that the component opens"
    )
}

fn begin<T: HasInstance>(
    store: &mut StoreContextMut<'_, T>,
    this: &Resource<Connection>,
) -> wasmtime::Result<(Call, Arc<Session>)> {
    let call = Call::of_store(store);
    let session = store.data_mut().instance().table.get(this)?.0.clone();
    Ok((call, session))
}

/// With all rows. Its function is no `async func`.
async fn query(
    call: Call,
    session: Arc<Session>,
    statement: String,
    params: Vec<ParameterValue>,
) -> Result<RowSet, Error> {
    let (params, bytes) = parameters(&statement, params)?;
    let waits = !session.is_in_transaction();
    call.run(bytes, waits, |request| async {
        session.nothing_unread(&statement, &request).await?;
        let rows = session.query(statement, params, request).await?;
        all(rows).await
    })
    .await
}

async fn execute(
    call: Call,
    session: Arc<Session>,
    statement: String,
    params: Vec<ParameterValue>,
) -> Result<u64, Error> {
    let (params, bytes) = parameters(&statement, params)?;
    let (waits, is_alone) = (!session.is_in_transaction(), call.is_alone);
    call.run(bytes, waits, |request| async {
        if is_alone {
            session.nothing_unread(&statement, &request).await?;
        }
        Ok(session.execute(statement, params, request).await?)
    })
    .await
}

async fn streamed<T: HasInstance>(
    accessor: &Accessor<T>,
    this: Resource<Connection>,
    statement: String,
    params: Vec<ParameterValue>,
) -> wasmtime::Result<Result<StreamedRows, Error>> {
    let (call, session) = accessor.with(|mut access| begin(&mut access.as_context_mut(), &this))?;
    let (params, bytes) = match parameters(&statement, params) {
        Ok(given) => given,
        Err(error) => return Ok(Err(error)),
    };
    let waits = !session.is_in_transaction();
    let begun = call.run(bytes, waits, |request| async {
        Ok::<_, Error>(session.stream(statement, params, request).await?)
    });
    let (columns, rows, done) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(error)),
    };
    let done = async move {
        let ended = done.await.unwrap_or(Err(crate::postgres::backend::Error::Cancelled));
        Ok::<_, wasmtime::Error>(ended.map(drop).map_err(Error::from))
    };
    let columns = columns.iter().map(convert::column).collect();
    accessor.with(|mut access| {
        let rows = StreamReader::new(&mut access, RowStream::new(rows, Parcel::open))?;
        let done = FutureReader::new(&mut access, done)?;
        Ok(Ok((columns, rows, done)))
    })
}

/// Parameters as the database takes them, and the bytes of what a guest has handed over.
fn parameters(statement: &str, params: Vec<ParameterValue>) -> Result<(Vec<Value>, usize), Error> {
    let given = params.into_iter().enumerate();
    let values: Vec<Value> = given
        .map(|(place, value)| {
            convert::parameter(value)
                .map_err(|why| Error::BadParameter(format!("parameter {}: {why}", place + 1)))
        })
        .collect::<Result<_, _>>()?;
    let bytes = crate::postgres::held_bytes(&values)?;
    Ok((values, statement.len().saturating_add(bytes)))
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Other(refused.to_string())
    }
}
