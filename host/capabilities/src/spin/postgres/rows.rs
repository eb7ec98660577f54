//! Rows of the granted database as a component of Spin takes them: all at once, or as a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use super::convert;
use super::streamed::Streamed;
use crate::budget::hold_for_call;
use crate::postgres::backend::{self, RowBatch, Rows, size};
use crate::spin::bindings::postgres4::{DbValue, Error, QueryError, RowSet};
use crate::spin::call::Refused;
use crate::stream::Parcel;
use wasm_host_limits::spin::ROWS_BYTES;

/// All rows of a statement, which count for its call.
pub(super) async fn all(rows: Rows) -> Result<RowSet, Error> {
    let Rows { columns, mut batches, done } = rows;
    let mut set =
        RowSet { columns: columns.iter().map(convert::column).collect(), rows: Vec::new() };
    let mut held = 0;
    while let Some(batch) = batches.recv().await {
        let batch = batch.open();
        let bytes: usize = batch.iter().flatten().map(size).sum();
        held += bytes;
        if held > ROWS_BYTES {
            return Err(Error::QueryFailed(QueryError::Text(format!(
                "its rows have more than {ROWS_BYTES} bytes; ask for fewer, or take them as a stream"
            ))));
        }
        hold_for_call(bytes).map_err(|full| Error::from(Refused::Busy(full)))?;
        set.rows.extend(batch.into_iter().map(row));
    }
    done.await.unwrap_or(Err(backend::Error::Cancelled))?;
    Ok(set)
}

fn row(row: Vec<backend::Value>) -> Vec<DbValue> {
    row.into_iter().map(convert::value).collect()
}

/// The rows of batches, one by one.
pub(super) struct RowStream {
    batches: Streamed,
    open: fn(Parcel<RowBatch>) -> RowBatch,
}

impl RowStream {
    pub(super) fn new(batches: Streamed, open: fn(Parcel<RowBatch>) -> RowBatch) -> Self {
        Self { batches, open }
    }
}

impl<D> StreamProducer<D> for RowStream {
    type Item = Vec<DbValue>;
    type Buffer = VecBuffer<Vec<DbValue>>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            // A read of nothing asks whether there is something; the next read will wait for it.
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let Self { batches, open } = self.get_mut();
        let Poll::Ready(batch) = batches.poll_next(cx) else {
            return if finish { Poll::Ready(Ok(StreamResult::Cancelled)) } else { Poll::Pending };
        };
        let Some(batch) = batch else {
            return Poll::Ready(Ok(StreamResult::Dropped));
        };
        // What this read does not take is there for the next one.
        let rows: Vec<_> = open(batch).into_iter().map(row).collect();
        destination.set_buffer(rows.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
