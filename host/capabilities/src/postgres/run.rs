//! Run one statement on one connection, hand its rows on as fast as they are read, and end it on
//! the server when it has to end.
//!
//! Whatever happens, the connection is in a known state afterwards, or marked broken.

use std::pin::pin;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::backend::Error;
use super::connection::{Connection, ServerLink};
use super::error::{self, Cause, caught_with};
use super::notices::on_behalf_of;
use super::parameters;
use super::perform::Job;
use super::pool::Pool;
use super::pooled;
use super::room::{self, Room};
use super::rows::{Halt, Sink, StatementEnd};
use super::session;
use super::statement::{Task, Work};
use wasm_host_limits::postgres as limits;

/// Run a task. `alone` says that it is in no transaction. It may then be prepared again when the schema has changed
/// under it; in a transaction, the server allows nothing more after that error.
pub(super) async fn run(
    connection: &mut Connection,
    pool: &Arc<Pool>,
    task: &mut Task,
    alone: bool,
) -> Result<u64, Error> {
    let pooled = matches!(connection.way, ServerLink::Pooled(_));
    if let Work::Statement { text, parameters } = &task.work {
        parameters::check_count(parameters.len())?;
        if session::is_copy(text) {
            return Err(Error::Unsupported(
                "copy is not carried by this interface; use insert and select".to_string(),
            ));
        }
        if let Some(refusal) = pooled.then(|| pooled::refusal(text)).flatten() {
            return Err(refusal);
        }
        if !pooled {
            connection.leftover = connection.leftover.max(session::leftover(text));
        }
    }

    let time = pool.config.statement_timeout;
    let deadline = Instant::now() + time + limits::STATEMENT_GRACE;
    let halt = Halt::default();
    let Task { work, wants_rows, columns, stop, caller, account, .. } = task;
    let (batches, account) = (&stop.batches, account.as_ref());
    let mut sink = Sink { wants_rows: *wants_rows, columns, batches, account, held: None };

    let (ended, cause, cancelled) = {
        let Connection { sql, way, kept, reads_only: told, .. } = &mut *connection;
        let way = &*way;
        let reads_only = pool.room().and_then(|room| room.reads_only(work, alone));
        let job = Job { way, kept, work, alone, reads_only, told };
        let performed = on_behalf_of(caller.clone(), job.perform(sql, &mut sink, &halt));
        let mut running = pin!(caught_with(work.text(), performed));
        tokio::select! {
            biased;
            ended = &mut running => (Some(ended), None, false),
            cause = stop.cause(deadline, &halt.unreadable) => {
                halt.stopped.cancel();
                let (drain, cancel) = match way {
                    ServerLink::Direct { process, .. } => {
                        let (pool, process) = (pool.clone(), *process);
                        let cancel = async move { pool.control.cancel(process).await };
                        (limits::DRAIN_TIMEOUT, Some(tokio::spawn(cancel)))
                    }
                    // By the time that a request came through, the process might run the statement of another client.
                    // Nothing but the end of this connection can be meant for this statement only.
                    ServerLink::Pooled(_) => (limits::POOLED_DRAIN, None),
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
        if let ServerLink::Direct { process, .. } = connection.way {
            // It may go on for ever: a statement can catch that it is cancelled.
            pool.terminate(process);
        }
        return Err(of_cause(cause, None, pool));
    };
    let overrun = match &ended {
        Ok(ended) => ended.overrun,
        Err(_) => true,
    };
    if overrun {
        connection.broken = true;
        if let ServerLink::Direct { process, .. } = connection.way {
            pool.terminate(process);
        }
    }
    let ended = ended.unwrap_or_else(|fault| StatementEnd::refused(error::of_fault(fault)));
    let StatementEnd { outcome, refused, oversized, unsettled, .. } = ended;
    if let Err(error) = &outcome {
        connection.lost |= error::is_fatal(error);
        connection.broken |= connection.lost;
        connection.stale |= error::is_stale_plan(error);
    }
    connection.broken |= pooled && unsettled;
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
            let was_ended = error::is_ended(&error);
            let error = error::of_statement(error, time, task.seen.request());
            Err(match pool.room().and_then(Room::why_full) {
                Some(why) => room::explained(error, was_ended, &why),
                None if pooled && alone => error::of_pooled(error),
                None => error,
            })
        }
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
