//! What a connection keeps of the statements that ran on it: short ones prepared, up to a bound, and nothing of long
//! ones, whose texts, plans and rows would stay in the memory of host and server for as long as it lives.
//!
//! The driver evicts by count alone, and names no statement that it evicts. So the bytes are counted from the last
//! time that all were forgotten.

use sqlx::postgres::{PgConnection, PgStatement};
use sqlx::{Connection as _, Executor, SqlStr, Statement as _};

use wasm_host_limits::postgres as limits;

#[derive(Default)]
pub(super) struct PreparedStatements {
    /// Of the texts and columns of what is prepared; more than there is, where some was evicted.
    bytes: usize,
    /// All of that since the connection was opened.
    ever: usize,
    /// One was too long to be kept.
    too_long: bool,
    /// What passed through the driver's buffers made them large.
    buffers: bool,
}

impl PreparedStatements {
    /// Prepare a statement, or find it prepared.
    pub(super) async fn prepare(
        &mut self,
        sql: &mut PgConnection,
        text: SqlStr,
    ) -> sqlx::Result<PgStatement> {
        let (before, length) = (sql.cached_statements_size(), text.as_str().len());
        let statement = sql.prepare(text).await?;
        // Where their number is at its bound, the driver does not say whether one replaced another.
        if sql.cached_statements_size() > before || before >= limits::PREPARED_STATEMENTS {
            self.add(length, statement.columns().len());
        }
        Ok(statement)
    }

    fn add(&mut self, text: usize, columns: usize) {
        let bytes = text + columns * limits::PREPARED_COLUMN_BYTES;
        self.bytes += bytes;
        self.ever += bytes;
        self.too_long |= text > limits::PREPARED_STATEMENT_BYTES;
    }

    /// This many bytes went through the driver's buffers in one piece.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.buffers |= bytes > limits::BUFFERED_BYTES;
    }

    /// Give back what is too much, between two statements.
    pub(super) async fn tidy(&mut self, sql: &mut PgConnection) -> sqlx::Result<()> {
        if self.is_too_much() {
            sql.clear_cached_statements().await?;
            (self.bytes, self.too_long) = (0, false);
        }
        if std::mem::take(&mut self.buffers) {
            sql.shrink_buffers();
        }
        Ok(())
    }

    fn is_too_much(&self) -> bool {
        self.too_long || self.bytes > limits::PREPARED_BYTES
    }

    /// Whether the driver has learned so much of tables and types, which it never forgets, that its connection is not
    /// worth keeping.
    pub(super) fn is_worn(&self) -> bool {
        self.ever > limits::LEARNED_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_statements_are_kept_and_long_ones_are_not() {
        let mut kept = PreparedStatements::default();
        kept.add(limits::PREPARED_STATEMENT_BYTES, 0);
        assert!(!kept.is_too_much());
        kept.add(limits::PREPARED_STATEMENT_BYTES + 1, 0);
        assert!(kept.is_too_much());
    }

    #[test]
    fn many_are_kept_only_as_far_as_they_are_small() {
        let mut kept = PreparedStatements::default();
        for _ in 0..limits::PREPARED_STATEMENTS {
            kept.add(1024, 10);
        }
        assert!(!kept.is_too_much());
        // All columns of a wide table are much to keep for a short text.
        for _ in 0..limits::PREPARED_STATEMENTS {
            kept.add(30, 1600);
        }
        assert!(kept.is_too_much());
    }
}
