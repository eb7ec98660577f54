//! A call on its way: what is asked, where the answer goes, and what ends it early.
//!
//! The two halves talk through channels only, so that the caller may vanish at any time.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backend::{self, Column, Error, RowBatch, Rows, Value};
use super::error::Cause;
use super::notices::{self, Caller};
use super::seen::{DatabaseAddress, StatementSpan};
use crate::budget::{self, Holdings};
use crate::context::RequestContext;
use crate::stream::Parcel;
use wasm_host_limits::postgres as limits;

/// What is to be run.
pub(super) enum Work {
    /// A component's statement.
    Statement { text: Arc<str>, parameters: Vec<Value> },
    /// A command of the host's own.
    Command(Command),
}

/// What the host itself says in a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Begin,
    /// Ask whether the transaction still takes statements.
    Probe,
    Commit,
    Rollback,
}

impl Command {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Probe => "select 1",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
        }
    }
}

impl Work {
    pub(super) fn statement(text: String, parameters: Vec<Value>) -> Self {
        Self::Statement { text: text.into(), parameters }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Statement { text, .. } => text,
            Self::Command(command) => command.text(),
        }
    }

    /// Whether it takes long to bring what it has into the server's form.
    pub(super) fn is_large(&self) -> bool {
        let Self::Statement { text, parameters } = self else { return false };
        let given = parameters.iter().map(backend::size).sum::<usize>();
        text.len().saturating_add(given) > limits::LARGE_ARGUMENT_BYTES
    }
}

/// The half that runs the statement.
pub(super) struct Task {
    pub(super) work: Work,
    /// Rows are sent on, or else only counted.
    pub(super) wants_rows: bool,
    /// Taken when the columns have been sent.
    pub(super) columns: Option<oneshot::Sender<Vec<Column>>>,
    pub(super) stop: Stop,
    /// The caller that it runs for.
    pub(super) caller: Option<Caller>,
    /// The account that its rows are held for.
    pub(super) account: Option<Holdings>,
    pub(super) seen: StatementSpan,
    done: oneshot::Sender<Result<u64, Error>>,
}

/// What may end a statement early.
pub(super) struct Stop {
    request: RequestContext,
    /// The transaction that the statement belongs to.
    owner: Option<CancellationToken>,
    pub(super) batches: mpsc::Sender<Parcel<RowBatch>>,
}

/// The caller's half. Dropping it makes the statement unwanted.
pub(super) struct Pending {
    columns: oneshot::Receiver<Vec<Column>>,
    batches: mpsc::Receiver<Parcel<RowBatch>>,
    done: oneshot::Receiver<Result<u64, Error>>,
}

pub(super) fn call(
    work: Work,
    wants_rows: bool,
    request: RequestContext,
    owner: Option<CancellationToken>,
    database: &Arc<DatabaseAddress>,
) -> (Task, Pending) {
    let seen = StatementSpan::begin(&request, &work, wants_rows, database);
    let (columns_sender, columns) = oneshot::channel();
    let (batches_sender, batches) = mpsc::channel(limits::BATCHES_AHEAD);
    let (done_sender, done) = oneshot::channel();
    let stop = Stop { request, owner, batches: batches_sender };
    let columns_sender = Some(columns_sender);
    let (caller, account) = (notices::caller(), budget::account());
    (
        Task {
            work,
            wants_rows,
            columns: columns_sender,
            stop,
            caller,
            account,
            seen,
            done: done_sender,
        },
        Pending { columns, batches, done },
    )
}

impl Task {
    /// End the rows, then say how.
    pub(super) fn finish(self, result: Result<u64, Error>) {
        let Self { done, stop, columns, seen, .. } = self;
        // Before its request can end.
        seen.ended(&result);
        drop((stop, columns));
        // A caller that has gone wants no answer.
        let _ = done.send(result);
    }
}

impl Stop {
    /// Wait until the statement has to end.
    pub(super) async fn cause(&self, deadline: Instant, unreadable: &CancellationToken) -> Cause {
        tokio::select! {
            () = self.unwanted() => Cause::Unwanted,
            () = tokio::time::sleep_until(deadline) => Cause::Deadline,
            () = unreadable.cancelled() => Cause::Unreadable,
        }
    }

    /// `work`, unless it is not wanted any more.
    pub(super) async fn or_unwanted<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            result = work => result,
            () = self.unwanted() => Err(Error::Cancelled),
        }
    }

    async fn unwanted(&self) {
        let owner = async {
            match &self.owner {
                Some(owner) => owner.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.batches.closed() => {}
            () = self.request.cancel().cancelled() => {}
            () = owner => {}
        }
    }
}

impl Pending {
    /// The statement's rows, once the server has accepted it.
    pub(super) async fn rows(self) -> Result<Rows, Error> {
        match self.columns.await {
            Ok(columns) => Ok(Rows { columns, batches: self.batches, done: self.done }),
            // Without columns it has failed.
            Err(_) => match answer(self.done).await {
                Ok(_) => Err(Error::Unavailable("the database gave no columns".to_string())),
                Err(error) => Err(error),
            },
        }
    }

    /// The number of rows that the statement changed.
    pub(super) async fn count(self) -> Result<u64, Error> {
        // Held until the end: dropping it would cancel the statement.
        let _batches = self.batches;
        answer(self.done).await
    }
}

async fn answer(done: oneshot::Receiver<Result<u64, Error>>) -> Result<u64, Error> {
    done.await.unwrap_or_else(|_| Err(Error::Unavailable("the host is stopping".to_string())))
}
