//! A database as the host side sees it, so that tests can put a scripted one in its place.
//!
//! It must not name a driver, a pool or a connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::stream::Parcel;

pub use super::bindings::types::{
    Column, Date, Error, Row, RowBatch, Scalar, SqlError, Time, Timestamp, Value,
};
pub use super::known::Known;
use crate::context::RequestContext;

/// What a call gives, some time later. Dropping it before then cancels the call.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A granted database. `request` is what the call serves: when it ends, the work ends on the server, too.
pub trait Database: Send + Sync + 'static {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows>;

    /// Gives the number of rows that the statement changed.
    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64>;

    fn begin(&self, request: RequestContext) -> Reply<'_, Arc<dyn Transaction>>;

    /// What it is called, for guests that name a database. None: by any name.
    fn known(&self) -> Option<&Known> {
        None
    }
}

/// An open transaction. Dropping the last reference rolls it back, and so does the end of the request that it was
/// begun for.
pub trait Transaction: Send + Sync + 'static {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows>;

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64>;

    fn commit(&self, request: RequestContext) -> Reply<'_, ()>;

    fn rollback(&self, request: RequestContext) -> Reply<'_, ()>;
}

/// The rows of a statement that the server accepted.
#[derive(Debug)]
pub struct Rows {
    pub columns: Vec<Column>,
    /// Dropping it before its end cancels the statement.
    pub batches: mpsc::Receiver<Parcel<RowBatch>>,
    /// How the statement ended: with this many rows, or with a failure.
    pub done: oneshot::Receiver<Result<u64, Error>>,
}

/// Bytes that a value takes, about.
pub fn size(value: &Value) -> usize {
    let elements = match value {
        Value::Array(elements) => elements.len() * size_of::<Scalar>(),
        _ => 0,
    };
    size_of::<Value>() + elements + content(value)
}

/// Bytes of the texts and bytes in a value.
pub fn content(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Scalar(one) => length(one),
        Value::Array(elements) => elements.iter().flatten().map(length).sum(),
    }
}

fn length(scalar: &Scalar) -> usize {
    match scalar {
        Scalar::Text(text) | Scalar::Json(text) | Scalar::Numeric(text) | Scalar::Uuid(text) => {
            text.len()
        }
        Scalar::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}
