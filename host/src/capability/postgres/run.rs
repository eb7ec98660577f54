//! Run one statement on one connection, hand its rows on as fast as they are read, and end it on
//! the server when it has to end.
//!
//! Whatever happens, the connection is in a known state afterwards, or marked broken.

use std::pin::pin;
use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgConnection, PgStatement};
use sqlx::{Arguments, AssertSqlSafe, Connection as _, Either, Executor, SqlSafeStr, Statement};
use tokio::time::{Instant, timeout_at};

use super::backend::{Error, Value};
use super::connection::{Connection, Way};
use super::convert::{self, Type};
use super::error::{self, Cause, caught};
use super::pool::Pool;
use super::pooled::{self, Pooled};
use super::rows::{self, Ended, Halt, Sink};
use super::session::{self, Leftover};
use super::statement::{Command, Task, Work};
use crate::limits::postgres as limits;

/// Run a task. `alone` says that it is in no transaction. It may then be prepared anew when the schema has changed
/// under it; in a transaction, the server allows nothing more after that error.
pub(super) async fn run(
    connection: &mut Connection,
    pool: &Arc<Pool>,
    task: &mut Task,
    alone: bool,
) -> Result<u64, Error> {
    let pooled = matches!(connection.way, Way::Pooled(_));
    let mut leftover = connection.leftover;
    if let Work::Statement { text, .. } = &task.work {
        if session::is_copy(text) {
            return Err(Error::Unsupported(
                "copy is not carried by this interface; use insert and select".to_string(),
            ));
        }
        if let Some(refusal) = pooled.then(|| pooled::refusal(text)).flatten() {
            return Err(refusal);
        }
        leftover = leftover.max(session::leftover(text));
        connection.leftover = leftover;
    }

    let time = pool.config.statement_timeout;
    let deadline = Instant::now() + time + limits::STATEMENT_GRACE;
    let halt = Halt::default();
    let Task { work, wants_rows, columns, stop, .. } = task;
    let mut sink = Sink { wants_rows: *wants_rows, columns, batches: &stop.batches };

    let (ended, cause, cancelled) = {
        let Connection { sql, way, .. } = &mut *connection;
        let way = &*way;
        let job = Job { way, work, alone, leftover };
        let mut running = pin!(caught(job.perform(sql, &mut sink, &halt)));
        tokio::select! {
            biased;
            ended = &mut running => (Some(ended), None, false),
            cause = stop.cause(deadline, &halt.unreadable) => {
                halt.stopped.cancel();
                let (drain, cancel) = match way {
                    Way::Direct { process, .. } => {
                        let (pool, process) = (pool.clone(), *process);
                        let cancel = async move { pool.control.cancel(process).await };
                        (limits::DRAIN_TIMEOUT, Some(tokio::spawn(cancel)))
                    }
                    // By the time that a request came through, the process might run somebody else's. Nothing but
                    // the end of this connection can be meant for this statement only.
                    Way::Pooled(_) => (limits::POOLED_DRAIN, None),
                };
                // Keep reading meanwhile: a server that waits for room to send sees no cancel.
                let drained = Instant::now() + drain;
                match (timeout_at(drained, &mut running).await, cancel) {
                    (Ok(ended), Some(cancel)) => {
                        let cancelled = timeout_at(drained, cancel).await;
                        (Some(ended), Some(cause), matches!(cancelled, Ok(Ok(true))))
                    }
                    // It has ended by itself, and nothing is under way that could hit the next.
                    (Ok(ended), None) => (Some(ended), Some(cause), true),
                    (Err(_), _) => (None, Some(cause), false),
                }
            }
        }
    };

    let Some(ended) = ended else {
        connection.broken = true;
        return Err(of_cause(cause, None, pool));
    };
    let Some(Ended { outcome, refused, oversized, unsettled }) = ended else {
        connection.broken = true;
        return Err(error::of_panic());
    };
    if let Err(error) = &outcome {
        connection.broken |= error::is_fatal(error);
        connection.stale |= error::is_stale_plan(error);
    }
    connection.broken |= pooled && unsettled;
    if pooled && job_ends(&task.work, alone) {
        // Taken back, or else the connection is closed.
        connection.leftover = Leftover::Nothing;
    }
    if cause.is_some() && !connection.broken && !pooled {
        // A cancel that was asked for may still arrive, and must not hit the next statement.
        connection.broken = !cancelled || !connection.is_alive().await;
    }
    // Closing it gives the memory back.
    connection.too_large |= oversized;
    match (cause, refused, outcome) {
        (None, None, Ok(count)) => Ok(count),
        (None, Some(refused), _) => Err(refused),
        (None, None, Err(error)) => {
            let error = error::of_statement(error, time);
            Err(if pooled && alone { error::of_pooled(error) } else { error })
        }
        (cause, refused, _) => Err(of_cause(cause, refused, pool)),
    }
}

/// Whether it ends the transaction that it runs in.
fn job_ends(work: &Work, alone: bool) -> bool {
    match work {
        Work::Statement { .. } => alone,
        Work::Command(command) => matches!(command, Command::Commit | Command::Rollback),
    }
}

fn of_cause(cause: Option<Cause>, refused: Option<Error>, pool: &Pool) -> Error {
    match (cause, refused) {
        (Some(Cause::Deadline), _) => error::timed_out(pool.config.statement_timeout),
        (Some(Cause::Unreadable), Some(refused)) => refused,
        _ => Error::Cancelled,
    }
}

/// What is to be done on a connection.
struct Job<'a> {
    way: &'a Way,
    work: &'a Work,
    alone: bool,
    leftover: Leftover,
}

impl Job<'_> {
    async fn perform(self, sql: &mut PgConnection, sink: &mut Sink<'_>, halt: &Halt) -> Ended {
        let Self { way, work, alone, leftover } = self;
        match (work, way) {
            (Work::Command(it), Way::Direct { .. }) => command(sql, *it).await,
            (Work::Command(it), Way::Pooled(pooled)) => pooled.command(sql, *it, leftover).await,
            (Work::Statement { text, parameters }, Way::Pooled(pooled)) if alone => {
                let ended = held(pooled, sql, text, parameters, leftover, sink, halt).await;
                if !ended.unsettled && pooled.frees_name(&ended.outcome) {
                    return held(pooled, sql, text, parameters, leftover, sink, halt).await;
                }
                ended
            }
            (Work::Statement { text, parameters }, _) => {
                let ended = once(sql, text, parameters, sink, halt).await;
                // Once the columns are out, they cannot be others any more.
                let may_retry = alone && sink.columns.is_some() && !halt.stopped.is_cancelled();
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
        }
    }
}

pub(super) async fn command(sql: &mut PgConnection, command: Command) -> Ended {
    match sql.execute(sqlx::raw_sql(command.text())).await {
        Ok(result) => Ended::counted(result.rows_affected()),
        Err(error) => error.into(),
    }
}

/// A statement in a transaction of its own, so that all of it happens on one connection of the pooler's.
async fn held(
    pooled: &Pooled,
    sql: &mut PgConnection,
    text: &Arc<str>,
    parameters: &[Value],
    leftover: Leftover,
    sink: &mut Sink<'_>,
    halt: &Halt,
) -> Ended {
    if let Err(error) = pooled.begin(sql).await {
        return Ended { unsettled: true, ..Ended::from(error) };
    }
    let mut ended = once(sql, text, parameters, sink, halt).await;
    if ended.unsettled {
        return ended;
    }
    let commits = ended.outcome.is_ok() && ended.refused.is_none();
    let end = pooled.end(sql, commits, leftover).await;
    ended.unsettled = end.unsettled || (!commits && end.outcome.is_err());
    if commits && let Err(error) = end.outcome {
        ended.outcome = Err(error);
    }
    ended
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
        Err(error) => {
            // The server may have it under a name that the driver has forgotten.
            let unsettled = error::is_broken_off(&error);
            return Ended { unsettled, ..Ended::from(error) };
        }
    };
    let arguments = match arguments(&statement, parameters) {
        Ok(arguments) => arguments,
        Err(error) => return Ended::refused(error),
    };
    let columns = if sink.wants_rows {
        match rows::columns(&statement) {
            Ok(columns) => columns,
            Err(error) => return Ended::refused(error),
        }
    } else {
        Vec::new()
    };
    rows::stream(sql, &statement, arguments, &columns, sink, halt).await
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
