//! What is seen of statements of SQLite: which operation, how long it took, and how it ended. Not their text: what stands
//! in double quotes there may be a value.

use super::backend::{Error, Output};
use crate::context::RequestContext;
use crate::figures::Figure;
use crate::sql::operation;
use wasm_host_telemetry::attributes as names;
use wasm_host_telemetry::instruments::DATABASE_DURATION;
use wasm_host_telemetry::span::Kind;
use wasm_host_telemetry::trace::ActiveSpan;

/// What is seen to answer statements.
const SYSTEM: &str = "sqlite";

/// What a database is seen as. Not by its name alone, which a bucket in a file may have, too.
pub(super) fn namespace(name: &str) -> String {
    format!("{name}.sqlite")
}

/// Where statements to a database are counted.
pub(super) fn figures(name: &str) -> Vec<Figure> {
    let namespace = namespace(name);
    let labels = [(names::DB_SYSTEM, SYSTEM), (names::DB_NAMESPACE, &*namespace)];
    vec![Figure::new(&DATABASE_DURATION, labels)]
}

/// A statement under way.
pub(super) struct Seen<'a> {
    span: ActiveSpan,
    request: &'a RequestContext,
    operation: &'static str,
    namespace: &'a str,
}

impl<'a> Seen<'a> {
    pub(super) fn begin(request: &'a RequestContext, statement: &str, namespace: &'a str) -> Self {
        let operation = operation(statement);
        let mut span = request.span(operation, Kind::Client);
        if span.is_seen() {
            span.set(names::DB_SYSTEM, SYSTEM);
            span.set(names::DB_NAMESPACE, namespace.to_owned());
            span.set(names::DB_OPERATION, operation);
        }
        Self { span, request, operation, namespace }
    }

    pub(super) fn ended(mut self, result: &Result<Output, Error>) {
        let Some(served) = self.request.served() else { return };
        if !self.request.trace().is_seen() {
            return;
        }
        let kind = match result {
            Ok(output) if output.columns.is_empty() => {
                self.span.set(names::DB_CHANGED, output.changes);
                ""
            }
            Ok(output) => {
                self.span.set(names::DB_ROWS, output.rows.len() as u64);
                ""
            }
            // Nothing went wrong: it was not wanted any more.
            Err(Error::Cancelled) => {
                self.span.set(names::LEFT, true);
                "cancelled"
            }
            Err(Error::Full) => self.failed("full", "the database is full"),
            // Not what SQLite says: it may repeat a value.
            Err(Error::Failed(_)) => {
                self.failed("failed", "it was refused, or did not end in time")
            }
        };
        let labels = [&*served.service, SYSTEM, self.namespace, self.operation, kind, "", ""];
        let seconds = self.span.elapsed().as_secs_f64();
        self.request.trace().measure_call(&DATABASE_DURATION, &labels, seconds);
    }

    fn failed(&mut self, kind: &'static str, why: &str) -> &'static str {
        self.span.fail(kind, why);
        kind
    }
}
