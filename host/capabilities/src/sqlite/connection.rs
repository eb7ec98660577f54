//! One connection of a guest: opened when it is first used, and given up with a statement that is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use futures_util::TryStreamExt as _;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Either, Executor as _, Row as _, SqlSafeStr as _,
    Statement as _, TypeInfo as _, ValueRef as _,
};
use tokio::sync::{Mutex, oneshot};

use super::backend::{Connection, Error, Output, Value};
use super::database::File;
use super::seen::Seen;
use crate::context::RequestContext;
use crate::places::Place;
use wasm_host_limits::spin::ROWS_BYTES;
use wasm_host_limits::sqlite as limits;
use wasm_host_system::computing;

/// A connection as a guest has it.
pub(super) struct OfGuest {
    file: File,
    open: Arc<Mutex<OpenState>>,
}

enum OpenState {
    /// It has not been used.
    Closed,
    Open(Box<Open>),
    /// A statement of it was given up, and with it what transaction it was in.
    GivenUp,
}

struct Open {
    connection: SqliteConnection,
    stop: Arc<AtomicBool>,
    last_insert_rowid: i64,
    _place: Place,
}

impl OfGuest {
    pub(super) fn new(file: File) -> Self {
        Self { file, open: Arc::new(Mutex::new(OpenState::Closed)) }
    }
}

impl Connection for OfGuest {
    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> BoxFuture<'_, Result<Output, Error>> {
        Box::pin(async move {
            let cancel = request.cancel().clone();
            let given = parameters.iter().map(Value::size).sum::<usize>();
            let is_large = given > limits::LARGE_ARGUMENT_BYTES;
            let seen = Seen::begin(&request, &statement, self.file.namespace());
            let executed = execute(self.file.clone(), self.open.clone(), statement, parameters);
            let (mut tell, told) = oneshot::channel();
            // A task of its own: a component that waits for another call as a whole does not poll this one, which has
            // the connection. It ends where nothing waits for it any more.
            let task = async move {
                tokio::select! {
                    biased;
                    () = tell.closed() => {}
                    result = executed => drop(tell.send(result)),
                }
            };
            computing::spawn(task, is_large, self.file.weight());
            let result = match cancel.run_until_cancelled(told).await {
                Some(Ok(result)) => result,
                // Nothing else ends it while it is waited for.
                Some(Err(_)) => Err(Error::Failed(
                    "the database's driver broke off; the host's log says how".to_owned(),
                )),
                None => Err(Error::Cancelled),
            };
            seen.ended(&result);
            result
        })
    }
}

async fn execute(
    file: File,
    connection: Arc<Mutex<OpenState>>,
    statement: String,
    parameters: Vec<Value>,
) -> Result<Output, Error> {
    let mut state = connection.lock().await;
    let mut open = take(&file, &mut state).await?;
    // Stops the statement where this future is dropped, too.
    let stop = Stop(Some(open.stop.clone()));
    let _running = file.runs();
    let until = Instant::now() + file.limits().statement_timeout;
    let output = run(&mut open, statement, parameters, until).await;
    stop.disarm();
    *state = OpenState::Open(open);
    output
}

async fn take(file: &File, state: &mut OpenState) -> Result<Box<Open>, Error> {
    match std::mem::replace(state, OpenState::GivenUp) {
        OpenState::Open(open) => Ok(open),
        OpenState::GivenUp => Err(Error::Failed(
            "a statement of this connection was cancelled, and the connection with it; open another".to_owned(),
        )),
        OpenState::Closed => {
            let connected = file.connect().await;
            // One that could not be opened may be tried again.
            let (connection, place) = connected.inspect_err(|_| *state = OpenState::Closed)?;
            let (stop, last_insert_rowid) = Default::default();
            Ok(Box::new(Open { connection, stop, last_insert_rowid, _place: place }))
        }
    }
}

/// Stops a statement when it is dropped.
struct Stop(Option<Arc<AtomicBool>>);

impl Stop {
    /// There is nothing to stop any more.
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if let Some(stop) = &self.0 {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

async fn run(
    open: &mut Open,
    statement: String,
    parameters: Vec<Value>,
    until: Instant,
) -> Result<Output, Error> {
    let stop = open.stop.clone();
    let mut handle = open.connection.lock_handle().await.map_err(|error| of(&error, until))?;
    handle.set_progress_handler(limits::STEPS.cast_signed(), move || {
        // On the connection's own thread, which no small statement makes come here.
        computing::be_less_urgent();
        !stop.load(Ordering::Relaxed) && Instant::now() < until
    });
    drop(handle);
    let mut output = Output { last_insert_rowid: open.last_insert_rowid, ..Output::default() };
    let failed = |error: sqlx::Error| of(&error, until);
    let prepared = open.connection.prepare(AssertSqlSafe(statement.clone()).into_sql_str()).await;
    output.columns =
        prepared.map_err(failed)?.columns().iter().map(|it| it.name().to_owned()).collect();
    let arguments = arguments(parameters)?;
    let query = sqlx::query_with(AssertSqlSafe(statement), arguments);
    let mut rows = open.connection.fetch_many(query);
    let mut bytes = 0;
    while let Some(item) = rows.try_next().await.map_err(failed)? {
        match item {
            Either::Left(done) => {
                output.changes = done.rows_affected();
                output.last_insert_rowid = done.last_insert_rowid();
            }
            Either::Right(row) => {
                let values = values(&row).map_err(failed)?;
                bytes += values.iter().map(Value::size).sum::<usize>();
                if bytes > ROWS_BYTES {
                    return Err(Error::Failed(format!(
                        "its rows have more than {ROWS_BYTES} bytes; ask for fewer"
                    )));
                }
                output.rows.push(values);
            }
        }
    }
    drop(rows);
    open.last_insert_rowid = output.last_insert_rowid;
    Ok(output)
}

fn arguments(parameters: Vec<Value>) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    for parameter in parameters {
        let added = match parameter {
            Value::Null => arguments.add(None::<i64>),
            Value::Integer(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Blob { blob } => arguments.add(blob),
        };
        added.map_err(|error| Error::Failed(error.to_string()))?;
    }
    Ok(arguments)
}

fn values(row: &SqliteRow) -> sqlx::Result<Vec<Value>> {
    (0..row.len()).map(|column| value(row, column)).collect()
}

fn value(row: &SqliteRow, column: usize) -> sqlx::Result<Value> {
    let raw = row.try_get_raw(column)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    // Of the value, not of the column: SQLite stores any value in any.
    Ok(match raw.type_info().name() {
        "INTEGER" => Value::Integer(row.try_get_unchecked(column)?),
        "REAL" => Value::Real(row.try_get_unchecked(column)?),
        "TEXT" => Value::Text(row.try_get_unchecked(column)?),
        _ => Value::Blob { blob: row.try_get_unchecked(column)? },
    })
}

/// What SQLite's own codes mean here. A code has its kind in the lower byte.
fn of(error: &sqlx::Error, until: Instant) -> Error {
    const FULL: i32 = 13;
    const INTERRUPTED: i32 = 9;
    const DENIED: i32 = 23;
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff);
    match code {
        Some(FULL) => Error::Full,
        Some(INTERRUPTED) if Instant::now() >= until => {
            Error::Failed("the statement took longer than 'statement-timeout'".to_owned())
        }
        Some(INTERRUPTED) => Error::Cancelled,
        Some(DENIED) => Error::Failed(format!(
            "{error}; other files, and pragmas that reach for memory or for bounds, are not for components"
        )),
        _ => Error::Failed(error.to_string()),
    }
}
