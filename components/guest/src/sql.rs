//! The granted database: statements with typed parameters, rows as Rust values.
//!
//! ```no_run
//! use wasm_host_guest::sql::{self, FromRow};
//!
//! #[derive(FromRow)]
//! struct Order { id: i64, item: String, note: Option<String> }
//!
//! # async fn example(customer: i64) -> Result<(), sql::Error> {
//! let orders: Vec<Order> = sql::query("select id, item, note from orders where customer = $1")
//!     .bind(customer)
//!     .fetch_all()
//!     .await?;
//!
//! let transaction = sql::begin().await?;
//! transaction.query("insert into orders (item) values ($1)").bind("tea").execute().await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A row is read into a struct by its columns' names (`#[derive(FromRow)]`), into a tuple by their order, and into a
//! single value where it has one column. A null is an `Option`.

mod row;
mod rows;
mod value;

use crate::postgres::client;
use crate::postgres::types;

pub use crate::postgres::types::{Column, Date, Scalar, SqlError, Time, Timestamp, Value};
pub use row::{FromRow, Row};
pub use rows::Rows;
pub use value::{
    Array, FromScalar, FromValue, IntoScalar, IntoValue, Numeric, Utc, Uuid, WrongType,
};
#[cfg(feature = "derive")]
pub use wasm_host_guest_derive::FromRow;

/// Beginnings of SQLSTATE: the connection, a lost transaction, resources, a server that starts or stops.
const TEMPORARY: [&str; 4] = ["08", "40", "53", "57P"];

/// Why a statement gave no rows, or not all.
#[derive(Debug)]
pub enum Error {
    /// What the host or the server said of the call.
    Call(Box<types::Error>),
    /// A row was asked for, and there was none.
    NoRow,
    /// A row does not fit the type that it was to be read into.
    Column {
        /// The column's name, or its number from 1 where it has none.
        column: String,
        /// What does not fit.
        reason: String,
    },
}

impl Error {
    /// What the server said, where it refused the statement.
    pub fn database(&self) -> Option<&SqlError> {
        match self {
            Self::Call(error) => match &**error {
                types::Error::Database(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// The five characters by which the server says why it refused the statement, such as `23505`.
    pub fn sqlstate(&self) -> Option<&str> {
        self.database().map(|error| error.sqlstate.as_str())
    }

    /// Whether the same may work in a while: the database was not reachable, or busy; or the transaction lost against
    /// another one and has to be made again from its beginning.
    pub fn is_temporary(&self) -> bool {
        use types::Error;

        let Self::Call(error) = self else { return false };
        match &**error {
            Error::Unavailable(_) | Error::Busy(_) | Error::TimedOut(_) | Error::Cancelled => true,
            Error::Database(error) => {
                TEMPORARY.iter().any(|class| error.sqlstate.starts_with(class))
            }
            _ => false,
        }
    }
}

impl From<types::Error> for Error {
    fn from(error: types::Error) -> Self {
        Self::Call(Box::new(error))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use types::Error;

        let call = match self {
            Self::NoRow => return formatter.write_str("there is no such row"),
            Self::Column { column, reason } => {
                return write!(formatter, "the column `{column}` {reason}");
            }
            Self::Call(call) => &**call,
        };
        match call {
            Error::Unavailable(why) => write!(formatter, "the database is not reachable: {why}"),
            Error::Busy(why) => write!(formatter, "the database is busy: {why}"),
            Error::TimedOut(why) => write!(formatter, "the statement took too long: {why}"),
            Error::Cancelled => formatter.write_str("the statement was cancelled"),
            Error::Database(SqlError { sqlstate, message, .. }) => {
                write!(formatter, "the database refused the statement: {message} ({sqlstate})")
            }
            Error::InvalidParameter(why) => write!(formatter, "a parameter does not fit: {why}"),
            Error::Unsupported(why) => write!(formatter, "a row cannot be read: {why}"),
            Error::Ended => formatter.write_str("the transaction has ended"),
        }
    }
}

impl std::error::Error for Error {}

/// A statement on the granted database, each on a connection of the host's pool. Its parameters are `$1`, `$2` … and
/// never become part of its text.
pub fn query(statement: impl Into<String>) -> Query<'static> {
    Query { statement: statement.into(), parameters: Vec::new(), transaction: None }
}

/// Begin a transaction. Dropped without [`Transaction::commit`] it is rolled back.
///
/// # Errors
/// [`Error::Call`].
pub async fn begin() -> Result<Transaction, Error> {
    Ok(Transaction(client::begin().await?))
}

/// An open transaction, on a connection of its own.
#[derive(Debug)]
pub struct Transaction(client::Transaction);

impl Transaction {
    /// A statement inside the transaction.
    pub fn query(&self, statement: impl Into<String>) -> Query<'_> {
        Query { transaction: Some(self), ..query(statement) }
    }

    /// Make its changes durable.
    ///
    /// # Errors
    /// [`Error::Call`]; after `Unavailable` it is not known whether they are.
    pub async fn commit(self) -> Result<(), Error> {
        Ok(self.0.commit().await?)
    }

    /// Undo its changes.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(self.0.rollback().await?)
    }
}

/// A statement with its parameters, to be run by one of its functions.
#[derive(Debug)]
#[must_use = "a statement runs when its rows are fetched or it is executed"]
pub struct Query<'a> {
    statement: String,
    parameters: Vec<Value>,
    transaction: Option<&'a Transaction>,
}

impl Query<'_> {
    /// The next parameter.
    pub fn bind(mut self, parameter: impl IntoValue) -> Self {
        self.parameters.push(parameter.into_value());
        self
    }

    /// Run it for its effect. Returns the number of rows that it changed.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub async fn execute(self) -> Result<u64, Error> {
        let Self { statement, parameters, transaction } = self;
        Ok(match transaction {
            Some(transaction) => transaction.0.execute(statement, parameters).await?,
            None => client::execute(statement, parameters).await?,
        })
    }

    /// Run it, and read its rows one after the other, as fast as they are asked for. Dropped before the last, it is
    /// cancelled on the server.
    ///
    /// # Errors
    /// [`Error::Call`]. What fails later is an item of the stream.
    pub async fn fetch<T: FromRow>(self) -> Result<Rows<T>, Error> {
        let Self { statement, parameters, transaction } = self;
        let (columns, batches, done) = match transaction {
            Some(transaction) => transaction.0.query(statement, parameters).await?,
            None => client::query(statement, parameters).await?,
        };
        Ok(Rows::new(columns, batches, done))
    }

    /// All rows.
    ///
    /// # Errors
    /// All of [`Error`] but [`Error::NoRow`].
    pub async fn fetch_all<T: FromRow>(self) -> Result<Vec<T>, Error> {
        let mut rows = self.fetch().await?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().await? {
            all.push(row);
        }
        Ok(all)
    }

    /// The first row; further ones are not read.
    ///
    /// # Errors
    /// All of [`Error`].
    pub async fn fetch_one<T: FromRow>(self) -> Result<T, Error> {
        self.fetch_optional().await?.ok_or(Error::NoRow)
    }

    /// The first row, if there is one; further ones are not read.
    ///
    /// # Errors
    /// All of [`Error`] but [`Error::NoRow`].
    pub async fn fetch_optional<T: FromRow>(self) -> Result<Option<T>, Error> {
        self.fetch().await?.next().await
    }
}
