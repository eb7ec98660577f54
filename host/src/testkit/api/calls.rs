//! The calls of a script, as a test in Rust writes them.

use std::time::Duration;

pub use crate::capability::postgres::backend::SqlError;
use crate::capability::postgres::backend::{Column, Error, Scalar, Value};
use crate::testkit::case::{
    self, Action, Answer, Body, Call, Content, End, Expected, HttpAnswer, Outcome, Piece, RowItem,
    RowsAnswer, RowsEnd, Target,
};

fn call(action: Action) -> Call {
    Call { line: 0, transaction: None, action, cancelled: false, after: Duration::ZERO }
}

/// A value of a row or a parameter, made from Rust's own types.
#[derive(Clone, Debug)]
pub struct Cell {
    value: Value,
    type_name: &'static str,
}

macro_rules! cell {
    ($($rust:ty, $case:ident, $name:literal;)*) => {$(
        impl From<$rust> for Cell {
            fn from(value: $rust) -> Self {
                Self { value: Value::Scalar(Scalar::$case(value.into())), type_name: $name }
            }
        }
    )*};
}

cell! {
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
        value.map_or(Self { value: Value::Null, type_name: "text" }, Into::into)
    }
}

/// A query and its rows.
#[derive(Clone, Debug)]
pub struct Rows {
    statement: String,
    parameters: Vec<Expected>,
    columns: Option<Vec<Column>>,
    types: Vec<&'static str>,
    rows: Vec<RowItem>,
    end: RowsEnd,
    refused: Option<Error>,
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
                types = cells.iter().map(|cell| cell.type_name).collect();
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
            refused: None,
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
        Self { refused: Some(database(sqlstate, message)), ..Self::none(statement) }
    }

    /// There is no server: it is down, or went away.
    pub fn unavailable(statement: &str, why: &str) -> Self {
        Self { refused: Some(Error::Unavailable(why.to_string())), ..Self::none(statement) }
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
    pub fn then_error(mut self, sqlstate: &str, message: &str) -> Self {
        self.end = RowsEnd::Error(database(sqlstate, message));
        self
    }

    /// After the rows, the connection is lost.
    pub fn then_disconnect(mut self) -> Self {
        self.end = RowsEnd::Error(Error::Unavailable(
            "the connection to the database was lost".to_string(),
        ));
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

fn database(sqlstate: &str, message: &str) -> Error {
    Error::Database(SqlError {
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
        let named = |(index, name): (usize, &&str)| Column {
            name: format!("column{}", index + 1),
            type_name: (*name).to_string(),
        };
        let columns =
            self.columns.unwrap_or_else(|| self.types.iter().enumerate().map(named).collect());
        let answer = match self.refused {
            Some(error) => RowsAnswer::Refused(error),
            None => RowsAnswer::Rows { columns, rows: self.rows, end: self.end },
        };
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
    /// It changes so many rows.
    pub fn of(statement: &str, changed: u64) -> Self {
        Self::with(statement, Answer::Value(changed))
    }

    /// It fails.
    pub fn refused(statement: &str, sqlstate: &str, message: &str) -> Self {
        Self::with(statement, Answer::Error(database(sqlstate, message)))
    }

    fn with(statement: &str, answer: Answer<u64>) -> Self {
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

    /// It is made in the transaction of this number, from 1.
    pub fn within(mut self, transaction: usize) -> Self {
        self.0.transaction = Some(transaction);
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
        [call(Action::Begin { outcome, answer: Answer::Value(()) })]
    }

    /// It is committed by a call.
    pub fn commit(transaction: usize) -> [Call; 1] {
        let action = Action::Commit { answer: Answer::Value(()) };
        [Call { transaction: Some(transaction), ..call(action) }]
    }

    /// Committing it fails.
    pub fn commit_refused(transaction: usize, sqlstate: &str, message: &str) -> [Call; 1] {
        let action = Action::Commit { answer: Answer::Error(database(sqlstate, message)) };
        [Call { transaction: Some(transaction), ..call(action) }]
    }

    /// It is rolled back by a call. One that is dropped is rolled back without.
    pub fn rollback(transaction: usize) -> [Call; 1] {
        let action = Action::Rollback { answer: Answer::Value(()) };
        [Call { transaction: Some(transaction), ..call(action) }]
    }
}

/// A request that the component makes, with its answer. Without more, the answer is 200 and empty, and the
/// request's body does not matter.
#[derive(Clone, Debug)]
pub struct Exchange {
    method: String,
    target: String,
    body: Option<Body>,
    answer: Option<HttpAnswer>,
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Vec<Piece>,
    whole: Option<Body>,
    end: End,
    after: Duration,
    cancelled: bool,
}

impl Exchange {
    /// A request to this path (Ollama) or url (`http://NAME/path`, a service).
    pub fn of(method: &str, target: &str) -> Self {
        Self {
            method: method.to_string(),
            target: target.to_string(),
            body: None,
            answer: None,
            status: 200,
            headers: Vec::new(),
            pieces: Vec::new(),
            whole: None,
            end: End::Whole,
            after: Duration::ZERO,
            cancelled: false,
        }
    }

    /// An answer to `POST /api/chat` that says these tokens and is done. [`end`](Self::end) and others change how it goes on.
    pub fn chat<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut exchange = Self::of("POST", "/api/chat");
        for token in tokens {
            let message = serde_json::json!({ "role": "assistant", "content": token });
            let line = serde_json::json!({ "message": message, "done": false });
            exchange = exchange.line(&line.to_string());
        }
        exchange
    }

    /// The last line of an answer of Ollama.
    pub fn done(self) -> Self {
        self.line(
            r#"{"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}"#,
        )
    }

    /// The JSON that the component must send.
    pub fn asked(mut self, json: &str) -> Self {
        self.body = Some(Body::Json(json.to_string()));
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_string(), value.to_string()));
        self
    }

    /// The whole answer.
    pub fn json(mut self, text: &str) -> Self {
        self.whole = Some(Body::Json(text.to_string()));
        self.header("content-type", "application/json")
    }

    /// One more line of a streamed answer.
    pub fn line(self, text: &str) -> Self {
        self.chunk(format!("{text}\n"))
    }

    /// More bytes of a streamed answer.
    pub fn chunk(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.pieces.push(match String::from_utf8(bytes.into()) {
            Ok(text) => Piece::Text(text),
            Err(error) => Piece::Bytes(error.into_bytes()),
        });
        self
    }

    /// Virtual time before what follows.
    pub fn pause(mut self, time: Duration) -> Self {
        self.pieces.push(Piece::Pause(time));
        self
    }

    /// How the streamed answer ends.
    pub fn end(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    /// Virtual time before the answer's head.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    /// Nobody is there.
    pub fn unreachable(mut self, why: &str) -> Self {
        self.answer = Some(HttpAnswer::Unreachable(why.to_string()));
        self
    }

    /// The connection breaks before the answer's head.
    pub fn lost(mut self, how: &str) -> Self {
        self.answer = Some(HttpAnswer::Lost(how.to_string()));
        self
    }

    /// No answer ever comes.
    pub fn silent(mut self) -> Self {
        self.answer = Some(HttpAnswer::Silent);
        self
    }

    /// The component gives it up.
    pub fn cancelled(mut self) -> Self {
        self.cancelled = true;
        self
    }

    pub(super) fn call(self, to: Target) -> Call {
        let content = match self.whole {
            Some(body) => Content::Whole(body),
            None if self.pieces.is_empty() => Content::Empty,
            None => Content::Stream { pieces: self.pieces, lines: false },
        };
        let response = HttpAnswer::Response {
            status: self.status,
            headers: self.headers,
            content,
            end: self.end,
        };
        let exchange = case::Exchange {
            to,
            method: self.method,
            target: self.target,
            headers: Vec::new(),
            any_body: self.body.is_none(),
            body: self.body,
        };
        let answer = self.answer.unwrap_or(response);
        Call {
            cancelled: self.cancelled,
            after: self.after,
            ..call(Action::Http { exchange, answer })
        }
    }
}
