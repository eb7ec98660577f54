//! `wasi:keyvalue@0.2.0-draft2`: numbers with a sign, and compare-and-swap.

use wasmtime::component::{Access, Accessor, Resource};

use super::{Call, Error, InstanceView, Keyvalue, OpenBucket, OpenCas, Page, Value, alike};
use crate::keyvalue::{bindings::draft2, bounds};

alike!(draft2);

type Cursor = String;

/// What the batch has of a key.
type Found = (String, Option<Vec<u8>>);

fn read_cursor(cursor: Option<Cursor>) -> Result<Option<u64>, Error> {
    let wrong = |_| Error::Invalid("the cursor is none that a list has given".to_owned());
    cursor.map(|cursor| cursor.parse().map_err(wrong)).transpose()
}

fn show_cursor(cursor: u64) -> Cursor {
    cursor.to_string()
}

fn found(key: String, value: Option<Vec<u8>>) -> Found {
    (key, value)
}

impl atomics::HostCas for InstanceView<'_> {}

impl<T: Send + 'static> atomics::HostWithStore<T> for Keyvalue {
    async fn increment(
        mut host: Access<'_, T, Self>,
        bucket: Resource<OpenBucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, store::Error>> {
        let sum = super::increment(Call::of(&mut host, &bucket)?, key, delta).await;
        Ok(sum.map_err(store::Error::from))
    }

    async fn swap(
        mut host: Access<'_, T, Self>,
        cas: Resource<OpenCas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        // It is the host's now, whatever comes of it.
        let OpenCas { bucket, key, value: expected, _held } = host.get().table.delete(cas)?;
        let value = Value(value);
        let given = bounds::entry(&key, &value);
        let call = Call::on(&mut host, bucket.clone());
        let swapped = call
            .run(given, |bucket, request| bucket.swap(key.clone(), expected, value, request))
            .await;
        Ok(Err(match swapped {
            Ok(true) => return Ok(Ok(())),
            Ok(false) => {
                let call = Call::on(&mut host, bucket);
                match read(&mut host, call, key).await? {
                    Ok(cas) => atomics::CasError::CasFailed(cas),
                    Err(error) => atomics::CasError::StoreError(error.into()),
                }
            }
            Err(error) => atomics::CasError::StoreError(error.into()),
        }))
    }
}

impl<T: Send + 'static> atomics::HostCasWithStore<T> for Keyvalue {
    async fn new(
        mut host: Access<'_, T, Self>,
        bucket: Resource<OpenBucket>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<OpenCas>, store::Error>> {
        let call = Call::of(&mut host, &bucket)?;
        Ok(read(&mut host, call, key).await?.map_err(store::Error::from))
    }

    async fn current(
        mut host: Access<'_, T, Self>,
        this: Resource<OpenCas>,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, store::Error>> {
        let InstanceView { table, holdings, .. } = host.get();
        let Some(Value(value)) = &table.get(&this)?.value else { return Ok(Ok(None)) };
        // The guest has one of its own, beside which this one stays.
        match holdings.hold(value.len()) {
            Ok(_held) => Ok(Ok(Some(value.clone()))),
            Err(full) => Ok(Err(Error::Busy(full.to_string()).into())),
        }
    }

    async fn drop(accessor: &Accessor<T, Self>, this: Resource<OpenCas>) -> wasmtime::Result<()> {
        accessor.with(|mut access| access.get().table.delete(this).map(drop))?;
        Ok(())
    }
}

/// A handle with the value that is there now, which is held for as long as the handle is there.
async fn read<T: Send + 'static>(
    host: &mut Access<'_, T, Keyvalue>,
    call: Call,
    key: String,
) -> wasmtime::Result<Result<Resource<OpenCas>, Error>> {
    let (bucket, holdings) = (call.bucket.clone(), call.holdings.clone());
    let value = match super::get(call, key.clone()).await {
        Ok(value) => value,
        Err(error) => return Ok(Err(error)),
    };
    let bytes = value.as_ref().map_or(0, |Value(value)| value.len()) + key.len();
    let held = match holdings.hold(bytes) {
        Ok(held) => held,
        Err(exhausted) => return Ok(Err(Error::Busy(exhausted.to_string()))),
    };
    let cas = OpenCas { bucket, key, value, _held: held };
    Ok(Ok(host.get().table.push(cas)?))
}
