//! A database that knows a script instead of SQL.

use std::future::{Future, pending};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::case::{Action, CallAnswer, Outcome, RowItem, RowsAnswer, RowsEnd};
use crate::script::{Given, Question, Script, Ticket};
use wasm_host_capabilities::context::RequestContext;
use wasm_host_capabilities::postgres::backend::{
    Database, Error, Reply, RowBatch, Rows, Transaction, Value,
};
use wasm_host_capabilities::stream::Parcel;
use wasm_host_capabilities::until::until_ended;
use wasm_host_limits::postgres::{BATCH_ROWS, BATCHES_AHEAD};

pub(crate) struct FakeDatabase(pub(crate) Script);

impl Database for FakeDatabase {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        let question = Question::Query { statement, parameters };
        Box::pin(unless(request.clone(), query(&self.0, None, question, request)))
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        let question = Question::Execute { statement, parameters };
        Box::pin(unless(request, execute(&self.0, None, question)))
    }

    fn begin(&self, request: RequestContext) -> Reply<'_, Arc<dyn Transaction>> {
        Box::pin(unless(request.clone(), async {
            let Given { action, after, ticket } =
                self.0.ask(None, Question::Begin).ok_or_else(unscripted)?;
            let Action::Begin { answer, .. } = action else { return Err(unscripted()) };
            sleep(after).await;
            let number = match &answer {
                CallAnswer::Value(()) => ticket.begin_transaction(),
                CallAnswer::Error(_) | CallAnswer::Stall => 0,
            };
            value(answer, ticket).await?;
            let transaction = FakeTransaction { script: self.0.clone(), number, request };
            Ok(Arc::new(transaction) as Arc<dyn Transaction>)
        }))
    }
}

struct FakeTransaction {
    script: Script,
    number: usize,
    /// Of the request that it was begun for; when that ends, so does the transaction.
    request: RequestContext,
}

impl Transaction for FakeTransaction {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        let question = Question::Query { statement, parameters };
        Box::pin(unless(request.clone(), async {
            if self.is_over() {
                return Err(Error::Ended);
            }
            query(&self.script, Some(self.number), question, request).await
        }))
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        let question = Question::Execute { statement, parameters };
        Box::pin(unless(request, async {
            if self.is_over() {
                return Err(Error::Ended);
            }
            execute(&self.script, Some(self.number), question).await
        }))
    }

    fn commit(&self, request: RequestContext) -> Reply<'_, ()> {
        Box::pin(unless(request, self.end(Question::Commit, Outcome::Committed)))
    }

    fn rollback(&self, request: RequestContext) -> Reply<'_, ()> {
        Box::pin(unless(request, self.end(Question::Rollback, Outcome::RolledBack)))
    }
}

impl FakeTransaction {
    fn is_over(&self) -> bool {
        self.request.cancel().is_cancelled() || self.script.has_ended(self.number)
    }

    async fn end(&self, question: Question, outcome: Outcome) -> Result<(), Error> {
        if self.is_over() {
            return Err(Error::Ended);
        }
        let Given { action, after, ticket } =
            self.script.ask(Some(self.number), question).ok_or_else(unscripted)?;
        let answer = match action {
            Action::Commit { answer } | Action::Rollback { answer } => answer,
            _ => return Err(unscripted()),
        };
        sleep(after).await;
        let done = value(answer, ticket).await;
        let outcome = if done.is_ok() { outcome } else { Outcome::RolledBack };
        self.script.end_transaction(self.number, outcome);
        done
    }
}

impl Drop for FakeTransaction {
    fn drop(&mut self) {
        self.script.end_transaction(self.number, Outcome::RolledBack);
    }
}

/// Run `work`, but no longer than its request.
async fn unless<T>(
    request: RequestContext,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    until_ended(&request, Error::Cancelled, work).await
}

/// The error for a call that is not in the script. It looks like a server that is down, so
/// that the component can go on and the case can say what happened.
fn unscripted() -> Error {
    Error::Unavailable("the case has no answer to this call".to_string())
}

async fn value<T>(answer: CallAnswer<T>, ticket: Ticket) -> Result<T, Error> {
    let result = match answer {
        CallAnswer::Value(value) => Ok(value),
        CallAnswer::Error(error) => Err(error),
        CallAnswer::Stall => pending().await,
    };
    ticket.finish();
    result
}

async fn execute(
    script: &Script,
    transaction: Option<usize>,
    question: Question,
) -> Result<u64, Error> {
    let Given { action, after, ticket } =
        script.ask(transaction, question).ok_or_else(unscripted)?;
    let Action::Execute { answer, .. } = action else { return Err(unscripted()) };
    sleep(after).await;
    value(answer, ticket).await
}

async fn query(
    script: &Script,
    transaction: Option<usize>,
    question: Question,
    request: RequestContext,
) -> Result<Rows, Error> {
    let Given { action, after, ticket } =
        script.ask(transaction, question).ok_or_else(unscripted)?;
    let Action::Query { answer, .. } = action else { return Err(unscripted()) };
    sleep(after).await;
    let (columns, rows, end) = match answer {
        RowsAnswer::Silent => pending().await,
        RowsAnswer::Refused(error) => {
            ticket.finish();
            return Err(error);
        }
        RowsAnswer::Rows { columns, rows, end } => (columns, rows, end),
    };
    let (batches, receiver) = mpsc::channel(BATCHES_AHEAD);
    let (done, ended) = oneshot::channel();
    tokio::spawn(async move {
        let sent = send(&batches, rows, end);
        let result = tokio::select! {
            biased;
            () = request.cancel().cancelled() => Err(Error::Cancelled),
            result = sent => match result {
                Some(result) => {
                    ticket.finish();
                    result
                }
                None => Err(Error::Cancelled),
            },
        };
        // The rows end before their future does; a reader that has gone wants neither.
        drop(batches);
        let _ = done.send(result);
    });
    Ok(Rows { columns, batches: receiver, done: ended })
}

/// Hand over all rows and what follows them. None if they are not wanted any more.
async fn send(
    batches: &mpsc::Sender<Parcel<RowBatch>>,
    rows: Vec<RowItem>,
    end: RowsEnd,
) -> Option<Result<u64, Error>> {
    let (mut batch, mut count) = (Vec::new(), 0);
    for item in rows {
        match item {
            RowItem::Row(row) => {
                count += 1;
                batch.push(row);
                if batch.len() >= BATCH_ROWS {
                    batches.send(std::mem::take(&mut batch).into()).await.ok()?;
                }
            }
            RowItem::Pause(time) => {
                if !batch.is_empty() {
                    batches.send(std::mem::take(&mut batch).into()).await.ok()?;
                }
                tokio::select! {
                    biased;
                    () = batches.closed() => return None,
                    () = sleep(time) => {}
                }
            }
        }
    }
    if !batch.is_empty() {
        batches.send(batch.into()).await.ok()?;
    }
    match end {
        RowsEnd::Whole => Some(Ok(count)),
        RowsEnd::Error(error) => Some(Err(error)),
        RowsEnd::Stall => {
            batches.closed().await;
            None
        }
    }
}

#[cfg(test)]
mod tests;
