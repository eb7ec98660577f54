//! A database that writes down what is asked of it.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::session;
use super::session::{OpenCall, RecordingSession};
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::postgres::backend::{
    Database, Error, Known, Reply, RowBatch, Rows, Transaction, Value, size,
};
use wasm_host_capabilities::stream::Parcel;
use wasm_host_testkit::case::{
    Action, CallAnswer, Expected, Outcome, RowItem, RowsAnswer, RowsEnd,
};

pub(super) struct Recorded(pub(super) Arc<dyn Database>);

struct RecordedTransaction {
    inner: Arc<dyn Transaction>,
    session: Arc<RecordingSession>,
    number: usize,
    /// The call that began it.
    begin: usize,
}

impl Database for Recorded {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        let call = session(&request).map(|session| query(session, None, &statement, &parameters));
        let reply = self.0.query(statement, parameters, request.clone());
        Box::pin(rows(call, reply, request))
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        let call = session(&request).map(|session| execute(session, None, &statement, &parameters));
        let reply = self.0.execute(statement, parameters, request.clone());
        Box::pin(value(call, reply, request, |count| *count))
    }

    fn begin(&self, request: RequestContext) -> Reply<'_, Arc<dyn Transaction>> {
        let Some(session) = session(&request).cloned() else {
            return self.0.begin(request);
        };
        let action = Action::Begin { outcome: Outcome::RolledBack, answer: CallAnswer::Stall };
        let call = session.open(None, action, 0);
        let begin = call.number();
        Box::pin(async move {
            let reply = self.0.begin(request.clone());
            let inner = value(Some(call), reply, request, |_| 0).await?;
            let number = session.transaction();
            let begun: Arc<dyn Transaction> =
                Arc::new(RecordedTransaction { inner, session, number, begin });
            Ok(begun)
        })
    }

    fn known(&self) -> Option<&Known> {
        self.0.known()
    }
}

impl Transaction for RecordedTransaction {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        let call = query(&self.session, Some(self.number), &statement, &parameters);
        let reply = self.inner.query(statement, parameters, request.clone());
        Box::pin(rows(Some(call), reply, request))
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        let call = execute(&self.session, Some(self.number), &statement, &parameters);
        let reply = self.inner.execute(statement, parameters, request.clone());
        Box::pin(value(Some(call), reply, request, |count| *count))
    }

    fn commit(&self, request: RequestContext) -> Reply<'_, ()> {
        let action = Action::Commit { answer: CallAnswer::Stall };
        let call = self.session.open(Some(self.number), action, 0);
        let reply = self.inner.commit(request.clone());
        Box::pin(async move {
            value(Some(call), reply, request, |()| 0).await?;
            self.session.committed(self.begin);
            Ok(())
        })
    }

    fn rollback(&self, request: RequestContext) -> Reply<'_, ()> {
        let action = Action::Rollback { answer: CallAnswer::Stall };
        let call = self.session.open(Some(self.number), action, 0);
        let reply = self.inner.rollback(request.clone());
        Box::pin(value(Some(call), reply, request, |()| 0))
    }
}

fn query(
    session: &Arc<RecordingSession>,
    transaction: Option<usize>,
    statement: &str,
    parameters: &[Value],
) -> OpenCall {
    open(session, transaction, statement, parameters, |statement, parameters| Action::Query {
        statement,
        parameters,
        answer: RowsAnswer::Silent,
    })
}

fn execute(
    session: &Arc<RecordingSession>,
    transaction: Option<usize>,
    statement: &str,
    parameters: &[Value],
) -> OpenCall {
    open(session, transaction, statement, parameters, |statement, parameters| Action::Execute {
        statement,
        parameters,
        answer: CallAnswer::Stall,
    })
}

/// Enter a statement, which has no answer yet.
fn open(
    session: &Arc<RecordingSession>,
    transaction: Option<usize>,
    statement: &str,
    parameters: &[Value],
    action: fn(String, Vec<Expected>) -> Action,
) -> OpenCall {
    let bytes = statement.len() + parameters.iter().map(size).sum::<usize>();
    let parameters = parameters.iter().cloned().map(Expected::Exactly).collect();
    session.open(transaction, action(statement.to_string(), parameters), bytes)
}

/// A call whose answer is one value. `changed` is the number that a case shows of it.
async fn value<T>(
    call: Option<OpenCall>,
    reply: Reply<'_, T>,
    request: RequestContext,
    changed: fn(&T) -> u64,
) -> Result<T, Error> {
    let result = reply.await;
    let Some(mut call) = call else { return result };
    // Given up: there is no answer to record.
    if matches!(result, Err(Error::Cancelled)) && request.cancel().is_cancelled() {
        return result;
    }
    call.answered();
    let outcome = result.as_ref().map(changed).map_err(Clone::clone);
    call.learn(0, move |action| match (action, outcome) {
        (Action::Execute { answer, .. }, outcome) => *answer = answer_of(outcome),
        (
            Action::Begin { answer, .. } | Action::Commit { answer } | Action::Rollback { answer },
            outcome,
        ) => *answer = answer_of(outcome.map(|_| ())),
        _ => {}
    });
    call.ends();
    result
}

fn answer_of<T>(outcome: Result<T, Error>) -> CallAnswer<T> {
    outcome.map_or_else(CallAnswer::Error, CallAnswer::Value)
}

async fn rows(
    call: Option<OpenCall>,
    reply: Reply<'_, Rows>,
    request: RequestContext,
) -> Result<Rows, Error> {
    let result = reply.await;
    let Some(mut call) = call else { return result };
    match result {
        Ok(Rows { columns, batches, done }) => {
            call.answered();
            let known = columns.clone();
            call.learn(0, |action| {
                if let Action::Query { answer, .. } = action {
                    *answer =
                        RowsAnswer::Rows { columns: known, rows: Vec::new(), end: RowsEnd::Stall };
                }
            });
            let (sender, receiver) = mpsc::channel(1);
            let (end, ended) = oneshot::channel();
            tokio::spawn(hand_on(call, batches, done, sender, end));
            Ok(Rows { columns, batches: receiver, done: ended })
        }
        Err(error) => {
            if !(matches!(error, Error::Cancelled) && request.cancel().is_cancelled()) {
                call.answered();
                let refused = error.clone();
                call.learn(0, |action| {
                    if let Action::Query { answer, .. } = action {
                        *answer = RowsAnswer::Refused(refused);
                    }
                });
                call.ends();
            }
            Err(error)
        }
    }
}

/// Rows on their way. They are dropped as soon as their reader is gone, which cancels the statement.
async fn hand_on(
    mut call: OpenCall,
    mut batches: mpsc::Receiver<Parcel<RowBatch>>,
    done: oneshot::Receiver<Result<u64, Error>>,
    sender: mpsc::Sender<Parcel<RowBatch>>,
    end: oneshot::Sender<Result<u64, Error>>,
) {
    loop {
        call.waits();
        let batch = tokio::select! {
            biased;
            () = sender.closed() => break,
            batch = batches.recv() => batch,
        };
        let waited = call.waited();
        let rows: Option<RowBatch> = batch.as_deref().cloned();
        let size = rows.iter().flatten().flatten().map(size).sum();
        call.learn(size, |action| {
            if let Action::Query { answer: RowsAnswer::Rows { rows: seen, .. }, .. } = action {
                seen.extend((!waited.is_zero()).then_some(RowItem::Pause(waited)));
                seen.extend(rows.into_iter().flatten().map(RowItem::Row));
            }
        });
        let Some(batch) = batch else { break };
        if sender.send(batch).await.is_err() {
            break;
        }
    }
    let read = sender.is_closed();
    drop(batches);
    drop(sender);
    let result = done.await.unwrap_or(Err(Error::Cancelled));
    let given_up = read && matches!(result, Err(Error::Cancelled));
    if !given_up {
        let outcome = result.clone();
        call.learn(0, |action| {
            if let Action::Query { answer: RowsAnswer::Rows { end, .. }, .. } = action {
                *end = outcome.map_or_else(RowsEnd::Error, |_| RowsEnd::Whole);
            }
        });
        call.ends();
    }
    let _ = end.send(result);
}
