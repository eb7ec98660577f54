//! What is sent for a piece of work: a command as it is, a statement prepared, alone through a pooler in a transaction.
//!
//! What ends it, and when it has to end, is in `run`.

use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor, SqlSafeStr};

use super::backend::{self, Value};
use super::connection::ServerLink;
use super::error;
use super::kept::PreparedStatements;
use super::parameters;
use super::pooled::Pooled;
use super::room;
use super::rows::{self, Halt, Sink, StatementEnd};
use super::statement::{Command, Work};

/// What is to be done on a connection.
pub(super) struct Job<'a> {
    pub(super) way: &'a ServerLink,
    pub(super) kept: &'a mut PreparedStatements,
    pub(super) work: &'a Work,
    /// In no transaction.
    pub(super) alone: bool,
    /// Whether the transaction that it begins only reads, where there is something to say about that.
    pub(super) reads_only: Option<bool>,
    /// What the session was told of that last.
    pub(super) told: &'a mut bool,
}

impl Job<'_> {
    pub(super) async fn perform(
        self,
        sql: &mut PgConnection,
        sink: &mut Sink<'_>,
        halt: &Halt,
    ) -> StatementEnd {
        let Self { way, kept, work, alone, reads_only, told } = self;
        if let Some(reads_only) = reads_only.filter(|reads_only| reads_only != told) {
            if let Err(error) = sql.execute(sqlx::raw_sql(room::telling(reads_only))).await {
                return error.into();
            }
            *told = reads_only;
        }
        let (text, given) = match (work, way) {
            (Work::Command(it), ServerLink::Direct { .. }) => return command(sql, *it).await,
            (Work::Command(it), ServerLink::Pooled(pooled)) => {
                return pooled.command(sql, *it).await;
            }
            (Work::Statement { text, parameters }, _) => (text, parameters),
        };
        let mut statement = Statement { sql, kept, text, given, sink, halt };
        match way {
            ServerLink::Pooled(pooled) if alone => {
                let ended = statement.held(pooled).await;
                if !ended.unsettled && pooled.frees_name(&ended.outcome) {
                    return statement.held(pooled).await;
                }
                ended
            }
            _ => {
                let ended = statement.once().await;
                if let ServerLink::Pooled(pooled) = way {
                    // Too late for this transaction, not for the next.
                    pooled.frees_name(&ended.outcome);
                }
                match &ended.outcome {
                    Err(error) if alone && statement.may_retry() && error::is_stale_plan(error) => {
                        match statement.sql.clear_cached_statements().await {
                            Ok(()) => statement.once().await,
                            Err(error) => error.into(),
                        }
                    }
                    _ => ended,
                }
            }
        }
    }
}

pub(super) async fn command(sql: &mut PgConnection, command: Command) -> StatementEnd {
    match sql.execute(sqlx::raw_sql(command.text())).await {
        Ok(result) => StatementEnd::counted(result.rows_affected()),
        Err(error) => error.into(),
    }
}

/// A statement on its way, and where its rows go.
struct Statement<'a, 's> {
    sql: &'a mut PgConnection,
    kept: &'a mut PreparedStatements,
    text: &'a Arc<str>,
    given: &'a [Value],
    sink: &'a mut Sink<'s>,
    halt: &'a Halt,
}

impl Statement<'_, '_> {
    /// Once the columns are out, they cannot be others any more.
    fn may_retry(&self) -> bool {
        self.sink.columns.is_some() && !self.halt.stopped.is_cancelled()
    }

    /// In a transaction of its own, so that all of it happens on one connection of the pooler's.
    async fn held(&mut self, pooled: &Pooled) -> StatementEnd {
        if let Err(ended) = pooled.begin(self.sql).await {
            return ended;
        }
        let mut ended = self.once().await;
        if ended.unsettled {
            return ended;
        }
        let commits = ended.outcome.is_ok() && ended.refused.is_none();
        let end = pooled.end(self.sql, commits).await;
        ended.unsettled = end.unsettled || (!commits && end.outcome.is_err());
        if commits && let Err(error) = end.outcome {
            ended.outcome = Err(error);
        }
        ended
    }

    async fn once(&mut self) -> StatementEnd {
        let mut ended = self.prepared().await;
        let given = self.given.iter().map(backend::content).sum::<usize>();
        self.kept.passed(given.max(self.text.len()));
        self.kept.passed(ended.largest);
        if ended.overrun {
            return ended;
        }
        // What cannot be given back goes with the connection.
        ended.oversized |= self.kept.tidy(self.sql).await.is_err() || self.kept.is_worn();
        ended
    }

    async fn prepared(&mut self) -> StatementEnd {
        let Self { sql, kept, text, given, sink, halt } = self;
        let prepared = kept.prepare(sql, AssertSqlSafe(text.clone()).into_sql_str()).await;
        let statement = match prepared {
            Ok(statement) => statement,
            Err(error) => {
                // The server may have it under a name that the driver has forgotten.
                let unsettled = error::is_broken_off(&error);
                return StatementEnd { unsettled, ..StatementEnd::from(error) };
            }
        };
        let arguments = match parameters::bind(sql, kept, &statement, given).await {
            Ok(arguments) => arguments,
            Err(mut ended) => {
                ended.unsettled |= ended.outcome.as_ref().is_err_and(error::is_broken_off);
                return ended;
            }
        };
        let columns = if sink.wants_rows {
            match rows::columns(&statement) {
                Ok(columns) => columns,
                Err(error) => return StatementEnd::refused(error),
            }
        } else {
            Vec::new()
        };
        rows::stream(sql, &statement, arguments, &columns, sink, halt).await
    }
}
