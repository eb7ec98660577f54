//! The capability as guests call it, in both drafts: finds the request behind each call, and holds what is handed over
//! against its bounds.
//!
//! Their functions are not `async` in WIT: a guest waits in each, and its instance with it. It knows a bucket only as a
//! trait.

mod draft;
mod draft2;

use std::sync::Arc;

use toml::de::DeTable;
use wasmtime::component::{Access, HasData, Linker, Resource};

use super::backend::{Bucket, Error, Page, Reply, Value};
use super::bindings::{draft as one, draft2 as two};
use super::connected::Connected;
use super::{Buckets, KeyvalueConfig, bounds, seen};
use crate::Capability;
use crate::backend::{Backend, Host};
use crate::budget::{Holdings, Reservation, hold_for_call, on_account_of};
use crate::context::{RequestContext, calling_request};
use crate::figures::Figure;
use crate::function::Seam;
use crate::instance::{HasInstance, InstanceView};
use wasm_host_settings::context::{Context, Span};
use wasm_host_settings::resource::Declared;

/// Buckets of keys and values.
pub struct Keyvalue;

impl Capability for Keyvalue {
    const KEY: &'static str = "keyvalue";
    const PACKAGE: &'static str = "wasi:keyvalue";
    const INTERFACES: &'static [(&'static str, &'static [&'static str])] = &[
        ("0.2.0-draft", &["store", "atomics", "batch"]),
        ("0.2.0-draft2", &["store", "atomics", "batch"]),
    ];
    const BLOCKING: &'static [&'static str] = &["store", "atomics", "batch"];
    const SEVERAL: bool = true;
    type Settings = KeyvalueConfig;
    type Grant = Buckets;

    fn read<'t>(
        cx: &Context<'_>,
        name: &str,
        at: Span,
        table: &'t DeTable<'t>,
    ) -> Declared<KeyvalueConfig> {
        Declared { resource: KeyvalueConfig::read(cx, name, at, table), stand_in: None }
    }

    fn connect(
        settings: &KeyvalueConfig,
        name: &str,
        host: &dyn Host,
    ) -> anyhow::Result<Box<dyn Backend>> {
        Ok(Box::new(Connected::new(settings, name, host)?))
    }

    fn link<T: HasInstance>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
        one::store::add_to_linker::<T, Self>(linker, T::instance)?;
        one::atomics::add_to_linker::<T, Self>(linker, T::instance)?;
        one::batch::add_to_linker::<T, Self>(linker, T::instance)?;
        two::store::add_to_linker::<T, Self>(linker, T::instance)?;
        two::atomics::add_to_linker::<T, Self>(linker, T::instance)?;
        two::batch::add_to_linker::<T, Self>(linker, T::instance)
    }

    fn figures(name: &str) -> Vec<Figure> {
        seen::figures(name)
    }

    /// With encryption, as a `ca` beside it means nothing without.
    fn url_of(server: &str) -> Option<String> {
        Some(format!("rediss://user:unknown@{server}"))
    }

    fn with_seam(seam: Arc<dyn Seam>, buckets: Option<Buckets>) -> Option<Buckets> {
        Some(Buckets::behind(seam, buckets))
    }
}

/// A guest's handle of a bucket.
pub struct OpenBucket(Arc<dyn Bucket>);

/// A guest's handle of a value as it was read, to be swapped while it is still the same.
pub struct OpenCas {
    bucket: Arc<dyn Bucket>,
    key: String,
    value: Option<Value>,
    _held: Reservation,
}

impl HasData for Keyvalue {
    type Data<'a> = InstanceView<'a>;
}

/// A call of a guest on a bucket, and what it is made for.
struct Call {
    bucket: Arc<dyn Bucket>,
    request: RequestContext,
    holdings: Holdings,
}

impl Call {
    fn on<T: 'static>(access: &mut Access<'_, T, Keyvalue>, bucket: Arc<dyn Bucket>) -> Self {
        let request = calling_request(access, |access| access.get().requests);
        let request = request.unwrap_or_else(RequestContext::of_no_request);
        Self { bucket, request, holdings: access.get().holdings.clone() }
    }

    /// On the bucket of a handle.
    fn of<T: 'static>(
        access: &mut Access<'_, T, Keyvalue>,
        this: &Resource<OpenBucket>,
    ) -> wasmtime::Result<Self> {
        let bucket = access.get().table.get(this)?.0.clone();
        Ok(Self::on(access, bucket))
    }

    /// `given` is what the guest has handed over, in bytes.
    async fn run<T>(
        self,
        given: Result<usize, Error>,
        ask: impl for<'b> FnOnce(&'b dyn Bucket, RequestContext) -> Reply<'b, T>,
    ) -> Result<T, Error> {
        let Self { bucket, request, holdings } = self;
        let held = holdings.hold_call(given?).map_err(|full| Error::Busy(full.to_string()))?;
        on_account_of(held, async { ask(&*bucket, request).await }).await
    }
}

/// What both drafts have.
fn open<T: 'static>(
    mut access: Access<'_, T, Keyvalue>,
    name: &str,
) -> wasmtime::Result<Result<Resource<OpenBucket>, Error>> {
    let InstanceView { granted, table, .. } = access.get();
    let opened = match granted.of::<Keyvalue>() {
        Some(buckets) => buckets.open(name),
        None => Err(Error::AccessDenied),
    };
    Ok(match opened {
        Ok(bucket) => Ok(table.push(OpenBucket(bucket))?),
        Err(error) => Err(error),
    })
}

async fn get(call: Call, key: String) -> Result<Option<Value>, Error> {
    call.run(bounds::key(&key), |bucket, request| bucket.get(key, request)).await
}

async fn set(call: Call, key: String, value: Vec<u8>) -> Result<(), Error> {
    let value = Value(value);
    let given = bounds::entry(&key, &value);
    call.run(given, |bucket, request| bucket.set(key, value, request)).await
}

async fn delete(call: Call, key: String) -> Result<(), Error> {
    call.run(bounds::key(&key), |bucket, request| bucket.delete(key, request)).await
}

async fn exists(call: Call, key: String) -> Result<bool, Error> {
    call.run(bounds::key(&key), |bucket, request| bucket.exists(key, request)).await
}

async fn list_keys(call: Call, cursor: Option<u64>) -> Result<Page, Error> {
    call.run(Ok(0), |bucket, request| held(bucket.list_keys(cursor, request))).await
}

/// A page of keys, which counts for the service that asks.
fn held(list: Reply<'_, Page>) -> Reply<'_, Page> {
    Box::pin(async {
        let page = list.await?;
        let bytes = page.keys.iter().map(|key| key.len() + size_of::<String>()).sum();
        hold_for_call(bytes).map_err(|full| Error::Busy(full.to_string()))?;
        Ok(page)
    })
}

async fn increment(call: Call, key: String, delta: i64) -> Result<i64, Error> {
    call.run(bounds::key(&key), |bucket, request| bucket.increment(key, delta, request)).await
}

async fn get_many(call: Call, keys: Vec<String>) -> Result<Vec<Option<Value>>, Error> {
    call.run(bounds::keys(&keys), |bucket, request| bucket.get_many(keys, request)).await
}

async fn set_many(call: Call, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
    let entries: Vec<_> = entries.into_iter().map(|(key, value)| (key, Value(value))).collect();
    let given = bounds::entries(&entries);
    call.run(given, |bucket, request| bucket.set_many(entries, request)).await
}

async fn delete_many(call: Call, keys: Vec<String>) -> Result<(), Error> {
    call.run(bounds::keys(&keys), |bucket, request| bucket.delete_many(keys, request)).await
}

/// What the drafts have alike, of the draft in `$draft`. Their types are alike, and not the same.
macro_rules! alike {
    ($draft:ident) => {
        use $draft::{atomics, batch, store};

        impl store::Host for InstanceView<'_> {}
        impl store::HostBucket for InstanceView<'_> {}
        impl atomics::Host for InstanceView<'_> {}
        impl batch::Host for InstanceView<'_> {}

        impl From<Error> for store::Error {
            fn from(error: Error) -> Self {
                match error {
                    Error::NoSuchStore => Self::NoSuchStore,
                    Error::AccessDenied => Self::AccessDenied,
                    other => Self::Other(other.to_string()),
                }
            }
        }

        impl<T: Send + 'static> store::HostWithStore<T> for Keyvalue {
            async fn open(
                host: Access<'_, T, Self>,
                identifier: String,
            ) -> wasmtime::Result<Result<Resource<OpenBucket>, store::Error>> {
                Ok(super::open(host, &identifier)?.map_err(store::Error::from))
            }
        }

        impl<T: Send + 'static> store::HostBucketWithStore<T> for Keyvalue {
            async fn get(
                mut host: Access<'_, T, Self>,
                this: Resource<OpenBucket>,
                key: String,
            ) -> wasmtime::Result<Result<Option<Vec<u8>>, store::Error>> {
                let got = super::get(Call::of(&mut host, &this)?, key).await;
                Ok(got.map(|value| value.map(|Value(value)| value)).map_err(store::Error::from))
            }

            async fn set(
                mut host: Access<'_, T, Self>,
                this: Resource<OpenBucket>,
                key: String,
                value: Vec<u8>,
            ) -> wasmtime::Result<Result<(), store::Error>> {
                let set = super::set(Call::of(&mut host, &this)?, key, value).await;
                Ok(set.map_err(store::Error::from))
            }

            async fn delete(
                mut host: Access<'_, T, Self>,
                this: Resource<OpenBucket>,
                key: String,
            ) -> wasmtime::Result<Result<(), store::Error>> {
                let deleted = super::delete(Call::of(&mut host, &this)?, key).await;
                Ok(deleted.map_err(store::Error::from))
            }

            async fn exists(
                mut host: Access<'_, T, Self>,
                this: Resource<OpenBucket>,
                key: String,
            ) -> wasmtime::Result<Result<bool, store::Error>> {
                let exists = super::exists(Call::of(&mut host, &this)?, key).await;
                Ok(exists.map_err(store::Error::from))
            }

            async fn list_keys(
                mut host: Access<'_, T, Self>,
                this: Resource<OpenBucket>,
                cursor: Option<Cursor>,
            ) -> wasmtime::Result<Result<store::KeyResponse, store::Error>> {
                let call = Call::of(&mut host, &this)?;
                let listed = match read_cursor(cursor) {
                    Ok(cursor) => super::list_keys(call, cursor).await,
                    Err(error) => Err(error),
                };
                let response = |page: Page| {
                    let Page { keys, cursor } = page;
                    store::KeyResponse { keys, cursor: cursor.map(show_cursor) }
                };
                Ok(listed.map(response).map_err(store::Error::from))
            }

            async fn drop(
                accessor: &Accessor<T, Self>,
                this: Resource<OpenBucket>,
            ) -> wasmtime::Result<()> {
                accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
                Ok(())
            }
        }

        impl<T: Send + 'static> batch::HostWithStore<T> for Keyvalue {
            async fn get_many(
                mut host: Access<'_, T, Self>,
                bucket: Resource<OpenBucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<Vec<Found>, store::Error>> {
                let call = Call::of(&mut host, &bucket)?;
                let got = super::get_many(call, keys.clone()).await;
                let found = |values: Vec<Option<Value>>| {
                    let values = values.into_iter().map(|value| value.map(|Value(value)| value));
                    keys.into_iter().zip(values).map(|(key, value)| found(key, value)).collect()
                };
                Ok(got.map(found).map_err(store::Error::from))
            }

            async fn set_many(
                mut host: Access<'_, T, Self>,
                bucket: Resource<OpenBucket>,
                key_values: Vec<(String, Vec<u8>)>,
            ) -> wasmtime::Result<Result<(), store::Error>> {
                let set = super::set_many(Call::of(&mut host, &bucket)?, key_values).await;
                Ok(set.map_err(store::Error::from))
            }

            async fn delete_many(
                mut host: Access<'_, T, Self>,
                bucket: Resource<OpenBucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<(), store::Error>> {
                let deleted = super::delete_many(Call::of(&mut host, &bucket)?, keys).await;
                Ok(deleted.map_err(store::Error::from))
            }
        }
    };
}

use alike;
