//! `spin:key-value` and `fermyon:spin/key-value` on the granted buckets.

use std::sync::Arc;

use wasmtime::component::{
    Accessor, ComponentNamedList, FutureReader, Linker, LinkerInstance, Lower, Resource,
    ResourceType, StreamReader,
};
use wasmtime::{AsContextMut as _, StoreContextMut};

use super::bindings::key_value2;
use super::bindings::key_value3::Error;
use super::call::{Call, Refused};
use crate::budget::hold_for_call;
use crate::context::RequestContext;
use crate::instance::HasInstance;
use crate::keyvalue::backend::{self, Bucket, Page, Value};
use crate::keyvalue::{Keyvalue, bounds};
use wasm_host_limits::spin::ROWS_BYTES;

/// What a guest has opened.
pub struct Store(Arc<dyn Bucket>);

/// What `get-keys` gives.
type Keys = (StreamReader<String>, FutureReader<Result<(), Error>>);

pub(super) fn link_3<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("spin:key-value/key-value@3.0.0")?;
    resource(&mut instance)?;
    instance.func_wrap_concurrent("[static]store.open", |accessor, (label,): (String,)| {
        Box::pin(async move {
            let opened = accessor.with(|mut access| open(&mut access.as_context_mut(), &label));
            Ok((opened?,))
        })
    })?;
    instance.func_wrap_concurrent(
        "[method]store.get",
        |accessor, (this, key): (Resource<Store>, String)| {
            Box::pin(async move {
                let (call, bucket) = begun(accessor, &this)?;
                Ok((get(call, bucket, key).await,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]store.set",
        |accessor, (this, key, value): (Resource<Store>, String, Vec<u8>)| {
            Box::pin(async move {
                let (call, bucket) = begun(accessor, &this)?;
                Ok((set(call, bucket, key, value).await,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]store.delete",
        |accessor, (this, key): (Resource<Store>, String)| {
            Box::pin(async move {
                let (call, bucket) = begun(accessor, &this)?;
                Ok((delete(call, bucket, key).await,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]store.exists",
        |accessor, (this, key): (Resource<Store>, String)| {
            Box::pin(async move {
                let (call, bucket) = begun(accessor, &this)?;
                Ok((exists(call, bucket, key).await,))
            })
        },
    )?;
    instance.func_wrap_concurrent(
        "[method]store.get-keys",
        |accessor, (this,): (Resource<Store>,)| {
            Box::pin(async move {
                let (call, bucket) = begun(accessor, &this)?;
                let (found, end) = match keys(call, bucket).await {
                    Ok(keys) => (keys, Ok(())),
                    Err(error) => (Vec::new(), Err(error)),
                };
                streamed(accessor, found, end)
            })
        },
    )
}

pub(super) fn link_2<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    use key_value2::Error as Older;
    let mut instance = linker.instance("fermyon:spin/key-value@2.0.0")?;
    resource(&mut instance)?;
    instance.func_wrap("[static]store.open", |mut store, (label,): (String,)| {
        Ok((open(&mut store, &label)?.map_err(Older::from),))
    })?;
    instance.func_wrap_async(
        "[method]store.get",
        |mut store, (this, key): (Resource<Store>, String)| {
            let begun = begin(&mut store, &this);
            Box::new(async move {
                let (call, bucket) = begun?;
                Ok((get(call.alone(), bucket, key).await.map_err(Older::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]store.set",
        |mut store, (this, key, value): (Resource<Store>, String, Vec<u8>)| {
            let begun = begin(&mut store, &this);
            Box::new(async move {
                let (call, bucket) = begun?;
                Ok((set(call.alone(), bucket, key, value).await.map_err(Older::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]store.delete",
        |mut store, (this, key): (Resource<Store>, String)| {
            let begun = begin(&mut store, &this);
            Box::new(async move {
                let (call, bucket) = begun?;
                Ok((delete(call.alone(), bucket, key).await.map_err(Older::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]store.exists",
        |mut store, (this, key): (Resource<Store>, String)| {
            let begun = begin(&mut store, &this);
            Box::new(async move {
                let (call, bucket) = begun?;
                Ok((exists(call.alone(), bucket, key).await.map_err(Older::from),))
            })
        },
    )?;
    instance.func_wrap_async("[method]store.get-keys", |mut store, (this,): (Resource<Store>,)| {
        let begun = begin(&mut store, &this);
        Box::new(async move {
            let (call, bucket) = begun?;
            Ok((keys(call.alone(), bucket).await.map_err(Older::from),))
        })
    })
}

fn resource<T: HasInstance>(instance: &mut LinkerInstance<'_, T>) -> wasmtime::Result<()> {
    instance.resource("store", ResourceType::host::<Store>(), |mut store, rep| {
        let table = store.data_mut().instance().table;
        table.delete(Resource::<Store>::new_own(rep)).map(drop)?;
        Ok(())
    })
}

fn open<T: HasInstance>(
    store: &mut StoreContextMut<'_, T>,
    label: &str,
) -> wasmtime::Result<Result<Resource<Store>, Error>> {
    let instance = store.data_mut().instance();
    let Some(buckets) = instance.granted.of::<Keyvalue>() else {
        return Ok(Err(Error::AccessDenied));
    };
    Ok(match buckets.open(label) {
        Ok(bucket) => Ok(instance.table.push(Store(bucket))?),
        Err(error) => Err(error.into()),
    })
}

fn begin<T: HasInstance>(
    store: &mut StoreContextMut<'_, T>,
    this: &Resource<Store>,
) -> wasmtime::Result<(Call, Arc<dyn Bucket>)> {
    let call = Call::of_store(store);
    let bucket = store.data_mut().instance().table.get(this)?.0.clone();
    Ok((call, bucket))
}

fn begun<T: HasInstance>(
    accessor: &Accessor<T>,
    this: &Resource<Store>,
) -> wasmtime::Result<(Call, Arc<dyn Bucket>)> {
    accessor.with(|mut access| begin(&mut access.as_context_mut(), this))
}

async fn get(call: Call, bucket: Arc<dyn Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
    let given = bounds::key(&key)?;
    let got =
        call.run(given, true, |request| async { Ok::<_, Error>(bucket.get(key, request).await?) });
    Ok(got.await?.map(|Value(value)| value))
}

async fn set(
    call: Call,
    bucket: Arc<dyn Bucket>,
    key: String,
    value: Vec<u8>,
) -> Result<(), Error> {
    let value = Value(value);
    let given = bounds::entry(&key, &value)?;
    call.run(given, true, |request| async { Ok(bucket.set(key, value, request).await?) }).await
}

async fn delete(call: Call, bucket: Arc<dyn Bucket>, key: String) -> Result<(), Error> {
    let given = bounds::key(&key)?;
    call.run(given, true, |request| async { Ok(bucket.delete(key, request).await?) }).await
}

async fn exists(call: Call, bucket: Arc<dyn Bucket>, key: String) -> Result<bool, Error> {
    let given = bounds::key(&key)?;
    call.run(given, true, |request| async { Ok(bucket.exists(key, request).await?) }).await
}

async fn keys(call: Call, bucket: Arc<dyn Bucket>) -> Result<Vec<String>, Error> {
    call.run(0, true, |request| all(&*bucket, request)).await
}

/// The keys of all pages, which count for the call.
async fn all(bucket: &dyn Bucket, request: RequestContext) -> Result<Vec<String>, Error> {
    let (mut keys, mut held, mut cursor) = (Vec::new(), 0, None);
    loop {
        let Page { keys: more, cursor: next } = bucket.list_keys(cursor, request.clone()).await?;
        let bytes: usize = more.iter().map(|key| size_of::<String>() + key.len()).sum();
        held += bytes;
        if held > ROWS_BYTES {
            return Err(Error::Other(format!("its keys have more than {ROWS_BYTES} bytes")));
        }
        hold_for_call(bytes).map_err(|full| Error::from(Refused::Busy(full)))?;
        keys.extend(more);
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(keys),
        }
    }
}

fn streamed<T: HasInstance>(
    accessor: &Accessor<T>,
    keys: Vec<String>,
    end: Result<(), Error>,
) -> wasmtime::Result<(Keys,)>
where
    (Keys,): ComponentNamedList + Lower,
{
    accessor.with(|mut access| {
        let keys = StreamReader::new(&mut access, keys)?;
        let end = FutureReader::new(&mut access, async { Ok::<_, wasmtime::Error>(end) })?;
        Ok(((keys, end),))
    })
}

impl From<backend::Error> for Error {
    fn from(error: backend::Error) -> Self {
        match error {
            backend::Error::NoSuchStore => Self::NoSuchStore,
            backend::Error::AccessDenied => Self::AccessDenied,
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::Other(refused.to_string())
    }
}

impl From<Error> for key_value2::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::StoreTableFull => Self::StoreTableFull,
            Error::NoSuchStore => Self::NoSuchStore,
            Error::AccessDenied => Self::AccessDenied,
            Error::Other(why) => Self::Other(why),
        }
    }
}
