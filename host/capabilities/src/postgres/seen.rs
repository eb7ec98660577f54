//! What is seen of statements: their text without a value in it, how long they took, and how they ended.

use std::borrow::Cow;
use std::sync::Arc;

use super::backend::Error;
use super::statement::Work;
use super::url::Address;
use crate::context::RequestContext;
use crate::figures::Figure;
use crate::sql::{operation, without_values};
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::instruments::DATABASE_DURATION;
use wasm_host_telemetry::span::Kind;
use wasm_host_telemetry::trace::ActiveSpan;

/// What is seen to answer statements.
const SYSTEM: &str = "postgresql";

/// Where statements of a service are counted, which has one database.
pub(super) fn figures() -> Vec<Figure> {
    vec![Figure::new(&DATABASE_DURATION, [(names::DB_SYSTEM, SYSTEM)])]
}

/// A statement or a command under way.
pub(super) struct StatementSpan {
    span: ActiveSpan,
    request: RequestContext,
    operation: &'static str,
    gives_rows: bool,
    database: Arc<DatabaseAddress>,
}

/// A database as statements are seen to ask it. Those of several servers may have one name.
#[derive(Debug)]
pub(super) struct DatabaseAddress {
    name: String,
    server: String,
    /// None: it has a socket.
    port: Option<u16>,
    /// As a label.
    port_text: String,
}

impl DatabaseAddress {
    pub(super) fn of(address: &Address) -> Self {
        let (name, server) = (address.database().to_owned(), address.host().to_owned());
        let port = address.port();
        Self {
            name,
            server,
            port,
            port_text: port.map(|port| port.to_string()).unwrap_or_default(),
        }
    }
}

impl StatementSpan {
    pub(super) fn begin(
        request: &RequestContext,
        work: &Work,
        gives_rows: bool,
        database: &Arc<DatabaseAddress>,
    ) -> Self {
        let operation = operation(work.text());
        let mut span = request.span(operation, Kind::Client);
        if span.is_seen() {
            span.set(names::DB_SYSTEM, SYSTEM);
            span.set(names::DB_NAMESPACE, database.name.clone());
            span.set(names::SERVER_ADDRESS, database.server.clone());
            if let Some(port) = database.port {
                span.set(names::SERVER_PORT, port);
            }
            span.set(names::DB_OPERATION, operation);
            span.set(names::DB_TEXT, without_values(work.text()));
        }
        Self { span, request: request.clone(), operation, gives_rows, database: database.clone() }
    }

    pub(super) fn request(&self) -> &RequestContext {
        &self.request
    }

    /// It has a connection.
    pub(super) fn connected(&mut self) {
        self.span.event("connection");
    }

    pub(super) fn ended(mut self, result: &Result<u64, Error>) {
        let Some(served) = self.request.served() else { return };
        if !self.request.trace().is_seen() {
            return;
        }
        let status = match result {
            Ok(count) => {
                let what = if self.gives_rows { names::DB_ROWS } else { names::DB_CHANGED };
                self.span.set(what, *count);
                Cow::Borrowed("")
            }
            Err(error) => {
                let (kind, why) = describe(error);
                if matches!(error, Error::Database(_)) {
                    self.span.set(names::DB_STATUS, kind.to_string());
                }
                match error {
                    // Nothing went wrong: it was not wanted any more.
                    Error::Cancelled => self.span.set(names::LEFT, true),
                    _ => self.span.fail(kind.clone(), why),
                }
                kind
            }
        };
        let DatabaseAddress { name, server, port_text, .. } = &*self.database;
        let labels = [&*served.service, SYSTEM, name, self.operation, &*status, server, port_text];
        let seconds = self.span.elapsed().as_secs_f64();
        self.request.trace().measure_call(&DATABASE_DURATION, &labels, seconds);
    }
}

/// What kind of failure, in one word or as the SQLSTATE, and what it says. Not what the server says in detail: values
/// stand there.
fn describe(error: &Error) -> (Cow<'static, str>, &str) {
    match error {
        Error::Unavailable(why) => ("unavailable".into(), why),
        Error::Busy(why) => ("busy".into(), why),
        Error::TimedOut(why) => ("timeout".into(), why),
        Error::Cancelled => ("cancelled".into(), "cancelled"),
        Error::Database(error) => (error.sqlstate.clone().into(), "the server refused it"),
        Error::InvalidParameter(_) => ("invalid-parameter".into(), "a parameter does not fit"),
        Error::Unsupported(_) => ("unsupported".into(), "a column cannot be handed over"),
        Error::Ended => ("ended".into(), "the transaction has ended"),
    }
}
