//! Run one statement on one connection, hand its rows on as fast as they are read, and end it on the
//! server when it has to end.
//!
//! Whatever happens, the connection is in a known state afterwards, or marked broken.

use std::pin::pin;
use std::sync::Arc;

use futures_util::StreamExt;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, PgStatement};
use sqlx::{
    Arguments, AssertSqlSafe, Connection as _, Either, Executor, Row as _, SqlSafeStr, Statement,
    ValueRef,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::backend::{Column, Error, Row, Value};
use super::connection::Connection;
use super::convert::{self, Kind, Type};
use super::error::{self, Cause};
use super::limits;
use super::pool::Pool;
use super::session;
use super::statement::{Task, Work};

/// Run a task. `retries` allows to prepare the statement anew when the schema has changed under it;
/// in a transaction, the server allows nothing more after that error.
pub(super) async fn run(
    connection: &mut Connection,
    pool: &Pool,
    task: &mut Task,
    retries: bool,
) -> Result<u64, Error> {
    if let Work::Statement { text, .. } = &task.work {
        if session::is_copy(text) {
            return Err(Error::Unsupported(
                "copy is not carried by this interface; use insert and select".to_string(),
            ));
        }
        connection.leftover = connection.leftover.max(session::leftover(text));
    }

    let time = pool.config.statement_timeout;
    let deadline = Instant::now() + time + limits::STATEMENT_GRACE;
    let halt = Halt::default();
    let pid = connection.pid;
    let Task { work, wants_rows, columns, stop, .. } = task;
    let mut sink = Sink { wants_rows: *wants_rows, columns, batches: &stop.batches };

    let (ended, cause, cancelled) = {
        let mut running = pin!(perform(&mut connection.sql, work, &mut sink, &halt, retries));
        tokio::select! {
            biased;
            ended = &mut running => (Some(ended), None, false),
            cause = stop.cause(deadline, &halt.unreadable) => {
                halt.stopped.cancel();
                // Keep reading meanwhile: a server that waits for room to send sees no cancel.
                let (cancelled, ended) = tokio::join!(
                    pool.control.cancel(pid),
                    timeout(limits::DRAIN_TIMEOUT, &mut running),
                );
                (ended.ok(), Some(cause), cancelled)
            }
        }
    };

    let Some(Ended { outcome, refused }) = ended else {
        connection.broken = true;
        return Err(of_cause(cause, None, pool));
    };
    if let Err(error) = &outcome {
        connection.broken |= error::is_fatal(error);
        connection.stale |= error::is_stale_plan(error);
    }
    if cause.is_some() && !connection.broken {
        // A cancel that was asked for may still arrive, and must not hit the next statement.
        connection.broken = !cancelled || !connection.is_alive().await;
    }
    match (cause, refused, outcome) {
        (None, None, Ok(count)) => Ok(count),
        (None, Some(refused), _) => Err(refused),
        (None, None, Err(error)) => Err(error::of_statement(error, time)),
        (cause, refused, _) => Err(of_cause(cause, refused, pool)),
    }
}

fn of_cause(cause: Option<Cause>, refused: Option<Error>, pool: &Pool) -> Error {
    match (cause, refused) {
        (Some(Cause::Deadline), _) => error::timed_out(pool.config.statement_timeout),
        (Some(Cause::Unreadable), Some(refused)) => refused,
        _ => Error::Cancelled,
    }
}

/// Signals between the statement and what watches over it.
#[derive(Default)]
struct Halt {
    /// To the statement: it is being cancelled, rows are to be thrown away.
    stopped: CancellationToken,
    /// From the statement: a row cannot be handed on, cancel it.
    unreadable: CancellationToken,
}

/// Where rows go.
struct Sink<'a> {
    wants_rows: bool,
    columns: &'a mut Option<tokio::sync::oneshot::Sender<Vec<Column>>>,
    batches: &'a tokio::sync::mpsc::Sender<Vec<Row>>,
}

/// How a statement ended: for the server, and for the host if it had to give up.
struct Ended {
    outcome: Result<u64, sqlx::Error>,
    refused: Option<Error>,
}

impl Ended {
    fn refused(error: Error) -> Self {
        Self { outcome: Ok(0), refused: Some(error) }
    }
}

impl From<sqlx::Error> for Ended {
    fn from(error: sqlx::Error) -> Self {
        Self { outcome: Err(error), refused: None }
    }
}

async fn perform(
    sql: &mut PgConnection,
    work: &Work,
    sink: &mut Sink<'_>,
    halt: &Halt,
    retries: bool,
) -> Ended {
    let (text, parameters) = match work {
        Work::Command(command) => {
            return match sql.execute(sqlx::raw_sql(*command)).await {
                Ok(result) => Ended { outcome: Ok(result.rows_affected()), refused: None },
                Err(error) => error.into(),
            };
        }
        Work::Statement { text, parameters } => (text, parameters),
    };
    let ended = once(sql, text, parameters, sink, halt).await;
    // Once the columns are out, they cannot be others any more.
    let may_retry = retries && sink.columns.is_some() && !halt.stopped.is_cancelled();
    match &ended.outcome {
        Err(error) if may_retry && error::is_stale_plan(error) => {
            match sql.clear_cached_statements().await {
                Ok(()) => once(sql, text, parameters, sink, halt).await,
                Err(error) => error.into(),
            }
        }
        _ => ended,
    }
}

async fn once(
    sql: &mut PgConnection,
    text: &Arc<str>,
    parameters: &[Value],
    sink: &mut Sink<'_>,
    halt: &Halt,
) -> Ended {
    let prepared = sql.prepare(AssertSqlSafe(text.clone()).into_sql_str()).await;
    let statement = match prepared {
        Ok(statement) => statement,
        Err(error) => return error.into(),
    };
    let arguments = match arguments(&statement, parameters) {
        Ok(arguments) => arguments,
        Err(error) => return Ended::refused(error),
    };
    let columns = if sink.wants_rows {
        match columns(&statement) {
            Ok(columns) => columns,
            Err(error) => return Ended::refused(error),
        }
    } else {
        Vec::new()
    };
    rows(sql, &statement, arguments, &columns, sink, halt).await
}

fn arguments(statement: &PgStatement, given: &[Value]) -> Result<PgArguments, Error> {
    let expected = match statement.parameters() {
        Some(Either::Left(types)) => types,
        _ => &[],
    };
    if expected.len() != given.len() {
        return Err(Error::InvalidParameter(format!(
            "the statement has {} parameters, {} were given",
            expected.len(),
            given.len(),
        )));
    }
    let mut arguments = PgArguments::default();
    let mut size = 0;
    for (position, (info, value)) in expected.iter().zip(given).enumerate() {
        let parameter = convert::write(position, &Type::of(info), value)?;
        size += parameter.size();
        if size > limits::PARAMETER_BYTES {
            return Err(Error::InvalidParameter(format!(
                "the parameters up to number {} are larger than {} bytes",
                position + 1,
                limits::PARAMETER_BYTES,
            )));
        }
        arguments.add(parameter).map_err(|error| {
            Error::InvalidParameter(format!("parameter {}: {error}", position + 1))
        })?;
    }
    Ok(arguments)
}

/// A column as the host reads it.
struct Reader {
    name: String,
    of: Type,
}

/// The columns, if each has a case in the interface.
fn columns(statement: &PgStatement) -> Result<Vec<Reader>, Error> {
    let readers = statement
        .columns()
        .iter()
        .map(|column| Reader {
            name: sqlx::Column::name(column).to_string(),
            of: Type::of(sqlx::Column::type_info(column)),
        })
        .collect::<Vec<_>>();
    for (position, Reader { name, of }) in readers.iter().enumerate() {
        if of.kind == Kind::Other {
            let reason = "has no case in the interface";
            return Err(convert::unsupported(position, name, of, reason));
        }
    }
    Ok(readers)
}

async fn rows(
    sql: &mut PgConnection,
    statement: &PgStatement,
    arguments: PgArguments,
    readers: &[Reader],
    sink: &mut Sink<'_>,
    halt: &Halt,
) -> Ended {
    let mut stream = sql.fetch_many(statement.query_with(arguments));
    let mut first_row = pin!(sleep(limits::FIRST_ROW_WAIT));
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let (mut sent, mut changed) = (0, 0);
    let mut refused = None;
    loop {
        let next = tokio::select! {
            biased;
            next = stream.next() => next,
            // The reader has read everything, and nothing more has come: what there is goes out.
            read = sink.batches.reserve_many(limits::BATCHES_AHEAD), if !batch.is_empty() => {
                drop(read);
                sent += sink.send(readers, &mut batch, &mut bytes, halt).await;
                continue;
            }
            () = &mut first_row, if sink.columns.is_some() => {
                sink.accept(readers);
                continue;
            }
        };
        match next {
            Some(Ok(Either::Left(result))) => changed += result.rows_affected(),
            Some(Ok(Either::Right(row))) => {
                if !sink.wants_rows || halt.stopped.is_cancelled() || refused.is_some() {
                    continue;
                }
                match read_row(&row, readers) {
                    Ok((row, size)) => {
                        batch.push(row);
                        bytes += size;
                    }
                    Err(error) => {
                        refused = Some(error);
                        halt.unreadable.cancel();
                        continue;
                    }
                }
                if batch.len() >= limits::BATCH_ROWS || bytes >= limits::BATCH_BYTES {
                    sent += sink.send(readers, &mut batch, &mut bytes, halt).await;
                }
            }
            Some(Err(error)) => {
                // Rows before the failure were read well.
                sink.send(readers, &mut batch, &mut bytes, halt).await;
                return Ended { outcome: Err(error), refused };
            }
            None => break,
        }
    }
    sent += sink.send(readers, &mut batch, &mut bytes, halt).await;
    sink.accept(readers);
    Ended { outcome: Ok(if sink.wants_rows { sent } else { changed }), refused }
}

impl Sink<'_> {
    /// Say that the server has accepted the statement.
    fn accept(&mut self, readers: &[Reader]) {
        if let Some(sender) = self.columns.take() {
            let columns = readers
                .iter()
                .map(|Reader { name, of }| Column {
                    name: name.clone(),
                    type_name: of.name.clone(),
                })
                .collect();
            // Whoever has gone is noticed by the rows' channel.
            let _ = sender.send(columns);
        }
    }

    /// Send a batch, waiting for room. Gives the number of rows sent.
    async fn send(
        &mut self,
        readers: &[Reader],
        batch: &mut Vec<Row>,
        bytes: &mut usize,
        halt: &Halt,
    ) -> u64 {
        if batch.is_empty() {
            return 0;
        }
        self.accept(readers);
        *bytes = 0;
        let batch = std::mem::take(batch);
        let count = u64::try_from(batch.len()).unwrap_or_default();
        tokio::select! {
            biased;
            () = halt.stopped.cancelled() => 0,
            sent = self.batches.send(batch) => if sent.is_ok() { count } else { 0 },
        }
    }
}

/// The row, and its size on the wire.
fn read_row(row: &PgRow, readers: &[Reader]) -> Result<(Row, usize), Error> {
    let mut values = Vec::with_capacity(readers.len());
    let mut size = 0;
    for (position, Reader { name, of }) in readers.iter().enumerate() {
        let raw = row.try_get_raw(position).ok().filter(|raw| !raw.is_null());
        let bytes = raw.as_ref().and_then(|raw| raw.as_bytes().ok());
        size += bytes.map_or(0, <[u8]>::len);
        if size > limits::ROW_BYTES {
            return Err(Error::Unsupported(format!(
                "a row is larger than {} bytes at column {} \"{name}\"; read it in pieces",
                limits::ROW_BYTES,
                position + 1,
            )));
        }
        let value = convert::read(of, bytes)
            .map_err(|reason| convert::unsupported(position, name, of, reason))?;
        values.push(value);
    }
    Ok((values, size))
}
