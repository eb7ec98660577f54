//! A transaction: one pooled connection that several calls use, one after the other, until it ends.
//!
//! A watcher ends it when its request ends or its last reference is dropped. It does so through the
//! server, on the same connection, and only then does the connection go back.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::backend::{Error, Reply, Rows, Transaction, Value};
use super::pool::{Lease, Pool};
use super::run;
use super::statement::{self, Command, Pending, Task, Work};
use crate::context::RequestContext;
use crate::places::User;
use wasm_host_limits::postgres as limits;
use wasm_host_system::computing::{self, Weight};

pub(super) struct PgTransaction {
    pool: Arc<Pool>,
    weight: Arc<Weight>,
    slot: Arc<Mutex<TransactionState>>,
    /// Fires when it is dropped, or has ended otherwise.
    over: CancellationToken,
}

enum TransactionState {
    Open {
        lease: Lease,
        /// A statement failed, so that the server may have given the transaction up.
        failed: bool,
    },
    /// What later calls are told.
    Ended(Error),
}

pub(super) async fn begin(
    pool: Arc<Pool>,
    user: User,
    weight: Arc<Weight>,
    request: RequestContext,
) -> Result<PgTransaction, Error> {
    let (mut task, pending) = statement::call(
        Work::Command(Command::Begin),
        false,
        request.clone(),
        None,
        &pool.database,
    );
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let begun = async {
            let mut lease = task.stop.or_unwanted(pool.acquire(user, &request)).await?;
            match run::run(&mut lease.connection, &pool, &mut task, false).await {
                Ok(_) => Ok(lease),
                Err(error) => {
                    // Whether it began is not known: not for the next user.
                    lease.connection.broken = true;
                    lease.release().await;
                    Err(error)
                }
            }
        };
        let begun = begun.await;
        task.seen.ended(&begun.as_ref().map(|_| 0).map_err(Clone::clone));
        let begun = begun.map(|lease| PgTransaction::open(pool.clone(), weight, lease, request));
        // If the caller has gone, the transaction is dropped here, which rolls it back.
        let _ = sender.send(begun);
    });
    let begun = receiver.await;
    drop(pending);
    begun.unwrap_or_else(|_| Err(Error::Unavailable("the host is stopping".to_string())))
}

impl PgTransaction {
    fn open(pool: Arc<Pool>, weight: Arc<Weight>, lease: Lease, request: RequestContext) -> Self {
        let slot = Arc::new(Mutex::new(TransactionState::Open { lease, failed: false }));
        let over = CancellationToken::new();
        tokio::spawn(watch(pool.clone(), slot.clone(), over.clone(), request));
        Self { pool, weight, slot, over }
    }

    fn start(
        &self,
        work: Work,
        wants_rows: bool,
        request: RequestContext,
    ) -> (Task, Pending, Arc<Mutex<TransactionState>>, Arc<Pool>) {
        let (over, database) = (Some(self.over.clone()), &self.pool.database);
        let (task, pending) = statement::call(work, wants_rows, request, over, database);
        (task, pending, self.slot.clone(), self.pool.clone())
    }

    fn statement(&self, work: Work, wants_rows: bool, request: RequestContext) -> Pending {
        let (task, pending, slot, pool) = self.start(work, wants_rows, request);
        let is_large = task.work.is_large();
        let running = async move {
            let mut task = task;
            let result = match enter(&task, slot).await {
                Ok(mut slot) => in_transaction(&mut slot, &pool, &mut task).await,
                Err(error) => Err(error),
            };
            task.finish(result);
        };
        computing::spawn(running, is_large, self.weight.clone());
        pending
    }

    /// End it with `command`.
    fn end(&self, command: Command, request: RequestContext) -> Pending {
        let (task, pending, slot, pool) = self.start(Work::Command(command), false, request);
        let over = self.over.clone();
        tokio::spawn(async move {
            let mut task = task;
            let result = match enter(&task, slot).await {
                Ok(mut slot) => finish(&mut slot, &pool, &mut task, command).await,
                Err(error) => Err(error),
            };
            over.cancel();
            task.finish(result);
        });
        pending
    }
}

impl Transaction for PgTransaction {
    fn query(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, Rows> {
        Box::pin(async move {
            self.statement(Work::statement(statement, parameters), true, request).rows().await
        })
    }

    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> Reply<'_, u64> {
        Box::pin(async move {
            self.statement(Work::statement(statement, parameters), false, request).count().await
        })
    }

    fn commit(&self, request: RequestContext) -> Reply<'_, ()> {
        Box::pin(async move { self.end(Command::Commit, request).count().await.map(drop) })
    }

    fn rollback(&self, request: RequestContext) -> Reply<'_, ()> {
        Box::pin(async move { self.end(Command::Rollback, request).count().await.map(drop) })
    }
}

impl Drop for PgTransaction {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// Wait for the statement before this one to end.
async fn enter(
    task: &Task,
    slot: Arc<Mutex<TransactionState>>,
) -> Result<OwnedMutexGuard<TransactionState>, Error> {
    task.stop.or_unwanted(async { Ok(slot.lock_owned().await) }).await
}

async fn in_transaction(
    slot: &mut TransactionState,
    pool: &Arc<Pool>,
    task: &mut Task,
) -> Result<u64, Error> {
    let (lease, failed) = match slot {
        TransactionState::Open { lease, failed } => (lease, failed),
        TransactionState::Ended(error) => return Err(error.clone()),
    };
    let result = run::run(&mut lease.connection, pool, task, false).await;
    *failed |= result.is_err();
    if lease.connection.broken {
        let lost = Error::Unavailable("the transaction's connection was lost".to_string());
        close(slot, lost).await;
    }
    result
}

async fn finish(
    slot: &mut TransactionState,
    pool: &Arc<Pool>,
    task: &mut Task,
    command: Command,
) -> Result<u64, Error> {
    let rolls_back = command == Command::Rollback;
    let (lease, failed) = match slot {
        TransactionState::Open { lease, failed } => (lease, *failed),
        // The server has rolled a lost transaction back.
        TransactionState::Ended(Error::Unavailable(_)) if rolls_back => return Ok(0),
        TransactionState::Ended(error) => return Err(error.clone()),
    };
    // The server answers `commit` in a failed transaction with a silent rollback. A statement
    // tells, and gives the error that the component has to see.
    let mut result = Ok(0);
    if failed && !rolls_back {
        task.work = Work::Command(Command::Probe);
        result = run::run(&mut lease.connection, pool, task, false).await;
    }
    if result.is_ok() {
        task.work = Work::Command(command);
        result = run::run(&mut lease.connection, pool, task, false).await;
    }
    if result.is_err() {
        // Cancelled or refused: whether the server left the transaction is not known here.
        roll_back(lease, pool).await;
    }
    close(slot, Error::Ended).await;
    result
}

/// Give the connection back and tell later calls `error`.
async fn close(slot: &mut TransactionState, error: Error) {
    if let TransactionState::Open { lease, .. } =
        std::mem::replace(slot, TransactionState::Ended(error))
    {
        lease.release().await;
    }
}

async fn watch(
    pool: Arc<Pool>,
    slot: Arc<Mutex<TransactionState>>,
    over: CancellationToken,
    request: RequestContext,
) {
    tokio::select! {
        () = request.cancel().cancelled() => {}
        () = over.cancelled() => {}
    }
    // Ends a statement that still runs.
    over.cancel();
    let mut slot = slot.lock().await;
    if let TransactionState::Open { lease, .. } = &mut *slot {
        roll_back(lease, &pool).await;
        close(&mut slot, Error::Cancelled).await;
    }
}

/// Not for the request: this is what happens once that has ended.
async fn roll_back(lease: &mut Lease, pool: &Arc<Pool>) {
    if lease.connection.broken {
        return;
    }
    let host = RequestContext::of_host("rollback");
    let work = Work::Command(Command::Rollback);
    let (mut task, pending) = statement::call(work, false, host, None, &pool.database);
    let rolled_back = run::run(&mut lease.connection, pool, &mut task, false);
    // A server that is silent rolls back when it sees that the connection is gone. Nothing waits here for a result, and
    // others wait for the place.
    if !matches!(timeout(limits::ROLLBACK_TIMEOUT, rolled_back).await, Ok(Ok(_))) {
        lease.connection.broken = true;
    }
    drop(pending);
}
