//! From the driver's errors to those of the interface.
//!
//! What a component sees names no host, port, user, path or password: only what the server said of
//! the statement, or that there is no server. The host's own log gets the kind of trouble as well.

use std::future::Future;
use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgErrorPosition, PgSeverity};

use super::backend::{Error, SqlError};
use super::pooled::Unusable;
use crate::caught::Panicked;
use crate::context::{About, RequestContext};
use wasm_host_limits::postgres as limits;
use wasm_host_system::allocations::{Exceeded, within};

/// Why the host ended a statement before it ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The rows are not wanted any more, the client has left, or the transaction was dropped.
    Unwanted,
    /// It ran longer than it may.
    Deadline,
    /// A row could not be handed on; the error of that is the statement's.
    Unreadable,
}

/// An error of a statement on an established connection.
pub(super) fn of_statement(
    error: sqlx::Error,
    timeout: Duration,
    caller: &RequestContext,
) -> Error {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
            Ok(error) => of_server(&error, timeout),
            Err(_) => Error::Unavailable("the database failed in an unknown way".to_string()),
        },
        error => {
            let (service, about) = whose(caller);
            let About { request, trace_id, span_id, service_version } = about;
            let error = kind(&error);
            tracing::warn!(
                service,
                request,
                trace_id,
                span_id,
                service_version,
                error,
                "lost a database connection"
            );
            Error::Unavailable("the connection to the database was lost".to_string())
        }
    }
}

/// No connection was tried, because that has failed again and again.
pub(super) fn given_up() -> Error {
    Error::Unavailable("the database server cannot be reached, and is tried again soon".to_string())
}

/// For lines of the log that are said on behalf of a request: its service, and what they say of it.
fn whose(caller: &RequestContext) -> (Option<&str>, About<'_>) {
    (caller.served().map(|served| &*served.service), caller.about())
}

/// An error of connecting. `news`: for which request, if the last attempt succeeded: a server that is down is not
/// worth a line of the log for each request.
pub(super) fn of_connect(
    error: &sqlx::Error,
    database: &str,
    news: Option<&RequestContext>,
) -> Error {
    let code = code(error);
    if let Some(caller) = news {
        let (service, about) = whose(caller);
        let About { request, trace_id, span_id, service_version } = about;
        let (error, sqlstate) = (kind(error), code);
        tracing::warn!(
            service,
            request,
            trace_id,
            span_id,
            service_version,
            database,
            error,
            sqlstate,
            "cannot connect to a database"
        );
    }
    Error::Unavailable(match code {
        Some(code) => format!("the database server refuses connections (SQLSTATE {code})"),
        None => "the database server cannot be reached".to_string(),
    })
}

/// A login that leads nowhere.
pub(super) fn of_unusable(
    error: &Unusable,
    database: &str,
    news: Option<&RequestContext>,
    waited: Duration,
) -> Error {
    let text = match error {
        Unusable::Sql(error) => return of_connect(error, database, news),
        Unusable::Torn => {
            "the connection pooler in front of the database does not keep transactions together; \
             set its pool_mode to transaction or session"
                .to_string()
        }
        Unusable::Late => format!(
            "the database let the host in and then said nothing for {} s; a connection pooler in front of it may have \
             fewer connections to the server than `pool` needs",
            waited.as_secs_f32()
        ),
    };
    if let Some(caller) = news {
        let (service, about) = whose(caller);
        let About { request, trace_id, span_id, service_version } = about;
        tracing::warn!(service, request, trace_id, span_id, service_version, database, "{text}");
    }
    Error::Unavailable(text)
}

/// A pooler had no connection to give.
pub(super) fn no_session(waited: Duration) -> Error {
    Error::Busy(format!(
        "the connection pooler in front of the database gave no connection to it for {} s",
        waited.as_secs_f32()
    ))
}

/// How the driver itself failed. Its connection is then of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Panicked,
    /// It was about to read a message that is larger than any row may be.
    TooLarge,
}

/// What `work` of the driver gives.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    caught_with("", work).await
}

/// The same where it sends the text of a statement.
pub(super) async fn caught_with<T>(text: &str, work: impl Future<Output = T>) -> Result<T, Fault> {
    match within(room(text), crate::caught::caught(work)).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(Panicked)) => Err(Fault::Panicked),
        Err(Exceeded) => Err(Fault::TooLarge),
    }
}

/// Bytes that the driver may make room for in one piece, when it sends this text.
pub(super) fn room(text: &str) -> usize {
    limits::MESSAGE_ROOM_BYTES + 2 * text.len()
}

pub(super) fn of_fault(fault: Fault) -> Error {
    match fault {
        Fault::Panicked => {
            Error::Unavailable("the host's database driver failed in this call".to_string())
        }
        Fault::TooLarge => too_large_message(),
    }
}

impl From<Panicked> for Error {
    fn from(panicked: Panicked) -> Self {
        Self::Unavailable(panicked.to_string())
    }
}

/// A row is over the bound.
pub(super) fn too_large_row() -> Error {
    Error::Unsupported(format!(
        "a row is larger than {} bytes; read it in pieces",
        limits::ROW_BYTES
    ))
}

/// A message is, of a statement whose rows were to come.
pub(super) fn too_large_row_or_message() -> Error {
    Error::Unsupported(format!(
        "a row is larger than {} bytes; read it in pieces (or an error or a notice of the statement is as large)",
        limits::ROW_BYTES
    ))
}

/// A message is, and it is no row.
pub(super) fn too_large_message() -> Error {
    Error::Unsupported(format!(
        "an error, a notice or another message of the database server is larger than {} bytes",
        limits::ROW_BYTES
    ))
}

/// A statement that wants to be alone, through a pooler.
pub(super) fn of_pooled(mut error: Error) -> Error {
    if let Error::Database(error) = &mut error
        && error.sqlstate == "25001"
    {
        error.hint = Some(
            "this database is reached through a connection pooler, where each statement runs in a transaction; \
             run this one over a direct connection"
                .to_string(),
        );
    }
    error
}

pub(super) fn timed_out(timeout: Duration) -> Error {
    Error::TimedOut(format!(
        "the statement ran longer than {} s and was cancelled",
        timeout.as_secs_f32()
    ))
}

/// Whether the connection is of no further use after this error.
pub(super) fn is_fatal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            error.try_downcast_ref::<PgDatabaseError>().is_none_or(is_last_word)
        }
        _ => true,
    }
}

/// Whether the server ends the connection with it.
fn is_last_word(error: &PgDatabaseError) -> bool {
    matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)
}

/// Whether the connection's prepared statement no longer fits the schema, or is gone: preparing it
/// again repairs that.
pub(super) fn is_stale_plan(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            error.code().as_deref() == Some("26000")
                || (error.code().as_deref() == Some("0A000")
                    && error.message().starts_with("cached plan"))
        }
        _ => false,
    }
}

/// Whether a login failed for the setting that it carried, and may succeed without. Not if it failed for the user, the
/// database, or the state of the server.
pub(super) fn is_refused_setting(error: &sqlx::Error) -> bool {
    code(error)
        .is_some_and(|code| !["28", "3D", "53", "57"].iter().any(|class| code.starts_with(class)))
}

/// Whether the session was ended from outside.
pub(super) fn is_ended(error: &sqlx::Error) -> bool {
    code(error) == Some("57P01")
}

/// Whether the server has no connection to spare.
pub(super) fn is_full(error: &sqlx::Error) -> bool {
    code(error) == Some("53300")
}

/// Whether a pooler says that it takes each statement for itself.
pub(super) fn is_statement_pooling(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.message().contains("statement pooling"))
}

/// Whether a statement of the driver's could not be prepared because the server has one of that name.
pub(super) fn is_taken_name(error: &sqlx::Error) -> bool {
    code(error) == Some("42P05")
        && matches!(error, sqlx::Error::Database(error) if error.message().contains("sqlx_s_"))
}

/// Whether the server broke off what it was doing, so that what was done before that is not known.
pub(super) fn is_broken_off(error: &sqlx::Error) -> bool {
    code(error)
        .is_some_and(|code| ["53", "57", "58", "XX"].iter().any(|class| code.starts_with(class)))
}

pub(super) fn code(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(error) => {
            error.try_downcast_ref::<PgDatabaseError>().map(PgDatabaseError::code)
        }
        _ => None,
    }
}

fn of_server(error: &PgDatabaseError, timeout: Duration) -> Error {
    match error.code() {
        // Without a cause of the host's own, the server's timer did it, or an administrator.
        "57014" if error.message().contains("timeout") => timed_out(timeout),
        "57014" => Error::Cancelled,
        "57P01" | "57P02" | "57P03" | "53300" => {
            Error::Unavailable("the database server is stopping, starting or full".to_string())
        }
        // Without that, it is about another connection, as those of `dblink` are, or about the statement's form.
        code if code.starts_with("08") && is_last_word(error) => {
            Error::Unavailable("the connection to the database was lost".to_string())
        }
        _ => Error::Database(sql_error(error)),
    }
}

/// Everything that the server said of a statement.
fn sql_error(error: &PgDatabaseError) -> SqlError {
    let severity = match error.severity() {
        PgSeverity::Fatal => "FATAL",
        PgSeverity::Panic => "PANIC",
        _ => "ERROR",
    };
    let position = match error.position() {
        Some(PgErrorPosition::Original(position)) => u32::try_from(position).ok(),
        _ => None,
    };
    let own = |text: Option<&str>| text.map(str::to_string);
    SqlError {
        sqlstate: error.code().to_string(),
        severity: severity.to_string(),
        message: error.message().to_string(),
        detail: own(error.detail()),
        hint: own(error.hint()),
        constraint: own(error.constraint()),
        table: own(error.table()),
        column: own(error.column()),
        position,
    }
}

const NOT_SECURE: &str =
    "no secure connection: its certificate is not trusted, or it speaks no TLS";

/// The kind of trouble in a word: whole texts of the driver may repeat an address.
fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(error) => match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused",
            std::io::ErrorKind::ConnectionReset => "connection reset",
            std::io::ErrorKind::NotFound => "no such host or socket",
            std::io::ErrorKind::TimedOut => "timed out",
            std::io::ErrorKind::UnexpectedEof => "closed by the server",
            // What a certificate that is not right comes as.
            std::io::ErrorKind::InvalidData => NOT_SECURE,
            _ => "input or output failed",
        },
        sqlx::Error::Tls(_) => NOT_SECURE,
        sqlx::Error::Database(_) => "the server said no",
        sqlx::Error::Protocol(_) => "the server broke the protocol",
        _ => "the driver failed",
    }
}
