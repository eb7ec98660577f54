//! What a database is asked and answers, as a test in Rust writes it.

use std::time::Duration;

use super::call;
use crate::case::value::cell;
use crate::case::{Action, Call, CallAnswer, Expected, Outcome, RowItem, RowsAnswer, RowsEnd};
use wasm_host_capabilities::postgres::backend::{Column, Scalar, Value};
pub use wasm_host_capabilities::postgres::backend::{Error as DatabaseError, SqlError};

/// A value of a row or a parameter, made from Rust's own types.
#[derive(Clone, Debug)]
pub struct Cell {
    value: Value,
    type_name: String,
}

impl Cell {
    fn new(value: Value, type_name: &str) -> Self {
        Self { value, type_name: type_name.to_string() }
    }

    /// A value of any type, written as in a case file: `Cell::of("timestamptz", "2026-01-31T23:59:30Z")`,
    /// `Cell::of("numeric", "1.50")`, `Cell::of("text[]", r#"["a", "b"]"#)`.
    ///
    /// # Panics
    /// It is no such value: that is a mistake in the test.
    #[expect(
        clippy::panic,
        reason = "a mistake in the test's own text, which a test tells by a panic"
    )]
    pub fn of(type_name: &str, text: &str) -> Self {
        let written = match type_name.ends_with("[]") {
            true => format!("value = {text}").parse().ok(),
            false => Some(toml::Table::from_iter([("value".to_string(), text.into())])),
        };
        let value = written.and_then(|table| cell(type_name, table.get("value")?).ok());
        match value {
            Some(value) => Self::new(value, type_name),
            None => panic!("'{text}' is no {type_name}"),
        }
    }
}

macro_rules! cells {
    ($($rust:ty, $case:ident, $name:literal;)*) => {$(
        impl From<$rust> for Cell {
            fn from(value: $rust) -> Self {
                Self::new(Value::Scalar(Scalar::$case(value.into())), $name)
            }
        }
    )*};
}

cells! {
    &str, Text, "text";
    String, Text, "text";
    bool, Boolean, "bool";
    i16, Int16, "int2";
    i32, Int32, "int4";
    i64, Int64, "int8";
    f32, Float32, "float4";
    f64, Float64, "float8";
    Vec<u8>, Bytes, "bytea";
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::new(Value::Null, "text"), Into::into)
    }
}

/// A query and its rows.
#[derive(Clone, Debug)]
pub struct Rows {
    statement: String,
    parameters: Vec<Expected>,
    columns: Option<Vec<Column>>,
    types: Vec<String>,
    rows: Vec<RowItem>,
    end: RowsEnd,
    instead: Option<RowsAnswer>,
    after: Duration,
    transaction: Option<usize>,
    cancelled: bool,
}

impl Rows {
    /// These rows for this statement. Columns are called `column1` and so on, with the types of the first row, unless
    /// [`columns`](Self::columns) says otherwise.
    pub fn of<R: IntoIterator<Item: Into<Cell>>>(
        statement: &str,
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        let mut types = Vec::new();
        let mut items = Vec::new();
        for row in rows {
            let cells: Vec<Cell> = row.into_iter().map(Into::into).collect();
            if types.is_empty() {
                types = cells.iter().map(|cell| cell.type_name.clone()).collect();
            }
            items.push(RowItem::Row(cells.into_iter().map(|cell| cell.value).collect()));
        }
        Self {
            statement: statement.to_string(),
            parameters: Vec::new(),
            columns: None,
            types,
            rows: items,
            end: RowsEnd::Whole,
            instead: None,
            after: Duration::ZERO,
            transaction: None,
            cancelled: false,
        }
    }

    /// No row for this statement.
    pub fn none(statement: &str) -> Self {
        Self::of(statement, [[""; 0]; 0])
    }

    /// The server does not accept the statement, with this SQLSTATE and message.
    pub fn refused(statement: &str, sqlstate: &str, message: &str) -> Self {
        Self::fails(statement, database(sqlstate, message))
    }

    /// There is no server: it is down, or went away.
    pub fn unavailable(statement: &str, why: &str) -> Self {
        Self::fails(statement, DatabaseError::Unavailable(why.to_string()))
    }

    /// The statement fails at once, in any way.
    pub fn fails(statement: &str, error: DatabaseError) -> Self {
        Self { instead: Some(RowsAnswer::Refused(error)), ..Self::none(statement) }
    }

    /// No answer ever comes.
    pub fn silent(statement: &str) -> Self {
        Self { instead: Some(RowsAnswer::Silent), ..Self::none(statement) }
    }

    /// The names and types of the columns, as Postgres calls them: `[("id", "int4")]`.
    pub fn columns<'a>(mut self, columns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let column =
            |(name, kind): (&str, &str)| Column { name: name.into(), type_name: kind.into() };
        self.columns = Some(columns.into_iter().map(column).collect());
        self
    }

    /// The parameters that the statement must have. Without this, none.
    pub fn parameters(mut self, parameters: impl IntoIterator<Item: Into<Cell>>) -> Self {
        self.parameters = expected(parameters);
        self
    }

    /// Virtual time before the server accepts the statement.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Virtual time after the rows so far, before those that [`then`](Self::then) adds, or the end.
    pub fn pause(mut self, time: Duration) -> Self {
        self.rows.push(RowItem::Pause(time));
        self
    }

    /// One more row.
    pub fn then(mut self, row: impl IntoIterator<Item: Into<Cell>>) -> Self {
        self.rows.push(RowItem::Row(row.into_iter().map(|cell| cell.into().value).collect()));
        self
    }

    /// After the rows, the statement fails.
    pub fn then_error(self, sqlstate: &str, message: &str) -> Self {
        self.then_fail(database(sqlstate, message))
    }

    /// After the rows, the connection is lost.
    pub fn then_disconnect(self) -> Self {
        let lost = "the connection to the database was lost".to_string();
        self.then_fail(DatabaseError::Unavailable(lost))
    }

    /// After the rows, the statement fails in any way.
    pub fn then_fail(mut self, error: DatabaseError) -> Self {
        self.end = RowsEnd::Error(error);
        self
    }

    /// After the rows, nothing more ever comes.
    pub fn then_stall(mut self) -> Self {
        self.end = RowsEnd::Stall;
        self
    }

    /// It is made in the transaction of this number, from 1.
    pub fn within(mut self, transaction: usize) -> Self {
        self.transaction = Some(transaction);
        self
    }

    /// The component gives it up.
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }
}

fn database(sqlstate: &str, message: &str) -> DatabaseError {
    DatabaseError::Database(SqlError {
        sqlstate: sqlstate.to_string(),
        severity: "ERROR".to_string(),
        message: message.to_string(),
        detail: None,
        hint: None,
        constraint: None,
        table: None,
        column: None,
        position: None,
    })
}

fn expected(parameters: impl IntoIterator<Item: Into<Cell>>) -> Vec<Expected> {
    parameters.into_iter().map(|cell| Expected::Exactly(cell.into().value)).collect()
}

impl IntoIterator for Rows {
    type Item = Call;
    type IntoIter = std::iter::Once<Call>;

    fn into_iter(self) -> Self::IntoIter {
        let named = |(index, name): (usize, &String)| Column {
            name: format!("column{}", index + 1),
            type_name: name.clone(),
        };
        let columns =
            self.columns.unwrap_or_else(|| self.types.iter().enumerate().map(named).collect());
        let rows = RowsAnswer::Rows { columns, rows: self.rows, end: self.end };
        let answer = self.instead.unwrap_or(rows);
        let (statement, parameters) = (self.statement, self.parameters);
        std::iter::once(Call {
            transaction: self.transaction,
            cancelled: self.cancelled,
            after: self.after,
            ..call(Action::Query { statement, parameters, answer })
        })
    }
}

/// A statement for its effect.
#[derive(Clone, Debug)]
pub struct Execute(Call);

impl Execute {
    /// It changes this many rows.
    pub fn of(statement: &str, changed: u64) -> Self {
        Self::with(statement, CallAnswer::Value(changed))
    }

    /// It fails, with this SQLSTATE and message.
    pub fn refused(statement: &str, sqlstate: &str, message: &str) -> Self {
        Self::fails(statement, database(sqlstate, message))
    }

    /// There is no server: it is down, or went away.
    pub fn unavailable(statement: &str, why: &str) -> Self {
        Self::fails(statement, DatabaseError::Unavailable(why.to_string()))
    }

    /// It fails in any way.
    pub fn fails(statement: &str, error: DatabaseError) -> Self {
        Self::with(statement, CallAnswer::Error(error))
    }

    /// No answer ever comes.
    pub fn silent(statement: &str) -> Self {
        Self::with(statement, CallAnswer::Stall)
    }

    fn with(statement: &str, answer: CallAnswer<u64>) -> Self {
        let statement = statement.to_string();
        Self(call(Action::Execute { statement, parameters: Vec::new(), answer }))
    }

    /// The parameters that the statement must have. Without this, none.
    pub fn parameters(mut self, wanted: impl IntoIterator<Item: Into<Cell>>) -> Self {
        if let Action::Execute { parameters, .. } = &mut self.0.action {
            *parameters = expected(wanted);
        }
        self
    }

    /// Virtual time before it is answered.
    pub fn after(mut self, time: Duration) -> Self {
        self.0.after = time;
        self
    }

    /// It is made in the transaction of this number, from 1.
    pub fn within(mut self, transaction: usize) -> Self {
        self.0.transaction = Some(transaction);
        self
    }

    /// The component gives it up.
    pub fn cancelled(mut self) -> Self {
        self.0.cancelled = true;
        self
    }
}

impl IntoIterator for Execute {
    type Item = Call;
    type IntoIter = std::iter::Once<Call>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.0)
    }
}

/// A transaction's own calls. Transactions are counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct Transaction;

impl Transaction {
    /// It begins, and must be committed or rolled back.
    pub fn begin(outcome: Outcome) -> [Call; 1] {
        [call(Action::Begin { outcome, answer: CallAnswer::Value(()) })]
    }

    /// It cannot begin.
    pub fn begin_fails(error: DatabaseError) -> [Call; 1] {
        [call(Action::Begin { outcome: Outcome::RolledBack, answer: CallAnswer::Error(error) })]
    }

    /// It is committed by a call.
    pub fn commit(transaction: usize) -> [Call; 1] {
        let action = Action::Commit { answer: CallAnswer::Value(()) };
        [Call { transaction: Some(transaction), ..call(action) }]
    }

    /// Committing it fails, with this SQLSTATE and message.
    pub fn commit_refused(transaction: usize, sqlstate: &str, message: &str) -> [Call; 1] {
        Self::commit_fails(transaction, database(sqlstate, message))
    }

    /// Committing it fails in any way.
    pub fn commit_fails(transaction: usize, error: DatabaseError) -> [Call; 1] {
        let action = Action::Commit { answer: CallAnswer::Error(error) };
        [Call { transaction: Some(transaction), ..call(action) }]
    }

    /// It is rolled back by a call. One that is dropped is rolled back without.
    pub fn rollback(transaction: usize) -> [Call; 1] {
        let action = Action::Rollback { answer: CallAnswer::Value(()) };
        [Call { transaction: Some(transaction), ..call(action) }]
    }
}
