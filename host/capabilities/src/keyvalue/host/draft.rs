//! `wasi:keyvalue@0.2.0-draft`: numbers without a sign, and no swap.

use wasmtime::component::{Access, Accessor, Resource};

use super::{Call, Error, InstanceView, Keyvalue, OpenBucket, Page, Value, alike};
use crate::keyvalue::bindings::draft;
use crate::keyvalue::increment::beyond;

alike!(draft);

type Cursor = u64;

/// What the batch has of a key.
type Found = Option<(String, Vec<u8>)>;

#[expect(clippy::unnecessary_wraps, reason = "it is the other draft's that may be wrong")]
fn read_cursor(cursor: Option<Cursor>) -> Result<Option<u64>, Error> {
    Ok(cursor)
}

fn show_cursor(cursor: u64) -> Cursor {
    cursor
}

fn found(key: String, value: Option<Vec<u8>>) -> Found {
    value.map(|value| (key, value))
}

impl<T: Send + 'static> atomics::HostWithStore<T> for Keyvalue {
    async fn increment(
        mut host: Access<'_, T, Self>,
        bucket: Resource<OpenBucket>,
        key: String,
        delta: u64,
    ) -> wasmtime::Result<Result<u64, store::Error>> {
        let call = Call::of(&mut host, &bucket)?;
        let sum = match i64::try_from(delta) {
            Ok(delta) => super::increment(call, key, delta).await,
            Err(_) => Err(beyond()),
        };
        let unsigned = |sum| {
            u64::try_from(sum)
                .map_err(|_| Error::Invalid(format!("the sum is {sum}, which has a sign")))
        };
        Ok(sum.and_then(unsigned).map_err(store::Error::from))
    }
}
