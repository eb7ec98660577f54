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
use super::memory::Memory;
use super::seen::Seen;
use crate::budget::{Holdings, Reservation, account, add_to_call};
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
    /// A statement of it was given up, or had no memory for a row, and with it what transaction it was in.
    GivenUp,
}

struct Open {
    connection: SqliteConnection,
    memory: Arc<Memory>,
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
            let (file, open, account) = (self.file.clone(), self.open.clone(), account());
            let executed = execute(file, open, account, statement, parameters);
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
                Some(Ok(result)) => result.map(|Answer { output, held }| {
                    if let Some(held) = held {
                        add_to_call(held);
                    }
                    output
                }),
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

/// What a statement came to, and what is held for its rows.
struct Answer {
    output: Output,
    held: Option<Reservation>,
}

async fn execute(
    file: File,
    connection: Arc<Mutex<OpenState>>,
    account: Option<Holdings>,
    statement: String,
    parameters: Vec<Value>,
) -> Result<Answer, Error> {
    let mut state = connection.lock().await;
    let mut open = take(&file, &mut state, account.as_ref()).await?;
    // Stops the statement where this future is dropped, too.
    let stop = Stop(Some(open.stop.clone()));
    let _running = file.runs();
    let until = Instant::now() + file.limits().statement_timeout;
    let rows = Rows { bytes: 0, held: account.map(|account| account.hold_nothing()) };
    let answer = run(&mut open, rows, statement, parameters, until).await;
    stop.disarm();
    let Some(exhausted) = open.memory.refused() else {
        *state = OpenState::Open(open);
        return answer;
    };
    // Where the driver has no memory for a row, its thread panics, and then that looks like the end of the rows. Only what
    // SQLite itself says shows that it is still there.
    if matches!(&answer, Err(Error::Failed(why)) if why == NO_MEMORY) {
        *state = OpenState::Open(open);
    }
    Err(Error::Failed(exhausted.to_string()))
}

async fn take(
    file: &File,
    state: &mut OpenState,
    account: Option<&Holdings>,
) -> Result<Box<Open>, Error> {
    match std::mem::replace(state, OpenState::GivenUp) {
        OpenState::Open(open) => Ok(open),
        OpenState::GivenUp => Err(Error::Failed(
            "a statement of this connection was cancelled or had no memory for a row, and the connection ended with \
             it; open another"
                .to_owned(),
        )),
        OpenState::Closed => {
            let connected = file.connect(account).await;
            // One that could not be opened may be tried again.
            let (connection, memory, place) =
                connected.inspect_err(|_| *state = OpenState::Closed)?;
            let (stop, last_insert_rowid) = Default::default();
            Ok(Box::new(Open { connection, memory, stop, last_insert_rowid, _place: place }))
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
    mut counted: Rows,
    statement: String,
    parameters: Vec<Value>,
    until: Instant,
) -> Result<Answer, Error> {
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
    while let Some(item) = rows.try_next().await.map_err(failed)? {
        match item {
            Either::Left(done) => {
                output.changes = done.rows_affected();
                output.last_insert_rowid = done.last_insert_rowid();
            }
            Either::Right(row) => {
                let columns = 0..row.len();
                let values = columns.map(|column| counted.value(&row, column, failed));
                output.rows.push(values.collect::<Result<_, _>>()?);
            }
        }
    }
    drop(rows);
    open.last_insert_rowid = output.last_insert_rowid;
    Ok(Answer { output, held: counted.held })
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

/// The rows of a statement, each value of which is counted before there is a copy of it.
struct Rows {
    bytes: usize,
    /// For the instance that they are for, if there is one.
    held: Option<Reservation>,
}

impl Rows {
    fn value(
        &mut self,
        row: &SqliteRow,
        column: usize,
        failed: impl Fn(sqlx::Error) -> Error,
    ) -> Result<Value, Error> {
        let raw = row.try_get_raw(column).map_err(&failed)?;
        if raw.is_null() {
            return self.hold(0).map(|()| Value::Null);
        }
        // Of the value, not of the column: SQLite stores any value in any.
        match raw.type_info().name() {
            "INTEGER" => {
                self.hold(0)?;
                row.try_get_unchecked(column).map(Value::Integer).map_err(failed)
            }
            "REAL" => {
                self.hold(0)?;
                row.try_get_unchecked(column).map(Value::Real).map_err(failed)
            }
            "TEXT" => {
                let text: &str = row.try_get_unchecked(column).map_err(failed)?;
                self.hold(text.len()).map(|()| Value::Text(text.to_owned()))
            }
            _ => {
                let blob: &[u8] = row.try_get_unchecked(column).map_err(failed)?;
                self.hold(blob.len()).map(|()| Value::Blob { blob: blob.to_owned() })
            }
        }
    }

    /// Hold room for a value of so many bytes.
    fn hold(&mut self, content: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(size_of::<Value>() + content);
        computing::handled(size_of::<Value>() + content);
        if self.bytes > ROWS_BYTES {
            return Err(Error::Failed(format!(
                "its rows have more than {ROWS_BYTES} bytes; ask for fewer"
            )));
        }
        let held = self.held.as_mut().map_or(Ok(()), |held| held.resize(self.bytes));
        held.map_err(|exhausted| Error::Failed(exhausted.to_string()))
    }
}

/// What is told of a statement for which SQLite had no memory, where nothing says why.
const NO_MEMORY: &str = "there is no memory for the statement";

/// What SQLite's own codes mean here. A code has its kind in the lower byte.
fn of(error: &sqlx::Error, until: Instant) -> Error {
    const NOMEM: i32 = 7;
    const IOERR_NOMEM: i32 = 3082;
    const FULL: i32 = 13;
    const INTERRUPTED: i32 = 9;
    const DENIED: i32 = 23;
    let code = error.as_database_error().and_then(|error| error.code());
    let code = code.and_then(|code| code.parse::<i32>().ok());
    if code == Some(IOERR_NOMEM) {
        return Error::Failed(NO_MEMORY.to_owned());
    }
    match code.map(|code| code & 0xff) {
        Some(NOMEM) => Error::Failed(NO_MEMORY.to_owned()),
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
