//! Run one statement on one connection, hand its rows on as fast as they are read, and end it on
//! the server when it has to end.
//!
//! Whatever happens, the connection is in a known state afterwards, or marked broken.

use std::pin::pin;
use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor, SqlSafeStr};
use tokio::time::{Instant, timeout_at};

use super::backend::{Error, Value};
use super::connection::Connection;
use super::error::{self, Cause};
use super::notices::on_behalf_of;
use super::parameters;
use super::pool::Pool;
use super::rows::{self, Ended, Halt, Sink};
use super::session;
use super::statement::{Task, Work};
use crate::limits::postgres as limits;

/// Run a task. `retries` allows to prepare the statement anew when the schema has changed under it;
/// in a transaction, the server allows nothing more after that error.
pub(super) async fn run(
    connection: &mut Connection,
    pool: &Arc<Pool>,
    task: &mut Task,
    retries: bool,
) -> Result<u64, Error> {
    if let Work::Statement { text, parameters } = &task.work {
        parameters::check_count(parameters.len())?;
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
    let Task { work, wants_rows, columns, stop, caller, .. } = task;
    let mut sink = Sink { wants_rows: *wants_rows, columns, batches: &stop.batches };

    let (ended, cause, cancelled) = {
        let performed = perform(&mut connection.sql, work, &mut sink, &halt, retries);
        let mut running = pin!(on_behalf_of(caller.clone(), performed));
        tokio::select! {
            biased;
            ended = &mut running => (Some(ended), None, false),
            cause = stop.cause(deadline, &halt.unreadable) => {
                halt.stopped.cancel();
                let cancel = tokio::spawn({
                    let pool = pool.clone();
                    async move { pool.control.cancel(pid).await }
                });
                // Keep reading meanwhile: a server that waits for room to send sees no cancel.
                let drained = Instant::now() + limits::DRAIN_TIMEOUT;
                match timeout_at(drained, &mut running).await {
                    Ok(ended) => {
                        let cancelled = timeout_at(drained, cancel).await;
                        (Some(ended), Some(cause), matches!(cancelled, Ok(Ok(true))))
                    }
                    Err(_) => (None, Some(cause), false),
                }
            }
        }
    };

    let Some(Ended { outcome, refused, oversized }) = ended else {
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
    // Closing it gives the memory back.
    connection.too_large |= oversized;
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
                Ok(result) => Ended::counted(result.rows_affected()),
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
    given: &[Value],
    sink: &mut Sink<'_>,
    halt: &Halt,
) -> Ended {
    let prepared = sql.prepare(AssertSqlSafe(text.clone()).into_sql_str()).await;
    let statement = match prepared {
        Ok(statement) => statement,
        Err(error) => return error.into(),
    };
    let arguments = match parameters::bind(sql, &statement, given).await {
        Ok(arguments) => arguments,
        Err(ended) => return ended,
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
