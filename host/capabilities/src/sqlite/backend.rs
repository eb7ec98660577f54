//! SQLite as the host side sees it, so that tests can put a scripted one in its place.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::context::RequestContext;

/// A granted database.
pub trait Database: Send + Sync + 'static {
    /// What its table in the application file is called.
    fn name(&self) -> &str;

    /// A connection of its own, which is opened when it is first used.
    fn open(&self) -> Arc<dyn Connection>;
}

/// A connection: statements on it run one after the other, and a transaction that it began is rolled back when it is
/// dropped.
pub trait Connection: Send + Sync + 'static {
    /// Run a statement, or several, with all rows. `request` is what it serves: when it ends, so does the statement, and
    /// the connection with it.
    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> BoxFuture<'_, Result<Output, Error>>;
}

/// What a statement came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Output {
    #[serde(default)]
    pub columns: Vec<String>,
    #[serde(default)]
    pub rows: Vec<Vec<Value>>,
    /// Rows that it changed.
    #[serde(default)]
    pub changes: u64,
    /// Of the last row that was ever inserted on this connection.
    #[serde(default)]
    pub last_insert_rowid: i64,
}

/// A value as SQLite stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob { blob: Vec<u8> },
}

impl Value {
    /// Bytes of memory that it takes, about.
    pub fn size(&self) -> usize {
        let content = match self {
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
            Self::Text(text) => text.len(),
            Self::Blob { blob } => blob.len(),
        };
        size_of::<Self>() + content
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// Its `size` is reached.
    #[error("the database is full")]
    Full,
    /// Its request has ended.
    #[error("the statement was cancelled")]
    Cancelled,
    /// What SQLite says, or why the file cannot be used.
    #[error("{0}")]
    Failed(String),
}
