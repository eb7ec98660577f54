//! Whether a database may take more room, as its meter says. While it may not, its transactions only read,
//! unless they say otherwise themselves.
//!
//! It exists because a server bounds no database. The sessions are the host's, so it is the host that tells them, each
//! before its next transaction: nothing is set at the server that would outlast it, or that a role could take back,
//! and no connection has to be closed. It must not know how a database is measured, nor what it may have.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::backend::Error;
use super::statement::{Command, Work};
use crate::sql;

/// What a database may still take: anything, until it is said to be full. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Room(Arc<Mutex<Option<Arc<str>>>>);

impl Room {
    /// From now on, transactions only read. `why` is for the component's authors, too: what it has, what it may
    /// have, and what changes that.
    pub fn is_full_because(&self, why: &str) {
        *self.lock() = Some(why.into());
    }

    /// There is room again.
    pub fn is_free(&self) {
        *self.lock() = None;
    }

    /// Why it is full, if it is.
    pub fn why_full(&self) -> Option<Arc<str>> {
        self.lock().clone()
    }

    /// Whether the transaction that this work begins only reads. None: it begins none. `alone` says that it is in no
    /// transaction.
    pub(super) fn reads_only(&self, work: &Work, alone: bool) -> Option<bool> {
        let makes_room = match work {
            Work::Statement { text, .. } if alone => makes_room(text),
            Work::Command(Command::Begin) => false,
            _ => return None,
        };
        Some(!makes_room && self.lock().is_some())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<str>>> {
        self.0.lock()
    }
}

/// What a session is told, so that its next transactions only read, or do what its role has set.
pub(super) fn telling(reads_only: bool) -> &'static str {
    match reads_only {
        true => "set default_transaction_read_only = on",
        false => "reset default_transaction_read_only",
    }
}

/// Whether a statement takes away, by its first word. What it may do besides is little, or is seen when the database
/// is measured again.
fn makes_room(statement: &str) -> bool {
    let first = sql::tokens(sql::start(statement)).next();
    let first = first.map(|(_, token)| token.word()).unwrap_or_default();
    ["delete", "drop", "truncate"].iter().any(|word| first.eq_ignore_ascii_case(word))
}

/// The error of a statement that a full database refused, or whose session `was_ended`, with the reason.
pub(super) fn explained(error: Error, was_ended: bool, why: &str) -> Error {
    match error {
        Error::Database(mut error) if error.sqlstate == "25006" => {
            error.hint = Some(format!(
                "the database is full: {why}; `delete`, `drop` and `truncate` are done meanwhile, and so is what a transaction does that \
                 begins with `set transaction read write`"
            ));
            Error::Database(error)
        }
        Error::Unavailable(_) if was_ended => Error::Unavailable(format!(
            "the server ended the statement's session: the database is full: {why}"
        )),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_away_is_known_by_its_first_word() {
        for statement in ["delete from t", " /* x */ DROP table t", ";truncate t"] {
            assert!(makes_room(statement), "{statement}");
        }
        for statement in [
            "insert into t values (1)",
            "deleted",
            "'delete'",
            "",
            "with a as (delete from t) select 1",
        ] {
            assert!(!makes_room(statement), "{statement}");
        }
    }

    #[test]
    fn only_what_begins_a_transaction_is_told_how() {
        let room = Room::default();
        let write = Work::statement("insert into t values (1)".to_owned(), Vec::new());
        let delete = Work::statement("delete from t".to_owned(), Vec::new());
        let begin = Work::Command(Command::Begin);
        assert_eq!(room.reads_only(&write, true), Some(false));
        room.is_full_because("it is");
        assert_eq!(room.reads_only(&write, true), Some(true));
        assert_eq!(room.reads_only(&delete, true), Some(false));
        assert_eq!(room.reads_only(&begin, false), Some(true));
        assert_eq!(room.reads_only(&write, false), None);
        assert_eq!(room.reads_only(&Work::Command(Command::Commit), false), None);
        room.is_free();
        assert_eq!(room.reads_only(&begin, false), Some(false));
    }
}
