//! Rows as they come.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use futures_core::Stream;
use wit_bindgen::{FutureReader, StreamReader};

use super::{Column, Error, FromRow, Row, Value};
use crate::postgres::types;

type Batches = StreamReader<Vec<Vec<Value>>>;
type Done = FutureReader<Result<u64, types::Error>>;
type Next = Pin<Box<dyn Future<Output = (Batches, Option<Vec<Vec<Value>>>)> + Send>>;
type End = Pin<Box<dyn Future<Output = Result<u64, types::Error>> + Send>>;

/// The rows of a statement, each read into a `T`: a stream, and [`Rows::next`] where a stream is not needed.
pub struct Rows<T> {
    columns: Arc<[Column]>,
    batch: vec::IntoIter<Vec<Value>>,
    state: State,
    row: PhantomData<fn() -> T>,
}

enum State {
    Idle(Batches, Done),
    Reading(Next, Done),
    Ending(End),
    Ended,
}

impl<T: FromRow> Rows<T> {
    pub(super) fn new(columns: Vec<Column>, batches: Batches, done: Done) -> Self {
        let state = State::Idle(batches, done);
        Self { columns: columns.into(), batch: Vec::new().into_iter(), state, row: PhantomData }
    }

    /// The columns, also of a result without rows.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next row; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::Call`] where the rows broke off, [`Error::Column`] where this one does not fit.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }
}

impl<T> Rows<T> {
    /// Rows that stopped coming may be all of them, or not: only what the server says at the end tells.
    fn poll_batch(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Vec<Vec<Value>>>, types::Error>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Idle(mut batches, done) => {
                    let next: Next = Box::pin(async move {
                        let batch = batches.next().await;
                        (batches, batch)
                    });
                    self.state = State::Reading(next, done);
                }
                State::Reading(mut next, done) => match next.as_mut().poll(context) {
                    Poll::Pending => {
                        self.state = State::Reading(next, done);
                        return Poll::Pending;
                    }
                    Poll::Ready((batches, Some(batch))) => {
                        self.state = State::Idle(batches, done);
                        return Poll::Ready(Ok(Some(batch)));
                    }
                    Poll::Ready((_, None)) => {
                        self.state = State::Ending(Box::pin(done.into_future()))
                    }
                },
                State::Ending(mut end) => {
                    let Poll::Ready(ended) = end.as_mut().poll(context) else {
                        self.state = State::Ending(end);
                        return Poll::Pending;
                    };
                    return Poll::Ready(ended.map(|_| None));
                }
                State::Ended => return Poll::Ready(Ok(None)),
            }
        }
    }
}

impl<T: FromRow> Stream for Rows<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(values) = self.batch.next() {
                let row = Row::new(Arc::clone(&self.columns), values);
                return Poll::Ready(Some(T::from_row(row)));
            }
            match std::task::ready!(self.poll_batch(context)) {
                Ok(Some(batch)) => self.batch = batch.into_iter(),
                Ok(None) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }
}
