//! The rows of a statement on their way to the caller: read one by one, handed on in batches, never
//! faster than they are taken.
//!
//! It knows what may stop them only as two signals; what watches is in `run`.

use std::pin::pin;

use futures_util::StreamExt;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, PgStatement};
use sqlx::{Either, Executor, Row as _, Statement, ValueRef};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::backend::{self, Column, Error, Row, RowBatch};
use super::convert::{self, Kind, Type};
use super::error;
use crate::budget::{Holdings, Reservation};
use crate::stream::Parcel;
use wasm_host_limits::held::GUEST_LARGE_ITEM_BYTES;
use wasm_host_limits::postgres as limits;
use wasm_host_system::allocations::{unwatched, within};
use wasm_host_system::computing::handled;

/// Signals between the statement and what watches over it.
#[derive(Default)]
pub(super) struct Halt {
    /// To the statement: it is being cancelled, rows are to be thrown away.
    pub(super) stopped: CancellationToken,
    /// From the statement: a row cannot be handed on, cancel it.
    pub(super) unreadable: CancellationToken,
}

/// What a value costs beside its bytes, as the time to handle so many more.
const ROW_VALUE_BYTES: usize = 64;

/// Where rows go.
pub(super) struct Sink<'a> {
    pub(super) wants_rows: bool,
    pub(super) columns: &'a mut Option<oneshot::Sender<Vec<Column>>>,
    pub(super) batches: &'a mpsc::Sender<Parcel<RowBatch>>,
    /// The account that large rows are held for.
    pub(super) account: Option<&'a Holdings>,
    /// For the batch that is being filled.
    pub(super) held: Option<Reservation>,
}

/// How a statement ended: for the server, and for the host if it had to give up.
pub(super) struct StatementEnd {
    pub(super) outcome: Result<u64, sqlx::Error>,
    pub(super) refused: Option<Error>,
    /// A row was over the bound, or the driver holds too much otherwise: the connection is not worth keeping.
    pub(super) oversized: bool,
    /// It stands in the middle of a message that is too large to be read: nothing can be said over the connection.
    pub(super) overrun: bool,
    /// Bytes of the largest row that was handed on.
    pub(super) largest: usize,
    /// Through a pooler: it left something on the server that only closing the connection, in its transaction, ends.
    pub(super) unsettled: bool,
}

impl StatementEnd {
    pub(super) fn refused(error: Error) -> Self {
        Self { refused: Some(error), ..Self::counted(0) }
    }

    pub(super) fn counted(rows: u64) -> Self {
        Self {
            outcome: Ok(rows),
            refused: None,
            oversized: false,
            overrun: false,
            largest: 0,
            unsettled: false,
        }
    }
}

impl From<sqlx::Error> for StatementEnd {
    fn from(error: sqlx::Error) -> Self {
        Self { outcome: Err(error), ..Self::counted(0) }
    }
}

/// A column as the host reads it.
pub(super) struct Reader {
    name: String,
    of: Type,
}

/// The columns, if each has a case in the interface.
pub(super) fn columns(statement: &PgStatement) -> Result<Vec<Reader>, Error> {
    let readers = statement
        .columns()
        .iter()
        .map(|column| Reader {
            name: sqlx::Column::name(column).to_string(),
            of: Type::of(sqlx::Column::type_info(column)),
        })
        .collect::<Vec<_>>();
    for (position, Reader { name, of }) in readers.iter().enumerate() {
        if of.kind == Kind::Other {
            let reason = "has no case in the interface";
            return Err(convert::unsupported(position, name, of, reason));
        }
    }
    Ok(readers)
}

pub(super) async fn stream(
    sql: &mut PgConnection,
    statement: &PgStatement,
    arguments: PgArguments,
    readers: &[Reader],
    sink: &mut Sink<'_>,
    halt: &Halt,
) -> StatementEnd {
    let room = error::room(statement.sql().as_str());
    let mut stream = sql.fetch_many(statement.query_with(arguments));
    let mut first_row = pin!(sleep(limits::FIRST_ROW_WAIT));
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let (mut sent, mut changed) = (0, 0);
    let (mut refused, mut oversized, mut largest) = (None, false, 0);
    let (mut rows_of_turn, mut bytes_of_turn) = (0, 0);
    loop {
        // The driver reads on for as long as the server has more, also where nothing is waited for any more: other
        // tasks have their turn, and so has what watches over this.
        if rows_of_turn >= limits::BATCH_ROWS || bytes_of_turn >= limits::BATCH_BYTES {
            (rows_of_turn, bytes_of_turn) = (0, 0);
            yield_now().await;
        }
        let next = tokio::select! {
            biased;
            next = within(room, stream.next()) => next,
            // The reader has read everything, and nothing more has come: what there is goes out.
            read = sink.batches.reserve_many(limits::BATCHES_AHEAD), if !batch.is_empty() => {
                drop(read);
                sent += sink.send(readers, &mut batch, &mut bytes, halt).await;
                continue;
            }
            () = &mut first_row, if sink.columns.is_some() => {
                sink.accept(readers);
                continue;
            }
        };
        let Ok(next) = next else {
            // Rows before it were read well.
            sink.send(readers, &mut batch, &mut bytes, halt).await;
            let too_large = || match statement.columns().is_empty() {
                true => error::too_large_message(),
                false => error::too_large_row_or_message(),
            };
            let refused = refused.or_else(|| Some(too_large()));
            return StatementEnd {
                refused,
                overrun: true,
                unsettled: true,
                ..StatementEnd::counted(0)
            };
        };
        match next {
            Some(Ok(Either::Left(result))) => changed += result.rows_affected(),
            Some(Ok(Either::Right(row))) => {
                let wire_bytes = wire_size(&row);
                rows_of_turn += 1;
                bytes_of_turn += wire_bytes;
                handled(wire_bytes + row.len() * ROW_VALUE_BYTES);
                if !sink.wants_rows || halt.stopped.is_cancelled() || refused.is_some() {
                    continue;
                }
                oversized |= wire_bytes > limits::ROW_BYTES;
                let read = match oversized {
                    true => Err(error::too_large_row()),
                    // What is made of it has bounds of its own.
                    false => unwatched(|| sink.read(&row, wire_bytes, readers)),
                };
                match read {
                    Ok((row, size)) => {
                        batch.push(row);
                        bytes += size;
                        largest = size.max(largest);
                    }
                    Err(error) => {
                        refused = Some(error);
                        halt.unreadable.cancel();
                        continue;
                    }
                }
                if batch.len() >= limits::BATCH_ROWS || bytes >= limits::BATCH_BYTES {
                    sent += sink.send(readers, &mut batch, &mut bytes, halt).await;
                }
            }
            Some(Err(error)) => {
                // Rows before the failure were read well.
                sink.send(readers, &mut batch, &mut bytes, halt).await;
                return StatementEnd { refused, oversized, largest, ..StatementEnd::from(error) };
            }
            None => break,
        }
    }
    sent += sink.send(readers, &mut batch, &mut bytes, halt).await;
    sink.accept(readers);
    let count = if sink.wants_rows { sent } else { changed };
    StatementEnd { refused, oversized, largest, ..StatementEnd::counted(count) }
}

impl Sink<'_> {
    /// Say that the server has accepted the statement.
    fn accept(&mut self, readers: &[Reader]) {
        if let Some(sender) = self.columns.take() {
            let columns = readers
                .iter()
                .map(|Reader { name, of }| Column {
                    name: name.clone(),
                    type_name: of.name.clone(),
                })
                .collect();
            // The rows' channel notices a caller that has gone.
            let _ = sender.send(columns);
        }
    }

    /// The row, and the room that its values take. A large one is held on the account until its batch has been taken,
    /// as the driver has it and as it is handed on.
    fn read(
        &mut self,
        row: &PgRow,
        wire_bytes: usize,
        readers: &[Reader],
    ) -> Result<(Row, usize), Error> {
        let is_large = wire_bytes > GUEST_LARGE_ITEM_BYTES;
        if is_large {
            self.hold(wire_bytes)?;
        }
        let (row, size) = read_row(row, readers)?;
        if is_large {
            self.hold(row.iter().map(backend::size).sum())?;
        }
        Ok((row, size))
    }

    fn hold(&mut self, more: usize) -> Result<(), Error> {
        let Some(account) = self.account else { return Ok(()) };
        let held = self.held.get_or_insert_with(|| account.hold_nothing());
        let bytes = held.bytes().saturating_add(more);
        held.resize(bytes).map_err(|exhausted| Error::Busy(exhausted.to_string()))
    }

    /// Send a batch, waiting for room. Gives the number of rows sent.
    async fn send(
        &mut self,
        readers: &[Reader],
        batch: &mut Vec<Row>,
        bytes: &mut usize,
        halt: &Halt,
    ) -> u64 {
        if batch.is_empty() {
            return 0;
        }
        self.accept(readers);
        *bytes = 0;
        let batch = std::mem::take(batch);
        let count = u64::try_from(batch.len()).unwrap_or_default();
        let batch = Parcel::new(batch, self.held.take());
        tokio::select! {
            biased;
            () = halt.stopped.cancelled() => 0,
            sent = self.batches.send(batch) => if sent.is_ok() { count } else { 0 },
        }
    }
}

/// Bytes of a row's values.
fn wire_size(row: &PgRow) -> usize {
    let values = (0..row.len()).filter_map(|position| row.try_get_raw(position).ok());
    values.map(|raw| raw.as_bytes().map_or(0, <[u8]>::len)).sum()
}

/// The row, and the room that its values take.
fn read_row(row: &PgRow, readers: &[Reader]) -> Result<(Row, usize), Error> {
    let mut values = Vec::with_capacity(readers.len());
    let mut size = 0;
    for (position, Reader { name, of }) in readers.iter().enumerate() {
        let raw = row.try_get_raw(position).ok().filter(|raw| !raw.is_null());
        let bytes = raw.as_ref().and_then(|raw| raw.as_bytes().ok());
        let value = convert::read(of, bytes)
            .map_err(|reason| convert::unsupported(position, name, of, reason))?;
        // A number of few bytes may be a text of many.
        size += bytes.map_or(0, <[u8]>::len).max(backend::content(&value));
        if size > limits::ROW_BYTES {
            return Err(error::too_large_row());
        }
        values.push(value);
    }
    Ok((values, size))
}
