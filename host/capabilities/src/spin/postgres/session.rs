//! A connection of Spin: statements of their own, and transactions that a component begins and ends by statements.
//!
//! Spin gives a component a connection for as long as it holds the resource. Here each statement takes a pooled one and
//! gives it back clean, so that a component that waits holds none; only a transaction has one.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::context::RequestContext;
use crate::postgres::backend::{Column, Database, Error, Rows, Transaction, Value};
use crate::spin::postgres::streamed::{Streamed, Watched};
use crate::sql::tokens;

pub(super) struct Session {
    database: Arc<dyn Database>,
    /// Begun by a statement, and not ended by one.
    open: Mutex<Option<Open>>,
}

struct Open {
    transaction: Arc<dyn Transaction>,
    /// What its queries gave as streams.
    streams: Vec<Arc<Watched>>,
}

const UNREAD: &str = "rows of this transaction's queries are unread, and this function stops the component, which could \
                      not read them: read their streams to the end or drop them first, or call the function whose name \
                      ends in -async";

/// How a query ended.
type Done = oneshot::Receiver<Result<u64, Error>>;

/// What a statement does with transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Control {
    /// With this mode, such as `isolation level serializable`.
    Begin(String),
    Commit,
    Rollback,
}

impl Session {
    pub(super) fn new(database: Arc<dyn Database>) -> Self {
        Self { database, open: Mutex::default() }
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.open.lock().is_some()
    }

    pub(super) async fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Result<Rows, Error> {
        if let Some(control) = control(&statement) {
            self.control(control, request).await?;
            return Ok(none());
        }
        match self.current() {
            Some(transaction) => transaction.query(statement, parameters, request).await,
            None => self.database.query(statement, parameters, request).await,
        }
    }

    /// The same, with its rows as a stream.
    pub(super) async fn stream(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Result<(Vec<Column>, Streamed, Done), Error> {
        let streamed = Streamed::coming();
        let rows = match self.current_with(&streamed) {
            Some(transaction) if control(&statement).is_none() => {
                transaction.query(statement, parameters, request).await?
            }
            _ => self.query(statement, parameters, request).await?,
        };
        let Rows { columns, batches, done } = rows;
        streamed.arrived(batches);
        Ok((columns, streamed, done))
    }

    pub(super) async fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Result<u64, Error> {
        if let Some(control) = control(&statement) {
            self.control(control, request).await?;
            return Ok(0);
        }
        match self.current() {
            Some(transaction) => transaction.execute(statement, parameters, request).await,
            None => self.database.execute(statement, parameters, request).await,
        }
    }

    fn current(&self) -> Option<Arc<dyn Transaction>> {
        self.open.lock().as_ref().map(|open| open.transaction.clone())
    }

    /// The same, for a query whose rows go to `streamed`.
    fn current_with(&self, streamed: &Streamed) -> Option<Arc<dyn Transaction>> {
        let mut open = self.open.lock();
        let Open { transaction, streams } = open.as_mut()?;
        streams.retain(|stream| stream.is_there());
        streams.push(Arc::new(streamed.watched()));
        Some(transaction.clone())
    }

    /// Before a statement that stops the whole component until it is done: it would wait for rows that the component
    /// cannot read meanwhile.
    ///
    /// # Errors
    /// There are such rows.
    pub(super) async fn nothing_unread(
        &self,
        statement: &str,
        request: &RequestContext,
    ) -> Result<(), Error> {
        let streams = self.open.lock().as_ref().map(|open| open.streams.clone());
        let ends_them = control(statement) == Some(Control::Rollback);
        for stream in streams.unwrap_or_default() {
            if ends_them {
                stream.give_up();
            }
            match request.cancel().run_until_cancelled(stream.has_more()).await {
                Some(false) => {}
                Some(true) => return Err(Error::Busy(UNREAD.to_owned())),
                None => return Err(Error::Cancelled),
            }
        }
        Ok(())
    }

    async fn control(&self, control: Control, request: RequestContext) -> Result<(), Error> {
        match control {
            // As Postgres, which warns and goes on.
            Control::Begin(_) if self.is_in_transaction() => Ok(()),
            Control::Begin(mode) => {
                let transaction = self.database.begin(request.clone()).await?;
                if !mode.is_empty() {
                    let set = format!("set transaction {mode}");
                    transaction.execute(set, Vec::new(), request).await?;
                }
                *self.open.lock() = Some(Open { transaction, streams: Vec::new() });
                Ok(())
            }
            Control::Commit | Control::Rollback => {
                let ended = self.open.lock().take();
                let Some(Open { transaction, .. }) = ended else { return Ok(()) };
                match control {
                    Control::Commit => transaction.commit(request).await,
                    _ => transaction.rollback(request).await,
                }
            }
        }
    }
}

/// What a statement gives that has no rows.
fn none() -> Rows {
    let (_, batches) = mpsc::channel(1);
    let (end, done) = oneshot::channel();
    // It is there to be read.
    let _ = end.send(Ok(0));
    Rows { columns: Vec::new(), batches, done }
}

/// Whether a statement begins or ends a transaction. Those with savepoints and those for two phases are statements like
/// any other.
fn control(statement: &str) -> Option<Control> {
    let mut words = Vec::new();
    for (at, token) in tokens(statement) {
        // Of one that goes on behind its end, the server shall say so.
        match words.last() {
            Some((_, ";")) if token.word().is_empty() => continue,
            Some((_, ";")) => return None,
            _ => {}
        }
        let word = token.word();
        match word {
            "" if statement.get(at..).is_some_and(|rest| rest.starts_with(';')) => {
                words.push((at, ";"));
            }
            word => words.push((at, word)),
        }
    }
    let end = words.iter().find(|(_, word)| *word == ";").map_or(statement.len(), |(at, _)| *at);
    words.retain(|(_, word)| *word != ";");
    let is = |place: usize, all: &[&str]| {
        words
            .get(place)
            .is_some_and(|(_, word)| all.iter().any(|one| one.eq_ignore_ascii_case(word)))
    };
    let has_word = usize::from(is(1, &["transaction", "work"]));
    let mode_from = |place: usize| {
        let from = words.get(place).map_or(end, |(at, _)| *at);
        statement.get(from..end).unwrap_or_default().trim().to_owned()
    };
    if is(0, &["begin"]) {
        return Some(Control::Begin(mode_from(1 + has_word)));
    }
    if is(0, &["start"]) && is(1, &["transaction"]) {
        return Some(Control::Begin(mode_from(2)));
    }
    let is_alone = words.len() == 1 + has_word;
    if is(0, &["commit", "end"]) && is_alone {
        return Some(Control::Commit);
    }
    if is(0, &["rollback", "abort"]) && is_alone {
        return Some(Control::Rollback);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_begin_and_end_transactions_are_told_from_others() {
        let begin = |mode: &str| Some(Control::Begin(mode.to_owned()));
        for (statement, expected) in [
            ("BEGIN", begin("")),
            (" begin ; ", begin("")),
            ("/* x */ Begin Transaction", begin("")),
            ("begin isolation level serializable;", begin("isolation level serializable")),
            ("begin work read only", begin("read only")),
            ("START TRANSACTION READ ONLY", begin("READ ONLY")),
            ("commit", Some(Control::Commit)),
            ("END TRANSACTION;", Some(Control::Commit)),
            ("rollback work -- gone", Some(Control::Rollback)),
            ("abort", Some(Control::Rollback)),
            ("rollback to savepoint one", None),
            ("commit prepared 'x'", None),
            ("commit and chain", None),
            ("begin; select 1", None),
            ("select 'begin'", None),
            ("start", None),
            ("", None),
        ] {
            assert_eq!(control(statement), expected, "{statement}");
        }
    }
}
